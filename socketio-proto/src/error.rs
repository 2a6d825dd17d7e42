//! What can go wrong, sorted by whose doing it is: [`EmitError`], [`EncodeError`] and [`ReadError`] for the local caller,
//! [`DecodeError`] and [`Fault`] for the peer.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Display};

use engineio_proto::SendError;
use serde::de::{Expected, Unexpected};

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
    /// More attachments than the [`Encoder`](crate::Encoder) was told that peers take ([`Limits::max_attachments`](crate::Limits), for the
    /// adapters' servers).
    #[error("too many attachments: raise limits.max_attachments if the peers take more")]
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

/// Arguments that are not of the type that was asked for. Displays which one it is, and what was found instead of what; for more,
/// look at its text, [`Payload::raw`](crate::Payload::raw).
///
/// `serde_json::Value` and `String` cannot hold binary: read it as `bytes::Bytes` (with its feature `serde`) or `Vec<u8>`, as the message
/// then says, too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadError {
    message: Box<str>,
    /// Half a word is enough for any payload, and keeps the error as small as a `String`.
    argument: Option<u32>,
}

impl ReadError {
    /// The number of the argument that could not be read, from 0; `None` when it was all of them together.
    #[must_use]
    pub fn argument(&self) -> Option<usize> {
        self.argument.and_then(|argument| argument.try_into().ok())
    }

    /// The same error, of this argument.
    #[cold]
    pub(crate) fn of(self, argument: usize) -> Self {
        Self { argument: argument.try_into().ok(), ..self }
    }
}

impl Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.argument {
            Some(argument) => write!(f, "argument {argument} cannot be read: {}", self.message),
            None => write!(f, "the arguments cannot be read: {}", self.message),
        }
    }
}

impl core::error::Error for ReadError {}

impl serde::de::Error for ReadError {
    #[cold]
    fn custom<T: Display>(message: T) -> Self {
        Self { message: message.to_string().into(), argument: None }
    }

    #[cold]
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let advice = if matches!(found, Unexpected::Bytes(_)) { ADVICE_FOR_BINARY } else { "" };
        Self::custom(format_args!("invalid type: {found}, expected {expected}{advice}"))
    }
}

impl From<serde_json::Error> for ReadError {
    #[cold]
    fn from(error: serde_json::Error) -> Self {
        let message = error.to_string();
        // The place is one in the text of one value, which differs from what the caller can see.
        let place = format!(" at line {} column {}", error.line(), error.column());
        Self { message: message.strip_suffix(&place).unwrap_or(&message).into(), argument: None }
    }
}

/// Behind the message when binary was found where none is taken.
pub(crate) const ADVICE_FOR_BINARY: &str =
    "; binary is read as `bytes::Bytes` or `Vec<u8>`, which a `serde_json::Value` cannot hold";

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
    /// More attachments than [`Limits::max_attachments`](crate::Limits::max_attachments).
    #[error("too many attachments")]
    TooManyAttachments,
    /// More bytes in the attachments of one packet than [`Limits::max_attachment_bytes`](crate::Limits::max_attachment_bytes).
    #[error("too many bytes of attachments")]
    AttachmentsTooLarge,
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
    /// The ack id is no plain number below 2^53.
    #[error("invalid packet id")]
    InvalidId,
}

/// What a client did that ended its connection: the rule that it broke. For logs; the sockets' reasons are those of the reference, which
/// calls all of this "forced close" or "forced server close".
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A message is no packet.
    #[error("undecodable packet: {0}")]
    Undecodable(#[from] DecodeError),
    /// A packet for a namespace that it has not joined.
    #[error("packet for a namespace that is not joined")]
    NotJoined,
    /// A CONNECT for a namespace that it has joined, or asked for.
    #[error("CONNECT for a namespace that is joined or asked for already")]
    ConnectedTwice,
    /// A packet that clients do not send, or an event without a name.
    #[error("packet that no client sends")]
    Misplaced,
}
