//! Engine.IO: codecs, routing, the session, and the client.

mod bodies;
mod encode;
mod jsonp;
mod machines;
mod packet;
mod payload;
mod route;
mod webtransport;

pub use self::bodies::http_bodies;
pub use self::encode::engine_encode;
pub use self::jsonp::jsonp;
pub(crate) use self::machines::network_settings;
pub use self::machines::{engine_client, engine_client_pair, engine_pair, engine_session, engine_session_v3};
pub use self::packet::engine_packet;
pub use self::payload::engine_payload;
pub use self::route::http_route;
pub use self::webtransport::webtransport;

use engineio_proto::{Frame, Message, Text};

/// Returns the message that transfers this frame on a WebSocket.
fn on_link(frame: &Frame) -> Message {
    let bytes = [frame.head(), frame.data()].concat();
    assert_eq!(bytes.len(), frame.packet_len(), "the length of {frame:?}");
    if frame.is_binary() { Message::Binary(bytes.into()) } else { Message::Text(text(bytes)) }
}

/// Converts bytes that must be UTF-8.
fn text(bytes: Vec<u8>) -> Text {
    Text::try_from(bytes).expect("text is UTF-8")
}
