//! Callbacks of the application: headers of responses, refused requests, session ids.

use std::panic::{AssertUnwindSafe, catch_unwind};

use engineio_proto::Sid;
use engineio_proto::server::Refusal;
use http::HeaderMap;
use http::request::Parts;

use super::HttpSettings;
use crate::handler::panic_message;
use crate::log_limit::truncate;

/// Adds headers to a response.
pub(crate) type AddHeaders = dyn Fn(&mut HeaderMap, &Parts) + Send + Sync;

/// Is told about a refused request.
pub(crate) type OnConnectionError = dyn Fn(ConnectionError<'_>) + Send + Sync;

/// Makes a session id.
pub(crate) type GenerateId = dyn Fn(&Parts) -> Result<Sid, String> + Send + Sync;

/// A refused request; see [`ServerBuilder::on_connection_error`](crate::ServerBuilder::on_connection_error).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConnectionError<'a> {
    /// The head of the request. Everything in it is from the peer.
    pub request: &'a Parts,
    /// The code on the wire, 0 to 5.
    pub code: u8,
    /// The message of the code. On the wire, code 4 has the message of `allow_request` instead, which is in the context.
    pub message: &'static str,
    /// What was wrong with the request.
    pub context: ErrorContext<'a>,
}

/// What was wrong with a refused request, in more detail than its code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorContext<'a> {
    /// Code 0: `transport` is missing, unknown or disabled.
    UnknownTransport,
    /// Code 1: there is no session with this `sid`. Clients that reconnect after a restart of the server cause it.
    UnknownSid,
    /// Code 2: only a GET opens a session.
    BadHandshakeMethod,
    /// Code 3: the transport or revision is not the session's. In the reference: `TRANSPORT_MISMATCH`, `PROTOCOL_MISMATCH`.
    SessionMismatch,
    /// Code 3: `Origin` has control characters. In the reference: `INVALID_ORIGIN`.
    InvalidOrigin,
    /// Code 3: the request is an upgrade although `transport` is not `websocket`, or the reverse. In the reference: `TRANSPORT_MISMATCH`.
    TransportMismatch,
    /// Code 3: the WebSocket handshake is invalid, for this reason. In the reference: `TRANSPORT_HANDSHAKE_ERROR`.
    TransportHandshake(&'a str),
    /// Code 3: no unused session id could be generated. In the reference: `ID_GENERATION_ERROR`.
    IdGeneration,
    /// Code 3: the head of the request exceeds `max_head_bytes`.
    HeadTooLarge,
    /// Code 3: the server is shutting down or draining, `max_sessions` is reached, or too many requests wait for `allow_request`.
    Unavailable,
    /// Code 4: `allow_request` refused the request, with this message.
    Forbidden(&'a str),
    /// Code 4: the origin of a WebSocket handshake is not allowed by `check_origin`.
    OriginNotAllowed,
    /// Code 5: the revision of the protocol is not served.
    UnsupportedVersion,
    /// Another reason.
    Other,
}

impl ErrorContext<'_> {
    pub(crate) const fn of(refusal: Refusal<'_>) -> Self {
        match refusal {
            Refusal::UnknownTransport => Self::UnknownTransport,
            Refusal::UnknownSid => Self::UnknownSid,
            Refusal::BadHandshakeMethod => Self::BadHandshakeMethod,
            Refusal::BadRequest => Self::SessionMismatch,
            Refusal::InvalidOrigin => Self::InvalidOrigin,
            Refusal::TransportMismatch => Self::TransportMismatch,
            Refusal::IdGeneration => Self::IdGeneration,
            Refusal::Unavailable => Self::Unavailable,
            Refusal::Forbidden(_) => Self::Forbidden(""),
            Refusal::UnsupportedVersion => Self::UnsupportedVersion,
            _ => Self::Other,
        }
    }

    const fn code(&self) -> (u8, &'static str) {
        match self {
            Self::UnknownTransport => (0, "Transport unknown"),
            Self::UnknownSid => (1, "Session ID unknown"),
            Self::BadHandshakeMethod => (2, "Bad handshake method"),
            Self::Forbidden(_) | Self::OriginNotAllowed => (4, "Forbidden"),
            Self::UnsupportedVersion => (5, "Unsupported protocol version"),
            Self::Unavailable => (3, "Service unavailable"),
            _ => (3, "Bad request"),
        }
    }
}

impl HttpSettings {
    /// Tells the application about a refused request.
    pub(crate) fn report(&self, parts: &Parts, context: ErrorContext<'_>) {
        let Some(hook) = &self.on_connection_error else { return };
        let (code, message) = context.code();
        let error = ConnectionError { request: parts, code, message, context };
        self.caught("on_connection_error", || hook(error));
    }

    /// Whether a callback changes the headers of responses.
    pub(crate) fn has_header_hooks(&self) -> bool {
        self.initial_headers.is_some() || self.headers.is_some()
    }

    /// Lets the callbacks change the headers of a session's response.
    pub(crate) fn add_headers(&self, parts: &Parts, opens: bool, headers: &mut HeaderMap) {
        if let Some(hook) = self.initial_headers.as_ref().filter(|_| opens) {
            self.caught("initial_headers", || hook(headers, parts));
        }
        if let Some(hook) = &self.headers {
            self.caught("headers", || hook(headers, parts));
        }
    }

    /// The application's session id, or `None` if it failed.
    pub(crate) fn generate_id(&self, hook: &GenerateId, parts: &Parts) -> Option<Sid> {
        match self.caught("generate_id", || hook(parts))? {
            Ok(sid) => Some(sid),
            Err(error) => {
                let error = truncate(&error);
                crate::log_limit::log_limited!(self.no_id, warn, error, "no session id: `generate_id` failed");
                None
            }
        }
    }

    /// Calls a callback. A panic is logged.
    fn caught<T>(&self, handler: &str, call: impl FnOnce() -> T) -> Option<T> {
        catch_unwind(AssertUnwindSafe(call))
            .map_err(|panic| self.log_panic(handler, &panic_message(panic.as_ref())))
            .ok()
    }
}
