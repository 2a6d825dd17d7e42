//! The server's half: where a request goes ([`Server::route`]), and the peer that it goes to ([`Session`]).
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
pub use self::io::{BodyFault, Carrier, Input, LinkDownCause, Transmit};
pub use self::machine::ServerMachine;
pub use self::session::Session;
use crate::config::Config;
use crate::event::LinkKind;
use crate::handshake::Query;
use crate::http::{RequestHead, Response};
use crate::id::Sid;
use crate::json::JsonString;
use crate::payload::jsonp::Callback;
use crate::shared::Arc;
use crate::time::Instant;
use crate::wire::Wire;

/// Routes requests. Holds settings and nothing else: the table of sessions is the driver's.
#[derive(Clone, Debug)]
pub struct Server {
    config: Arc<Config>,
}

/// Where a request goes.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Route {
    /// It opens a session: accept or refuse it.
    Open(Handshake),
    /// It belongs to a session. Look the id up; answer a miss with `ask.refuse(Refusal::UnknownSid)`. Ask the session
    /// ([`Session::admit`]) before a `101` is sent or a body is read.
    Session {
        /// The id that the request names.
        sid: Sid,
        /// What it wants there.
        ask: Ask,
    },
    /// It ends here, with this answer.
    Reply(Response),
}

/// What a request wants of its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    pub(crate) kind: AskKind,
    /// Whether a session of revision 4 can answer it: `EIO` was exactly `4`, and the request is what its `transport` names.
    pub(crate) consistent: bool,
}

/// The kind of an [`Ask`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AskKind {
    /// A GET: hand in [`Input::Poll`].
    Poll,
    /// A POST: hand in [`Input::Post`], then its body.
    Post,
    /// Become a link: answer with `101`, then hand in [`Input::LinkUp`].
    Link(LinkKind),
    /// Some other method, which [`Session::admit`] refuses with 500.
    Other,
}

impl Ask {
    /// What kind of request it is.
    #[must_use]
    pub const fn kind(&self) -> AskKind {
        self.kind
    }

    /// The answer that refuses this request.
    #[must_use]
    pub fn refuse(&self, refusal: Refusal<'_>) -> Response {
        refusal.response(matches!(self.kind, AskKind::Link(_)))
    }
}

/// A request that may open a session. Spend it: [`Handshake::accept`] or [`Handshake::refuse`].
#[derive(Debug)]
#[must_use = "accept or refuse it, and answer its request"]
pub struct Handshake {
    config: Arc<Config>,
    /// The link it comes over; `None` when it polls.
    link: Option<LinkKind>,
    wire: Wire,
}

/// Why a request is refused. Display is the reference's message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
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
    /// Code 3: a bad origin, another transport or revision than the session's, no unused id to be had.
    #[error("Bad request")]
    BadRequest,
    /// Code 4, status 403: the application refuses, with a message of its own; an empty one reads `Forbidden`.
    #[error("{}", if .0.is_empty() { "Forbidden" } else { .0 })]
    Forbidden(&'a str),
    /// Code 5: `EIO` is not 4.
    #[error("Unsupported protocol version")]
    UnsupportedVersion,
    /// Status 503, code 3 (clients know no better one): the server is shutting down and opens no more sessions. The
    /// reference has no such answer; its listener is closed by then.
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
            Self::BadRequest | Self::Unavailable => 3,
            Self::Forbidden(_) => 4,
            Self::UnsupportedVersion => 5,
        }
    }

    /// The response: a JSON body for HTTP, the plain message (and the end of the connection) for a refused upgrade.
    #[must_use]
    pub fn response(&self, upgrade: bool) -> Response {
        let status = match self {
            Self::Forbidden(_) => 403,
            Self::Unavailable => 503,
            _ => 400,
        };
        if upgrade {
            let headers = &[("connection", "close"), ("content-type", "text/html")];
            return Response::new(status, headers, self.to_string().into());
        }
        let body = format!(r#"{{"code":{},"message":{}}}"#, self.code(), JsonString(&self.to_string()));
        Response::new(status, &[("content-type", "application/json")], body.into())
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

    /// Where this request goes. Takes time and memory in proportion to the length of its query.
    ///
    /// What is wrong with a request is looked for in the reference's order, and the first thing found is the answer:
    ///
    /// 1. `transport` is not served over HTTP requests (WebTransport never is): code 0.
    /// 2. `Origin` has control characters: code 3.
    /// 3. With a `sid`: code 1 when it cannot be an id. Whether there is such a session, and whether it may be asked so, is
    ///    left to the driver's table and [`Session::admit`].
    /// 4. Without one (or with an empty one): code 2 unless the method is GET; code 3 unless a WebSocket comes as an upgrade, and only that;
    ///    code 5 unless `EIO` is exactly `4`.
    ///
    /// Two departures from the reference, which has found the following only after the `101`: an upgrade with
    /// `transport=polling` (it closes that WebSocket at once), and another revision (it writes an HTTP response into the WebSocket); and it
    /// looks at the revision after the application's own check, which here comes last.
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
            return refuse(Refusal::BadRequest);
        }
        let revision4 = query.revision == "4";
        let consistent = head.websocket == (query.transport == "websocket");
        if !query.sid.is_empty() {
            let Ok(sid) = Sid::new(&query.sid) else { return refuse(Refusal::UnknownSid) };
            let kind = match head.method {
                _ if head.websocket => AskKind::Link(LinkKind::WebSocket),
                "GET" => AskKind::Poll,
                "POST" => AskKind::Post,
                _ => AskKind::Other,
            };
            return Route::Session { sid, ask: Ask { kind, consistent: revision4 && consistent } };
        }
        if head.method != "GET" {
            return refuse(Refusal::BadHandshakeMethod);
        }
        if !consistent {
            return refuse(Refusal::BadRequest);
        }
        if !revision4 {
            return refuse(Refusal::UnsupportedVersion);
        }
        let link = head.websocket.then_some(LinkKind::WebSocket);
        // As in JavaScript, any value but the empty one is true.
        let base64 = !query.base64.is_empty();
        let jsonp = query.jsonp.as_deref().map(Callback::from_query);
        Route::Open(Handshake { config: Arc::clone(&self.config), link, wire: Wire::v4(base64, jsonp) })
    }

    /// A WebTransport session that has come, and has yet to say whether it is new or an upgrade.
    #[must_use]
    pub fn incoming(&self, now: Instant) -> Incoming {
        Incoming::new(Arc::clone(&self.config), now)
    }
}

impl Handshake {
    /// Opens the session. The request or link that brought the handshake is its first input, and the open packet the answer;
    /// a session whose first input never comes closes after [`Config::upgrade_timeout`].
    #[must_use]
    pub fn accept(self, now: Instant, sid: Sid) -> Session {
        Session::new(self, sid, now)
    }

    /// Refuses; the response to send. `Refusal::Forbidden` is for the application's own reasons.
    #[must_use]
    pub fn refuse(self, refusal: Refusal<'_>) -> Response {
        refusal.response(self.link.is_some())
    }

    /// The link it comes over; `None` when it polls.
    #[must_use]
    pub const fn link(&self) -> Option<LinkKind> {
        self.link
    }

    /// What its request asks of the session that it opens: a driver can treat it as every later one.
    #[must_use]
    pub const fn ask(&self) -> Ask {
        let kind = match self.link {
            Some(kind) => AskKind::Link(kind),
            None => AskKind::Poll,
        };
        Ask { kind, consistent: true }
    }
}

/// The characters that Node allows in a header's value.
const fn is_header_character(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
