//! What surrounds the sessions in HTTP: who is accepted, and the headers and encoding of responses. Everything here is off by default, and
//! then costs one branch for each request.
//!
//! | file | what |
//! |---|---|
//! | `allow` | asks the application whether to accept a handshake |
//! | `origins`, `cors` | which pages of other origins may use the server |
//! | `cookie` | the cookie of a session |
//! | `hooks` | callbacks for headers, refused requests and session ids |
//! | `compression` | compressed responses to polls (feature `compression`) |
//! | `proxies` | the address of a client behind proxies |
//! | `websocket` | WebSocket handshakes |
//! | `builder` | the builder methods of both servers |

mod allow;
mod builder;
#[cfg(feature = "compression")]
mod compression;
mod cookie;
mod cors;
mod hooks;
mod origins;
mod proxies;
mod websocket;

use std::future::poll_fn;
use std::task::Poll;

use http::HeaderMap;
use http::request::Parts;

pub(crate) use self::allow::{AllowRequest, NotAllowed};
pub use self::allow::{Decision, Permission};
pub(crate) use self::builder::http_settings;
#[cfg(feature = "compression")]
pub use self::compression::Compression;
pub use self::cookie::{Cookie, SameSite};
pub use self::cors::Cors;
use self::hooks::{AddHeaders, GenerateId, OnConnectionError};
pub use self::hooks::{ConnectionError, ErrorContext};
pub use self::origins::Origins;
pub use self::proxies::ClientAddress;
pub(crate) use self::websocket::{Accept, switching_protocols};
use crate::body::Body;
use crate::log_limit::{Occurrences, log_limited, truncate};

/// The names and values of headers, for the parsers of the protocols.
pub(crate) fn fields(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

/// Lets other tasks that are ready run first.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Selects one of the subprotocols that a WebSocket handshake offers; see `ServerBuilder::select_protocol`.
pub(crate) type SelectProtocol = dyn for<'a> Fn(&[&'a str]) -> Option<&'a str> + Send + Sync;

/// The settings for HTTP requests, before a session receives them.
pub(crate) struct HttpSettings {
    pub(crate) path: String,
    pub(crate) select_protocol: Option<Box<SelectProtocol>>,
    /// The size limit in bytes of a handshake's request head, which is kept with its session.
    pub(crate) max_head: usize,
    pub(crate) allow: Option<AllowRequest>,
    pub(crate) max_waiting_requests: usize,
    pub(crate) max_sessions: usize,
    pub(crate) check_origin: Option<Origins>,
    pub(crate) cors: Option<Cors>,
    pub(crate) cookie: Option<Cookie>,
    pub(crate) initial_headers: Option<Box<AddHeaders>>,
    pub(crate) headers: Option<Box<AddHeaders>>,
    pub(crate) on_connection_error: Option<Box<OnConnectionError>>,
    pub(crate) generate_id: Option<Box<GenerateId>>,
    pub(crate) client_address: Option<ClientAddress>,
    #[cfg(feature = "compression")]
    pub(crate) compression: Option<Compression>,
    /// Compresses WebSocket messages from this size on, if the client agrees; see `ServerBuilder::per_message_deflate`.
    pub(crate) deflate_threshold: Option<u32>,
    /// Panics of the user's callbacks. Any request can cause them.
    panicked: Occurrences,
    /// Failures of `generate_id`.
    no_id: Occurrences,
}

impl HttpSettings {
    pub(crate) fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            select_protocol: None,
            // The limit of Node's HTTP server.
            max_head: 16 * 1024,
            allow: None,
            max_waiting_requests: 1024,
            max_sessions: usize::MAX,
            check_origin: None,
            cors: None,
            cookie: None,
            initial_headers: None,
            headers: None,
            on_connection_error: None,
            generate_id: None,
            client_address: None,
            #[cfg(feature = "compression")]
            compression: None,
            deflate_threshold: None,
            panicked: Occurrences::new(),
            no_id: Occurrences::new(),
        }
    }

    /// Before a request is handled: completes it, or answers it at once.
    pub(crate) fn before(&self, parts: &mut Parts) -> Option<http::Response<Body>> {
        self.complete(parts);
        self.cors.as_ref()?.preflight(parts)
    }

    /// Adds to a request what the settings say about it.
    pub(crate) fn complete(&self, parts: &mut Parts) {
        if let Some(client) = &self.client_address {
            client.apply(parts);
        }
    }

    /// After a request was handled, whatever the response.
    pub(crate) fn after(&self, parts: &Parts, response: &mut http::Response<Body>) {
        if let Some(cors) = &self.cors {
            cors.apply(parts, response);
        }
    }

    /// Whether the response to this handshake may have to be waited for.
    pub(crate) fn may_hold(&self, method: &http::Method) -> bool {
        method == http::Method::GET && self.allow.as_ref().is_some_and(|allow| allow.waits)
    }

    /// Asks the application whether to accept a handshake.
    pub(crate) async fn ask_user(&self, parts: &Parts) -> Result<(), NotAllowed> {
        match &self.allow {
            None => Ok(()),
            Some(allow) => {
                allow.ask(parts, self.max_waiting_requests, |panic| self.log_panic("allow_request", panic)).await
            }
        }
    }

    /// Whether a WebSocket handshake comes from an allowed page, or from no browser.
    pub(crate) fn origin_allowed(&self, parts: &Parts) -> bool {
        let Some(origins) = &self.check_origin else { return true };
        parts.headers.get(http::header::ORIGIN).is_none_or(|origin| origins.allows(origin, parts))
    }

    /// Whether the request for a WebTransport session comes from an allowed page, or from no browser. Without `check_origin`, the rules of
    /// CORS apply, if there are any: browsers do not ask for them.
    pub(crate) fn webtransport_origin_allowed(&self, parts: &Parts) -> bool {
        match (&self.check_origin, &self.cors) {
            (None, Some(cors)) => cors.allows(parts),
            _ => self.origin_allowed(parts),
        }
    }

    fn log_panic(&self, handler: &str, panic: &str) {
        let panic = truncate(panic);
        log_limited!(self.panicked, error, handler, panic, "a handler panicked");
    }
}
