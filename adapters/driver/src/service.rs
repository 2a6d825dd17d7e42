//! The HTTP side: a request in, a response out, on the types of the `http` crate.
//!
//! A request that opens a session gives it a task; every other one is put into its session's mailbox and waits for the answer. Whatever
//! happens meanwhile, it is answered: by the session, or, when that is gone, with code 1.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use engineio_proto::server::{Ask, AskKind, Refusal, Route};
use engineio_proto::{Config, ContentType, RequestHead, RequestId, Response};
use engineio_websocket::handshake as websocket;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http_body::Body as HttpBody;
use hyper::upgrade::OnUpgrade;

use crate::body::{Body, Collected, Guard, collect};
use crate::handler::panic_message;
use crate::hub::{Hub, PeerOf};
use crate::peer::Arrival;
use crate::runtime::Runtime;
use crate::turn::Application;

/// Decides on the HTTP request of a handshake; see `ServerBuilder::allow_request`.
pub(crate) type AllowRequest = dyn Fn(&http::request::Parts) -> Result<(), String> + Send + Sync;

/// The path that a server answers on.
#[derive(Clone, Debug)]
pub(crate) struct Path(String);

impl Path {
    /// As the reference: one trailing slash is taken off and put back, and the path is a prefix.
    pub(crate) fn new(path: &str) -> Self {
        let path = path.strip_suffix('/').unwrap_or(path);
        let path = path.strip_prefix('/').unwrap_or(path);
        Self(if path.is_empty() { "/".to_owned() } else { format!("/{path}/") })
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        path.starts_with(&self.0)
    }
}

/// Tells a session what became of the response to one of its requests.
struct ReplyGuard<A: Application> {
    peer: Arc<PeerOf<A>>,
    request: RequestId,
}

impl<A: Application> Guard for ReplyGuard<A> {
    fn finished(self: Box<Self>, written: bool) {
        let request = self.request;
        self.peer.arrive(if written { Arrival::Replied { request } } else { Arrival::Aborted { request } });
    }
}

/// Tells a session that a request was dropped while it waited, unless it is disarmed.
struct WaitGuard<'a, A: Application> {
    peer: &'a Arc<PeerOf<A>>,
    request: RequestId,
    armed: bool,
}

impl<A: Application> Drop for WaitGuard<'_, A> {
    fn drop(&mut self) {
        if self.armed {
            self.peer.arrive(Arrival::Aborted { request: self.request });
        }
    }
}

/// A server of an application: its peers, its path, and who may come in.
pub(crate) struct Service<A: Application> {
    pub(crate) hub: Arc<Hub<A>>,
    pub(crate) path: Path,
    allow: Option<Box<AllowRequest>>,
}

impl<A: Application> Service<A> {
    pub(crate) fn new(application: A, config: Config, path: &str, allow: Option<Box<AllowRequest>>) -> Self {
        Self { hub: Arc::new(Hub::new(application, config)), path: Path::new(path), allow }
    }

    /// Answers one request whose path matched.
    pub(crate) async fn respond<R, B>(&self, runtime: &R, request: http::Request<B>) -> http::Response<Body>
    where
        R: Runtime,
        B: HttpBody,
    {
        let Self { hub, allow, .. } = self;
        let (mut parts, body) = request.into_parts();
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let wants_websocket = is_websocket(&parts.headers);
        let head = RequestHead {
            method: parts.method.as_str(),
            query: parts.uri.query().unwrap_or_default(),
            origin: parts.headers.get(header::ORIGIN).map(HeaderValue::as_bytes),
            websocket: wants_websocket,
        };
        match hub.server.route(&head) {
            Route::Reply(response) => convert(response),
            Route::Session { sid, ask } => {
                let Some(peer) = hub.peer(&sid) else { return convert(Hub::<A>::unknown_sid(&ask)) };
                match ask.kind() {
                    AskKind::Link(_) => match websocket_accept(&parts, upgrade) {
                        Ok((accept, upgrade)) => attach(hub, &peer, ask, accept, upgrade).await,
                        Err(response) => response,
                    },
                    _ => exchange(hub, &peer, ask, &parts.headers, body).await,
                }
            }
            Route::Open(handshake) => {
                if let Err(message) = allow.as_ref().map_or(Ok(()), |allow| ask_user(allow, &parts)) {
                    return convert(handshake.refuse(Refusal::Forbidden(&message)));
                }
                let link = match handshake.link().map(|_| websocket_accept(&parts, upgrade)).transpose() {
                    Ok(link) => link,
                    Err(response) => return response,
                };
                let ask = handshake.ask();
                let shared = hub.application.shared(&parts, hub.config());
                let peer = match hub.open(runtime, handshake, shared) {
                    Ok(peer) => peer,
                    Err(response) => return convert(response),
                };
                match link {
                    Some((accept, upgrade)) => {
                        peer.arrive(Arrival::FirstLink { link: hub.link_id(), upgrade });
                        switching_protocols(accept)
                    }
                    None => exchange(hub, &peer, ask, &parts.headers, body).await,
                }
            }
            _ => convert(Refusal::BadRequest.response(wants_websocket)),
        }
    }
}

/// Asks the user's code. Who it panics over was not allowed, and is answered like others who were not.
fn ask_user(allow: &AllowRequest, parts: &http::request::Parts) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| allow(parts))).unwrap_or_else(|panic| {
        let panic = panic_message(panic.as_ref());
        tracing::error!(handler = "allow_request", panic, "a handler panicked");
        Err(String::new())
    })
}

/// Hands a GET or a POST to its session, and waits for the answer.
async fn exchange<A: Application, B: HttpBody>(
    hub: &Hub<A>,
    peer: &Arc<PeerOf<A>>,
    ask: Ask,
    headers: &HeaderMap,
    body: B,
) -> http::Response<Body> {
    let request = hub.request_id();
    let content_type = ContentType::from_header(headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes));
    let (reply, mut answer) = oneshot::channel();
    if !peer.arrive(Arrival::Request { request, ask, content_type, reply }) {
        return convert(Hub::<A>::unknown_sid(&ask));
    }
    let mut guard = WaitGuard::<A> { peer, request, armed: true };
    let early = if ask.kind() == AskKind::Post {
        let collecting = std::pin::pin!(collect(body, hub.config().max_payload));
        match select(collecting, &mut answer).await {
            Either::Left((Collected::Whole(body), _)) => {
                peer.arrive(Arrival::Body { request, body });
                None
            }
            Either::Left((Collected::TooLarge, _)) => {
                peer.arrive(Arrival::BodyTooLarge { request });
                None
            }
            // The guard tells the session; nobody is left to read an answer.
            Either::Left((Collected::Broken, _)) => return convert(Refusal::BadRequest.response(false)),
            // Refused, or the session ended, before the body was here: the rest is not read.
            Either::Right((answer, _)) => Some(answer),
        }
    } else {
        None
    };
    let answer = match early {
        Some(answer) => answer,
        None => answer.await,
    };
    guard.armed = false;
    match answer {
        Ok(response) => {
            let guard = Box::new(ReplyGuard::<A> { peer: Arc::clone(peer), request });
            let mut response = respond_with(&response, |body| Body::guarded(body, guard));
            if response.status() == http::StatusCode::OK && is_old_explorer(headers) {
                response.headers_mut().insert(header::X_XSS_PROTECTION, HeaderValue::from_static("0"));
            }
            response
        }
        // The session ended without a word: its task was dropped by the runtime.
        Err(oneshot::Canceled) => convert(Hub::<A>::unknown_sid(&ask)),
    }
}

/// Asks a session whether it takes this link.
async fn attach<A: Application>(
    hub: &Hub<A>,
    peer: &Arc<PeerOf<A>>,
    ask: Ask,
    accept: HeaderValue,
    upgrade: OnUpgrade,
) -> http::Response<Body> {
    let (admission, answer) = oneshot::channel();
    if !peer.arrive(Arrival::Link { link: hub.link_id(), ask, upgrade, admission }) {
        return convert(Hub::<A>::unknown_sid(&ask));
    }
    match answer.await {
        Ok(Ok(())) => switching_protocols(accept),
        Ok(Err(response)) => convert(response),
        Err(oneshot::Canceled) => convert(Hub::<A>::unknown_sid(&ask)),
    }
}

fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Internet Explorer's filter against cross-site scripting took packets for attacks (engine.io `lib/transports/polling.ts`, `headers`).
fn is_old_explorer(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
    [&b";MSIE"[..], b"Trident/"].iter().any(|name| agent.windows(name.len()).any(|part| part == *name))
}

/// Checks the WebSocket handshake, and finds what will become of the connection.
fn websocket_accept(
    parts: &http::request::Parts,
    upgrade: Option<OnUpgrade>,
) -> Result<(HeaderValue, OnUpgrade), http::Response<Body>> {
    let refused = |status: u16, headers: &[(&'static str, &'static str)], message: String| {
        let mut response = http::Response::new(Body::new(message.into()));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_REQUEST);
        for (name, value) in headers {
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
        }
        response
    };
    // RFC 6455 section 4.2.1.
    if parts.method != http::Method::GET {
        return Err(refused(405, &[("allow", "GET")], "a WebSocket is asked for with GET".to_owned()));
    }
    if parts.version < http::Version::HTTP_11 {
        return Err(refused(400, &[], "a WebSocket needs HTTP/1.1".to_owned()));
    }
    let fields = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let accept =
        websocket::accept(fields).map_err(|error| refused(error.status(), error.headers(), error.to_string()))?;
    let accept = HeaderValue::from_bytes(accept.as_bytes()).map_err(|error| refused(500, &[], error.to_string()))?;
    let upgrade = upgrade.ok_or_else(|| {
        tracing::error!("the HTTP server offers no upgrades: serve the connection with upgrades enabled");
        refused(500, &[], "upgrades are not enabled".to_owned())
    })?;
    Ok((accept, upgrade))
}

fn switching_protocols(accept: HeaderValue) -> http::Response<Body> {
    let mut response = http::Response::new(Body::new(Bytes::new()));
    *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// A machine's response as one of the `http` crate.
pub(crate) fn convert(response: Response) -> http::Response<Body> {
    respond_with(&response, Body::new)
}

fn respond_with(response: &Response, body: impl FnOnce(Bytes) -> Body) -> http::Response<Body> {
    let mut converted = http::Response::new(body(response.body().clone()));
    *converted.status_mut() =
        http::StatusCode::from_u16(response.status()).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers() {
        converted.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    converted
}
