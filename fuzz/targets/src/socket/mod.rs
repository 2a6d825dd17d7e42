//! Socket.IO: parsers, arguments, the connection, the client, and the namespace.

mod client;
mod connection;
mod encode;
mod json;
mod msgpack;
mod namespace;
mod packet;
mod recovery;
mod scanner;
mod typed;
mod value;
mod world;

pub use self::client::{socket_client, socket_client_pair};
pub use self::connection::{socket_connection, socket_connection_v3};
pub use self::encode::socket_encode;
pub use self::json::socket_json;
pub use self::msgpack::socket_msgpack;
pub use self::namespace::namespace;
pub use self::recovery::recovery;
pub use self::scanner::json_scanner;
pub use self::typed::typed_read;
pub use self::world::socket_world;

use engineio_proto::{Frame, Message, Text};
use socketio_proto::Encoded;

/// The messages of a packet on a link.
fn messages(encoded: &Encoded) -> Vec<Message> {
    encoded.frames().iter().map(message).collect()
}

fn message(frame: &Frame) -> Message {
    let data = frame.data().clone();
    if frame.is_binary() { data.into() } else { Text::try_from(data).expect("text is UTF-8").into() }
}
