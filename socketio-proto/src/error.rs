//! What can go wrong, sorted by whose doing it is: [`EmitError`], [`EncodeError`] and [`ReadError`] for the local caller,
//! [`DecodeError`] for the peer.

use alloc::string::{String, ToString};
use core::fmt::Display;

use engineio_proto::SendError;

/// A command was refused; nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The session did not take the packet.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The packet could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The socket has left its namespace, or its connection is gone.
    #[error("the socket is disconnected")]
    Disconnected,
    /// Too many acks are awaited from this peer ([`Limits::max_awaited_acks`](crate::Limits)), or the id is awaited already.
    #[error("too many acks are awaited from this peer")]
    TooManyAcks,
}

/// A value that cannot be sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The name is one of those under which the reference tells its own news (socket.io-parser `lib/index.ts`, `RESERVED_EVENTS`).
    #[error("\"{0}\" is a reserved event name")]
    Reserved(String),
    /// More attachments than the peer takes ([`Limits::max_attachments`](crate::Limits)).
    #[error("too many attachments")]
    TooManyAttachments,
    /// The value's `Serialize` failed, or it has no form in this parser's format.
    #[error("cannot be serialised: {0}")]
    Serialize(String),
}

impl EncodeError {
    /// No packet, for this reason.
    #[cold]
    pub(crate) fn invalid(reason: &str) -> Self {
        Self::Serialize(reason.to_string())
    }
}

/// Arguments that are not of the type that was asked for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the arguments are not of the expected type: {message}")]
pub struct ReadError {
    pub(crate) message: String,
}

impl serde::de::Error for ReadError {
    fn custom<T: Display>(message: T) -> Self {
        Self { message: message.to_string() }
    }
}

/// What a peer sent that is no packet. Display is the reference parser's message where it has one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first character is no packet type.
    #[error("unknown packet type")]
    UnknownType,
    /// The packet type is missing, or no number from 0 to 4.
    #[error("invalid packet type")]
    InvalidType,
    /// The payload is missing, broken, of the wrong shape, nested too deeply, or names a reserved event.
    #[error("invalid payload")]
    InvalidPayload,
    /// The attachment count is missing, zero or no plain number.
    #[error("Illegal attachments")]
    IllegalAttachments,
    /// More attachments, or more bytes in them, than allowed.
    #[error("too many attachments")]
    TooManyAttachments,
    /// A placeholder names no attachment of its packet.
    #[error("illegal attachments")]
    IllegalPlaceholder,
    /// Text while attachments are awaited.
    #[error("got plaintext data when reconstructing a packet")]
    UnexpectedText,
    /// A binary message that belongs to no packet.
    #[error("got binary data when not reconstructing a packet")]
    UnexpectedBinary,
    /// The message is not what this format is made of: broken, nested too deeply, or text where bytes are expected.
    #[error("Could not parse")]
    Malformed,
    /// The namespace's name is missing, or does not start with a slash.
    #[error("invalid namespace")]
    InvalidNamespace,
    /// The namespace's name is too long.
    #[error("namespace too long")]
    NamespaceTooLong,
    /// The ack id is no plain number below 2^53.
    #[error("invalid packet id")]
    InvalidId,
}
