//! The server side: [`Server`] routes requests, and a [`Session`] is the machine of one peer.
//!
//! Source: engine.io `lib/server.ts`, `verify` and `handshake`.

mod incoming;
mod io;
mod machine;
mod polling;
mod session;
mod upgrade;

use alloc::format;
use alloc::string::ToString as _;

pub use self::incoming::{Incoming, IncomingOutcome};
pub use self::io::{BodyFault, Input, Transmit};
pub use self::machine::ServerMachine;
pub use self::session::Session;
use crate::config::Config;
use crate::event::LinkKind;
pub use crate::event::{LinkDownCause, Transport};
use crate::handshake::Query;
use crate::http::{RequestHead, Response};
use crate::id::Sid;
use crate::json::JsonString;
use crate::payload::jsonp::Callback;
use crate::shared::Arc;
use crate::time::Instant;
use crate::wire::{Revision, Wire};

/// Routes requests. It has only the settings. The driver keeps the table of sessions.
#[derive(Clone, Debug)]
pub struct Server {
    config: Arc<Config>,
}

/// Where a request goes.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Route {
    /// The request opens a session. Accept or refuse it.
    Open(Handshake),
    /// The request belongs to a session. Look up the id. If there is no such session, answer with `session_request.refuse(Refusal::UnknownSid)`.
    /// Otherwise, call [`Session::admit`] before sending a `101` or reading a body.
    Session {
        /// The session id in the request.
        sid: Sid,
        /// What the request asks of the session.
        session_request: SessionRequest,
    },
    /// Answer the request with this response.
    Reply(Response),
}

/// What a request asks of its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionRequest {
    pub(crate) kind: RequestKind,
    /// Whether `transport` matches the kind of the request.
    pub(crate) consistent: bool,
    /// The revision that the request asks for. A session of the other revision refuses it.
    pub(crate) revision: Revision,
}

/// The kind of a [`SessionRequest`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RequestKind {
    /// A GET. Pass [`Input::Get`] to the session.
    Get,
    /// A POST. Pass [`Input::Post`] to the session, then the body.
    Post,
    /// A link. Answer with `101`, then pass [`Input::LinkUp`] to the session.
    Link(LinkKind),
    /// Another method, which [`Session::admit`] refuses with 500.
    Other,
}

impl SessionRequest {
    /// The kind of the request.
    #[must_use]
    pub const fn kind(&self) -> RequestKind {
        self.kind
    }

    /// The response that refuses this request.
    #[must_use]
    pub fn refuse(&self, refusal: Refusal<'_>) -> Response {
        refusal.response(matches!(self.kind, RequestKind::Link(_)))
    }
}

/// A request that may open a session. Call [`Handshake::accept`] or [`Handshake::refuse`].
#[derive(Debug)]
#[must_use = "accept or refuse it, and answer its request"]
pub struct Handshake {
    config: Arc<Config>,
    /// The kind of link that opens the session, or `None` if the session polls.
    link: Option<LinkKind>,
    wire: Wire,
}

/// Why a request is refused. The `Display` form is the reference's message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal<'a> {
    /// Code 0: `transport` is missing, unknown or disabled.
    #[error("Transport unknown")]
    UnknownTransport,
    /// Code 1: there is no such session.
    #[error("Session ID unknown")]
    UnknownSid,
    /// Code 2: only a GET opens a session.
    #[error("Bad handshake method")]
    BadHandshakeMethod,
    /// Code 3: the transport or revision is not the session's, or the request is invalid in another way.
    #[error("Bad request")]
    BadRequest,
    /// Code 3: `Origin` has control characters. The reference calls this `INVALID_ORIGIN`.
    #[error("Bad request")]
    InvalidOrigin,
    /// Code 3: the request is a WebSocket upgrade and `transport` is not `websocket`, or the reverse. The reference calls this
    /// `TRANSPORT_MISMATCH`.
    #[error("Bad request")]
    TransportMismatch,
    /// Code 3: no unused session id could be generated. The reference calls this `ID_GENERATION_ERROR`.
    #[error("Bad request")]
    IdGeneration,
    /// Code 4, status 403: the application refuses the request, with this message. An empty message is replaced with `Forbidden`.
    #[error("{}", if .0.is_empty() { "Forbidden" } else { .0 })]
    Forbidden(&'a str),
    /// Code 5: `EIO` is not 4, and the server does not accept revision 3 ([`Config::allow_eio3`]).
    #[error("Unsupported protocol version")]
    UnsupportedVersion,
    /// Code 3, status 503: the server is shutting down and opens no more sessions. Clients know no better code. The reference has no such
    /// response, because it has closed its listener by then.
    #[error("Service unavailable")]
    Unavailable,
}

impl Refusal<'_> {
    /// The code on the wire.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSid => 1,
            Self::BadHandshakeMethod => 2,
            Self::BadRequest
            | Self::InvalidOrigin
            | Self::TransportMismatch
            | Self::IdGeneration
            | Self::Unavailable => 3,
            Self::Forbidden(_) => 4,
            Self::UnsupportedVersion => 5,
        }
    }

    /// The response. It has a JSON body. For a refused upgrade, it has the plain message and the header `connection: close`.
    #[must_use]
    pub fn response(&self, upgrade: bool) -> Response {
        let status = match self {
            Self::Forbidden(_) => 403,
            Self::Unavailable => 503,
            _ => 400,
        };
        if upgrade {
            let headers = &[("connection", "close"), ("content-type", "text/html")];
            return Response::new(status, headers, self.to_string().into()).refusing(self.without_message());
        }
        let body = format!(r#"{{"code":{},"message":{}}}"#, self.code(), JsonString(&self.to_string()));
        Response::new(status, &[("content-type", "application/json")], body.into()).refusing(self.without_message())
    }

    const fn without_message(self) -> Refusal<'static> {
        match self {
            Self::UnknownTransport => Refusal::UnknownTransport,
            Self::UnknownSid => Refusal::UnknownSid,
            Self::BadHandshakeMethod => Refusal::BadHandshakeMethod,
            Self::BadRequest => Refusal::BadRequest,
            Self::InvalidOrigin => Refusal::InvalidOrigin,
            Self::TransportMismatch => Refusal::TransportMismatch,
            Self::IdGeneration => Refusal::IdGeneration,
            Self::Forbidden(_) => Refusal::Forbidden(""),
            Self::UnsupportedVersion => Refusal::UnsupportedVersion,
            Self::Unavailable => Refusal::Unavailable,
        }
    }
}

impl Server {
    /// A server with these settings.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config: Arc::new(config) }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Decides where a request goes. Takes time and memory in proportion to the length of the query.
    ///
    /// The request is checked in the reference's order, and the first check that fails determines the response:
    ///
    /// 1. Code 0 if the server does not offer `transport` over HTTP requests. This includes WebTransport.
    /// 2. Code 3 if `Origin` has control characters other than tab.
    /// 3. With a `sid`: code 1 if it is not a valid id. The driver then looks up the session, and [`Session::admit`] checks the request.
    /// 4. Without a `sid`, or with an empty one: code 2 unless the method is GET. Code 3 if the request is a WebSocket upgrade and
    ///    `transport` is not `websocket`, or the reverse. Code 5 unless `EIO` is exactly `4`, or [`Config::allow_eio3`] is on: every other
    ///    `EIO`, and none, is then revision 3.
    ///
    /// This differs from the reference in two ways:
    ///
    /// * The reference sends the `101` before it detects an upgrade with `transport=polling`, and then closes the WebSocket at once. Also
    ///   after the `101`, it detects an upgrade of another revision, and then writes an HTTP response into the WebSocket.
    /// * The reference checks the revision after the application's own check. Here, the application's check comes last.
    pub fn route(&self, head: &RequestHead<'_>) -> Route {
        let query = Query::parse(head.query);
        let refuse = |refusal: Refusal<'_>| Route::Reply(refusal.response(head.websocket));
        let served = match &*query.transport {
            "polling" => self.config.transports.polling,
            "websocket" => self.config.transports.websocket,
            _ => false,
        };
        if !served {
            return refuse(Refusal::UnknownTransport);
        }
        if !head.origin.unwrap_or_default().iter().all(|byte| is_header_character(*byte)) {
            return refuse(Refusal::InvalidOrigin);
        }
        let revision = Revision::from_value(&query.revision);
        let consistent = head.websocket == (query.transport == "websocket");
        if !query.sid.is_empty() {
            let Ok(sid) = Sid::new(&query.sid) else { return refuse(Refusal::UnknownSid) };
            let kind = match head.method {
                _ if head.websocket => RequestKind::Link(LinkKind::WebSocket),
                "GET" => RequestKind::Get,
                "POST" => RequestKind::Post,
                _ => RequestKind::Other,
            };
            return Route::Session { sid, session_request: SessionRequest { kind, consistent, revision } };
        }
        if head.method != "GET" {
            return refuse(Refusal::BadHandshakeMethod);
        }
        if !consistent {
            return refuse(Refusal::TransportMismatch);
        }
        if revision == Revision::V3 && !self.config.allow_eio3 {
            return refuse(Refusal::UnsupportedVersion);
        }
        if query.jsonp.is_some() && !self.config.allow_jsonp {
            return refuse(Refusal::UnknownTransport);
        }
        let link = head.websocket.then_some(LinkKind::WebSocket);
        // As in JavaScript, every string but the empty one is true.
        let base64 = !query.base64.is_empty();
        let jsonp = query.jsonp.as_deref().map(Callback::from_query);
        Route::Open(Handshake { config: Arc::clone(&self.config), link, wire: Wire::new(revision, base64, jsonp) })
    }

    /// Starts to handle a WebTransport session. Its first packet determines whether it opens a session or upgrades one.
    #[must_use]
    pub fn incoming(&self, now: Instant) -> Incoming {
        Incoming::new(Arc::clone(&self.config), now)
    }
}

impl Handshake {
    /// Creates the session. Pass the request or link of the handshake as its first input, which the session answers with the open packet.
    /// Without a first input, the session closes after [`Config::upgrade_timeout`].
    #[must_use]
    pub fn accept(self, now: Instant, sid: Sid) -> Session {
        Session::new(self, sid, now)
    }

    /// Refuses the request, and returns the response to send. [`Refusal::Forbidden`] is for the application's own reasons.
    #[must_use]
    pub fn refuse(self, refusal: Refusal<'_>) -> Response {
        refusal.response(self.link.is_some())
    }

    /// The kind of link that opens the session, or `None` if the session polls.
    #[must_use]
    pub const fn link(&self) -> Option<LinkKind> {
        self.link
    }

    /// The revision of the session.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.wire.revision()
    }

    /// What the request asks of the session that it opens. With this, a driver can handle it like every later request.
    #[must_use]
    pub const fn session_request(&self) -> SessionRequest {
        let kind = match self.link {
            Some(kind) => RequestKind::Link(kind),
            None => RequestKind::Get,
        };
        SessionRequest { kind, consistent: true, revision: self.revision() }
    }
}

/// Whether Node allows this character in a header value.
const fn is_header_character(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
