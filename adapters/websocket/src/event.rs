//! What a decoder emits: whole messages and control frames.

use bytes::Bytes;
use bytestring::ByteString;

use crate::close::CloseFrame;

/// A complete message or control frame of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A text message. Its UTF-8 is valid.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
    /// A message whose first frame had RSV1 set, still compressed, for an extension of your own.
    ///
    /// Only emitted after [`Decoder::allow_rsv1`](crate::Decoder::allow_rsv1). The code that inflates it must limit the size of the
    /// result and check the UTF-8 of a text message.
    Compressed {
        /// Whether the inflated message is text.
        text: bool,
        /// The compressed bytes. They are within the message size limit.
        payload: Bytes,
    },
    /// A ping. Answer with a pong that carries the same payload (at most 125 bytes). If several pings are unanswered, only the latest
    /// needs a pong (RFC 6455 section 5.5.3).
    Ping(Bytes),
    /// A pong, solicited or not.
    Pong(Bytes),
    /// The peer closes: it sends nothing after this, and later input is ignored. `None` if the close frame was empty.
    ///
    /// Answer with a close frame unless one was already sent. The server then closes the transport. Node's `ws` and browsers answer with
    /// the code and the reason that they received, and their close events report those of the answer. An empty frame is answered with an
    /// empty one.
    Close(Option<CloseFrame>),
}
