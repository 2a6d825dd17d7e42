//! Errors, grouped by who causes them: [`EmitError`], [`EncodeError`] and [`ReadError`] are errors of the local caller,
//! [`DecodeError`] and [`Fault`] are errors of the peer.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Display};

use engineio_proto::SendError;
use serde::de::{Expected, Unexpected};

/// Why a command failed. The state is unchanged, unless the method says otherwise: `accept` and `refuse` of a connection do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The session did not accept the packet.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The packet could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The socket has left its namespace, or its connection is closed.
    #[error("the socket is disconnected")]
    Disconnected,
    /// The socket is not connected, and the events that it keeps until then have reached
    /// [`client::Config::max_send_buffer`](crate::client::Config::max_send_buffer). Only sockets of a client keep events.
    #[error(
        "the send buffer is full: wait until the socket is connected, drop the event, or raise max_send_buffer of the client's config"
    )]
    BufferFull,
    /// The client has as many sockets as [`Limits::max_namespaces`](crate::Limits) allows.
    #[error("the client has too many sockets (limits.max_namespaces): remove one, or raise the limit")]
    TooManySockets,
    /// Too many acks are awaited from this peer ([`Limits::max_awaited_acks`](crate::Limits)), or an ack with this id is
    /// already awaited.
    #[error(
        "too many acks are awaited from this peer (limits.max_awaited_acks), or one with this id is awaited already"
    )]
    TooManyAcks,
}

/// A value cannot be sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The event name is reserved: the reference uses it for its own events (socket.io-parser `lib/index.ts`,
    /// `RESERVED_EVENTS`).
    #[error("\"{0}\" is a reserved event name")]
    Reserved(String),
    /// The packet has more attachments than the [`Encoder`](crate::Encoder) allows. In the adapters' servers,
    /// [`Limits::max_attachments`](crate::Limits) sets this limit.
    #[error("too many attachments: raise limits.max_attachments if the peers take more")]
    TooManyAttachments,
    /// The `Serialize` implementation failed, or the value cannot be represented in the parser's format.
    #[error("cannot be serialised: {0}")]
    Serialize(String),
}

impl EncodeError {
    /// Creates an error with this reason.
    #[cold]
    pub(crate) fn invalid(reason: &str) -> Self {
        Self::Serialize(reason.to_string())
    }
}

/// The arguments do not have the requested type. `Display` writes which argument cannot be read, and the found and the expected
/// type. To see the argument itself, use [`Payload::raw`](crate::Payload::raw).
///
/// `serde_json::Value` and `String` cannot hold binary data. Read it as `bytes::Bytes` (with its feature `serde`) or `Vec<u8>`;
/// the error message explains this as well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadError {
    message: Box<str>,
    /// 32 bits are enough for any payload, and keep the error as small as a `String`.
    argument: Option<u32>,
}

impl ReadError {
    /// The index of the argument that could not be read, from 0; `None` if the error concerns all arguments together.
    #[must_use]
    pub fn argument(&self) -> Option<usize> {
        self.argument.and_then(|argument| argument.try_into().ok())
    }

    /// Sets the index of the argument.
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
        // The position refers to the text of one argument, which the caller does not see.
        let place = format!(" at line {} column {}", error.line(), error.column());
        Self { message: message.strip_suffix(&place).unwrap_or(&message).into(), argument: None }
    }
}

/// Appended to the message if the argument is binary and the type does not accept binary data.
pub(crate) const ADVICE_FOR_BINARY: &str =
    "; binary is read as `bytes::Bytes` or `Vec<u8>`, which a `serde_json::Value` cannot hold";

/// The peer sent an invalid packet. `Display` writes the message of the reference parser, if it has one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first character is not a packet type.
    #[error("unknown packet type")]
    UnknownType,
    /// The packet type is missing, or is not a number from 0 to 4.
    #[error("invalid packet type")]
    InvalidType,
    /// The payload is missing, malformed, of the wrong type or nested too deeply, or the event name is reserved.
    #[error("invalid payload")]
    InvalidPayload,
    /// The number of attachments is missing, zero, or not in decimal digits.
    #[error("Illegal attachments")]
    IllegalAttachments,
    /// The packet has more attachments than [`Limits::max_attachments`](crate::Limits::max_attachments).
    #[error("too many attachments")]
    TooManyAttachments,
    /// The attachments of a packet have more bytes than [`Limits::max_attachment_bytes`](crate::Limits::max_attachment_bytes).
    #[error("too many bytes of attachments")]
    AttachmentsTooLarge,
    /// A placeholder does not refer to an attachment of its packet.
    #[error("illegal attachments")]
    IllegalPlaceholder,
    /// A text message arrived while attachments are missing.
    #[error("got plaintext data when reconstructing a packet")]
    UnexpectedText,
    /// A binary message does not belong to a packet.
    #[error("got binary data when not reconstructing a packet")]
    UnexpectedBinary,
    /// The message is not in this format: it is malformed, nested too deeply, or text instead of binary.
    #[error("Could not parse")]
    Malformed,
    /// The namespace is missing, or does not start with a slash.
    #[error("invalid namespace")]
    InvalidNamespace,
    /// The ack id is not an integer from 0 to 2^53 - 1.
    #[error("invalid packet id")]
    InvalidId,
}

/// The protocol violation that ended a connection. Use it for logs. The disconnect reasons of the sockets are those of the
/// reference, which has only "forced close", "forced server close" and (in clients) "parse error" for all violations.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A message is not a valid packet.
    #[error("invalid packet: {0}")]
    InvalidPacket(#[from] DecodeError),
    /// A packet is for a namespace that the client has not joined.
    #[error("packet for a namespace that the client has not joined")]
    NotJoined,
    /// A CONNECT is for a namespace that the client has joined or requested already.
    #[error("CONNECT for a namespace that the client has joined or requested already")]
    ConnectedTwice,
    /// A packet has a type that the peer must not send, or an event has no name.
    #[error("packet of a type that the peer must not send, or event without a name")]
    UnexpectedPacket,
    /// The server has accepted a socket with an id that is too long or has control characters.
    #[error("the id that the server gave to a socket is too long or has control characters")]
    InvalidId,
}
