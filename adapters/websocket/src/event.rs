//! What a decoder hands out: whole messages and control frames.

use bytes::Bytes;
use bytestring::ByteString;

use crate::close::CloseFrame;

/// Something complete that the peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A text message; its UTF-8 was checked.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
    /// A message whose first frame had RSV1 set, still compressed: the place where permessage-deflate (RFC 7692) goes
    /// in. Comes only after [`Decoder::allow_rsv1`](crate::Decoder::allow_rsv1). Whoever inflates it bounds the size of
    /// the result and checks the UTF-8 of a text.
    Compressed {
        /// Whether it is a text message once it is inflated.
        text: bool,
        /// The compressed bytes, within the limit on messages.
        payload: Bytes,
    },
    /// A ping. Answer with a pong that carries the same payload (at most 125 bytes); of several pings that wait for an
    /// answer only the latest needs one (RFC 6455 section 5.5.3).
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong(Bytes),
    /// The peer sends nothing after this, and what arrives nevertheless is ignored. Answer with a close frame unless
    /// one was sent, then the server ends the transport. Node's `ws` and browsers answer with the code and the reason that came, and
    /// their close events tell what the answer says. `None` if the frame was empty: then so is the answer.
    Close(Option<CloseFrame>),
}
