//! The HTTP service: answers requests, on the types of the `http` crate.
//!
//! A request that opens a session spawns its task. Every other request goes into the mailbox of its session and waits for the answer.
//! Every request is answered: by its session, or with code 1 if the session has ended.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use engineio_proto::server::{BodyFault, Refusal, RequestKind, Route, SessionRequest};
use engineio_proto::{Config, ContentType, RequestHead, RequestId, Response};
use engineio_websocket::handshake as websocket;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http_body::Body as HttpBody;

use crate::body::{Body, Collected, Confirmation, RequestBody};
use crate::compression::negotiate;
use crate::handler::panic_message;
use crate::handshake::Handshake;
use crate::hub::{Hub, ServerApplication};
use crate::log_limit::{Occurrences, log_limited, truncate};
use crate::peer::HttpEvent;
use crate::runtime::Runtime;
use crate::server_task;
use crate::timers::Alarm;
use crate::turn::PeerOf;
use crate::upgrade::{AnyUpgrade, Upgrade};

/// How long the service waits for the rest of a body that the response does not depend on.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// The number of bytes that are read from the body of a request that matches no endpoint.
const UNMATCHED_BODY: usize = 1_000_000;

/// Accepts or refuses the HTTP request of a handshake; see `ServerBuilder::allow_request`.
pub(crate) type AllowRequest = dyn Fn(&http::request::Parts) -> Result<(), String> + Send + Sync;

/// Selects one of the subprotocols that a WebSocket handshake offers; see `ServerBuilder::select_protocol`.
pub(crate) type SelectProtocol = dyn for<'a> Fn(&[&'a str]) -> Option<&'a str> + Send + Sync;

/// The path of a server.
#[derive(Clone, Debug)]
pub(crate) struct Path(String);

impl Path {
    /// As in the reference, one trailing slash is optional here but required in requests, and the path is a prefix.
    pub(crate) fn new(path: &str) -> Self {
        let path = path.strip_suffix('/').unwrap_or(path);
        let path = path.strip_prefix('/').unwrap_or(path);
        Self(if path.is_empty() { "/".to_owned() } else { format!("/{path}/") })
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        path.starts_with(&self.0)
    }
}

/// Reports to a session that a request was dropped before it was answered.
struct WaitGuard<'a, A: ServerApplication> {
    peer: &'a Arc<PeerOf<A>>,
    request: RequestId,
    waits: bool,
}

impl<A: ServerApplication> Drop for WaitGuard<'_, A> {
    fn drop(&mut self) {
        if self.waits {
            self.peer.push_http(HttpEvent::Aborted { request: self.request });
        }
    }
}

/// The settings for HTTP requests, before a session receives them.
pub(crate) struct HttpSettings {
    pub(crate) path: String,
    pub(crate) allow: Option<Box<AllowRequest>>,
    pub(crate) select_protocol: Option<Box<SelectProtocol>>,
    /// The size limit in bytes of a handshake's request head, which is kept with its session.
    pub(crate) max_head: usize,
    /// Compresses WebSocket messages from this size on, if the client agrees; see `ServerBuilder::per_message_deflate`.
    pub(crate) deflate_threshold: Option<u32>,
    /// Panics of the user's callbacks. Any request can cause them.
    panicked: Occurrences,
}

impl HttpSettings {
    pub(crate) fn new(path: &str) -> Self {
        // The limit of Node's HTTP server.
        Self {
            path: path.to_owned(),
            allow: None,
            select_protocol: None,
            max_head: 16 * 1024,
            deflate_threshold: None,
            panicked: Occurrences::new(),
        }
    }
}

/// The server of an application: its peers, its path, and its settings for requests.
pub(crate) struct Service<A: ServerApplication> {
    pub(crate) hub: Arc<Hub<A>>,
    pub(crate) path: Path,
    settings: HttpSettings,
}

impl<A: ServerApplication> Service<A> {
    pub(crate) fn new(application: impl FnOnce(Alarm) -> A, config: Config, settings: HttpSettings) -> Self {
        Self { hub: Arc::new(Hub::new(application, config)), path: Path::new(&settings.path), settings }
    }

    /// Answers a request whose path matches.
    pub(crate) async fn respond<R, B>(
        &self,
        runtime: &R,
        request: http::Request<B>,
        upgrade: Option<Upgrade<R::Stream>>,
    ) -> http::Response<Body>
    where
        R: Runtime,
        B: HttpBody,
    {
        let (parts, body) = request.into_parts();
        let body = pin!(body);
        let mut body = RequestBody::new(body);
        let mut response = self.answer(runtime, &parts, &mut body, upgrade.map(Upgrade::erase)).await;
        // Twice the limit, so that the answer to a body that is a bit too large is not lost.
        drain_before(&mut response, &parts, &mut body, self.hub.config().max_payload.saturating_mul(2), runtime).await;
        response
    }

    async fn answer<R, B>(
        &self,
        runtime: &R,
        parts: &http::request::Parts,
        body: &mut RequestBody<'_, B>,
        upgrade: Option<AnyUpgrade>,
    ) -> http::Response<Body>
    where
        R: Runtime,
        B: HttpBody,
    {
        let Self { hub, settings, .. } = self;
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let head = RequestHead::new(parts.method.as_str(), target, fields(&parts.headers));
        match hub.server.route(&head) {
            Route::Reply(response) => convert(response),
            Route::Session { sid, session_request } => {
                let Some(peer) = hub.peer(&sid) else { return convert(Hub::<A>::unknown_sid(&session_request)) };
                match session_request.kind() {
                    RequestKind::Link(_) => match settings.accept_websocket(parts, upgrade, body.is_at_end()) {
                        Ok((accept, upgrade)) => attach(hub, &peer, session_request, accept, upgrade).await,
                        Err(response) => response,
                    },
                    _ => exchange(hub, runtime, &peer, session_request, &parts.headers, body).await,
                }
            }
            Route::Open(handshake) => {
                if Handshake::length(parts) > settings.max_head {
                    return head_too_large(settings.max_head);
                }
                if let Err(message) = settings.ask_user(parts) {
                    return convert(handshake.refuse(Refusal::Forbidden(&message)));
                }
                let link = match handshake
                    .link()
                    .map(|_| settings.accept_websocket(parts, upgrade, body.is_at_end()))
                    .transpose()
                {
                    Ok(link) => link,
                    Err(response) => return response,
                };
                let session_request = handshake.session_request();
                let shared = hub.application.shared(parts, hub.config());
                let peer = match server_task::open(hub, runtime, handshake, shared) {
                    Ok(peer) => peer,
                    Err(response) => return convert(response),
                };
                match link {
                    Some((accept, upgrade)) => {
                        peer.push_http(HttpEvent::FirstLink { link: hub.link_id(), upgrade });
                        switching_protocols(accept)
                    }
                    None => exchange(hub, runtime, &peer, session_request, &parts.headers, body).await,
                }
            }
            _ => convert(Refusal::BadRequest.response(head.websocket)),
        }
    }
}

/// Answers a request that no endpoint [matches](crate::Endpoint::matches): 404.
pub async fn not_found<R: Runtime, B: HttpBody>(runtime: &R, request: http::Request<B>) -> http::Response<Body> {
    let (parts, body) = request.into_parts();
    let mut response = http::Response::new(Body::new(Bytes::from_static(b"Not Found")));
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    drain_before(&mut response, &parts, &mut RequestBody::new(pin!(body)), UNMATCHED_BODY, runtime).await;
    response
}

/// Reads and discards the rest of a request's body before the request is answered. If a connection is closed while its peer still sends, it
/// is reset, and the response is lost. If the body does not end in time, the response closes the connection.
async fn drain_before<R: Runtime, B: HttpBody>(
    response: &mut http::Response<Body>,
    parts: &http::request::Parts,
    body: &mut RequestBody<'_, B>,
    max_bytes: usize,
    runtime: &R,
) {
    if body.is_at_end() {
        return;
    }
    // A peer that waits for `100 Continue` does not send its body.
    let waits = parts.headers.contains_key(header::EXPECT);
    if waits || within(pin!(body.drain(max_bytes)), || runtime.sleep(DRAIN_TIME)).await != Some(true) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Lets other tasks that are ready run first.
async fn yield_now() {
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

/// Waits for a future with a timeout. The sleep is created only if the future is pending.
async fn within<F: Future + Unpin, S: Future>(mut future: F, sleep: impl FnOnce() -> S) -> Option<F::Output> {
    if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await {
        return Some(output);
    }
    match select(future, pin!(sleep())).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// The response to a handshake whose head is too large to be kept with a session.
fn head_too_large(limit: usize) -> http::Response<Body> {
    tracing::debug!(
        limit,
        "a handshake was refused because its head is too large: to accept it, raise `max_head_bytes` of the server's builder"
    );
    let mut response = http::Response::new(Body::new(Bytes::from_static(b"the head of the request is too large")));
    *response.status_mut() = http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Passes a GET or POST to its session, and waits for the answer.
async fn exchange<A: ServerApplication, B: HttpBody, R: Runtime>(
    hub: &Hub<A>,
    runtime: &R,
    peer: &Arc<PeerOf<A>>,
    session_request: SessionRequest,
    headers: &HeaderMap,
    body: &mut RequestBody<'_, B>,
) -> http::Response<Body> {
    let request = hub.request_id();
    let content_type = ContentType::from_header(headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes));
    let (reply, mut answer) = oneshot::channel();
    if !peer.push_http(HttpEvent::Request { request, session_request, content_type, reply }) {
        return convert(Hub::<A>::unknown_sid(&session_request));
    }
    let mut guard = WaitGuard::<A> { peer, request, waits: true };
    let mut early = None;
    if session_request.kind() == RequestKind::Post {
        let config = hub.config();
        let collecting = pin!(body.collect(config.max_payload, config.limits.max_body_chunks));
        let collected = within(select(collecting, &mut answer), || runtime.sleep(config.body_timeout)).await;
        let rejected = |fault| HttpEvent::BodyRejected { request, fault };
        let event = match collected {
            Some(Either::Left((Collected::Whole(body), _))) => {
                // Some schedulers run the task that was woken last first. A client that closes sends a GET, and then the close packet in a
                // POST on another connection: the GET has to come first.
                if body.len() == 1 {
                    yield_now().await;
                }
                Some(HttpEvent::Body { request, body })
            }
            Some(Either::Left((Collected::TooLarge, _))) => Some(rejected(BodyFault::TooLarge)),
            Some(Either::Left((Collected::TooManyChunks, _))) => Some(rejected(BodyFault::TooManyChunks)),
            None => Some(rejected(BodyFault::TimedOut)),
            // The guard reports this to the session. No peer is left to read a response.
            Some(Either::Left((Collected::Broken, _))) => return convert(Refusal::BadRequest.response(false)),
            // The session refused the request, or ended, before the body was complete.
            Some(Either::Right((answer, _))) => {
                early = Some(answer);
                None
            }
        };
        if let Some(event) = event {
            peer.push_http(event);
        }
    }
    let answer = match early {
        Some(answer) => answer,
        None => answer.await,
    };
    guard.waits = false;
    match answer {
        Ok(response) => {
            let peer = Arc::clone(peer);
            let confirmation = Confirmation::new(move |written| {
                peer.push_http(if written { HttpEvent::Replied { request } } else { HttpEvent::Aborted { request } });
            });
            let mut response = respond_with(&response, |body| Body::confirmed(body, confirmation));
            if response.status() == http::StatusCode::OK && is_old_explorer(headers) {
                response.headers_mut().insert(header::X_XSS_PROTECTION, HeaderValue::from_static("0"));
            }
            response
        }
        // The runtime has dropped the session's task.
        Err(oneshot::Canceled) => convert(Hub::<A>::unknown_sid(&session_request)),
    }
}

/// Offers a link to its session, and answers the request as the session decides.
async fn attach<A: ServerApplication>(
    hub: &Hub<A>,
    peer: &Arc<PeerOf<A>>,
    session_request: SessionRequest,
    accept: Accept,
    upgrade: AnyUpgrade,
) -> http::Response<Body> {
    let (admission, answer) = oneshot::channel();
    if !peer.push_http(HttpEvent::Link { link: hub.link_id(), session_request, upgrade, admission }) {
        return convert(Hub::<A>::unknown_sid(&session_request));
    }
    match answer.await {
        Ok(Ok(())) => switching_protocols(accept),
        Ok(Err(response)) => convert(response),
        Err(oneshot::Canceled) => convert(Hub::<A>::unknown_sid(&session_request)),
    }
}

fn fields(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

/// Whether the client is an old Internet Explorer, whose filter against cross-site scripting takes packets for attacks (engine.io
/// `lib/transports/polling.ts`, `headers`).
fn is_old_explorer(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
    [&b";MSIE"[..], b"Trident/"].iter().any(|name| agent.windows(name.len()).any(|part| part == *name))
}

/// The values of the headers that accept a WebSocket handshake.
struct Accept {
    key: HeaderValue,
    protocol: Option<HeaderValue>,
    extension: Option<HeaderValue>,
}

impl HttpSettings {
    /// Calls `allow_request`. The request is refused if the callback panics.
    fn ask_user(&self, parts: &http::request::Parts) -> Result<(), String> {
        let Some(allow) = &self.allow else { return Ok(()) };
        catch_unwind(AssertUnwindSafe(|| allow(parts))).unwrap_or_else(|panic| {
            self.log_panic("allow_request", &panic_message(panic.as_ref()));
            Err(String::new())
        })
    }

    fn log_panic(&self, handler: &str, panic: &str) {
        let panic = truncate(panic);
        log_limited!(self.panicked, error, handler, panic, "a handler panicked");
    }

    /// Checks a WebSocket handshake. Returns the response's headers and the upgrade, or the response that refuses the handshake.
    fn accept_websocket(
        &self,
        parts: &http::request::Parts,
        upgrade: Option<AnyUpgrade>,
        has_no_body: bool,
    ) -> Result<(Accept, AnyUpgrade), http::Response<Body>> {
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
        // A body would be taken for frames.
        if !has_no_body {
            return Err(refused(400, &[], "a WebSocket handshake must not have a body".to_owned()));
        }
        // RFC 6455 section 4.2.1.
        if parts.method != http::Method::GET {
            return Err(refused(405, &[("allow", "GET")], "a WebSocket handshake must be a GET request".to_owned()));
        }
        if parts.version < http::Version::HTTP_11 {
            return Err(refused(400, &[], "a WebSocket handshake needs HTTP/1.1".to_owned()));
        }
        let accept = websocket::accept(fields(&parts.headers))
            .map_err(|error| refused(error.status(), error.headers(), error.to_string()))?;
        let key = HeaderValue::from_bytes(accept.as_bytes()).map_err(|error| refused(500, &[], error.to_string()))?;
        let offered: Vec<&str> = websocket::protocols(fields(&parts.headers)).collect();
        let protocol = self.select_protocol(&offered).and_then(|protocol| HeaderValue::from_str(protocol).ok());
        let (compression, extension) = negotiate(self.deflate_threshold, &parts.headers).unzip();
        let mut upgrade = upgrade.ok_or_else(|| {
            // One for the process: every request has the same fault.
            static NO_UPGRADES: Occurrences = Occurrences::new();
            log_limited!(
                NO_UPGRADES,
                error,
                "a WebSocket was refused because the HTTP server does not offer upgrades: serve connections with upgrades enabled"
            );
            refused(500, &[], "the HTTP server does not offer upgrades".to_owned())
        })?;
        upgrade.compression = compression;
        Ok((Accept { key, protocol, extension }, upgrade))
    }

    /// The subprotocol that `select_protocol` returns, or the first one without such a callback.
    fn select_protocol<'a>(&self, offered: &[&'a str]) -> Option<&'a str> {
        let first = offered.first().copied()?;
        let Some(select) = &self.select_protocol else { return Some(first) };
        catch_unwind(AssertUnwindSafe(|| select(offered))).unwrap_or_else(|panic| {
            self.log_panic("select_protocol", &panic_message(panic.as_ref()));
            None
        })
    }
}

fn switching_protocols(accept: Accept) -> http::Response<Body> {
    let mut response = http::Response::new(Body::new(Bytes::new()));
    *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.key);
    if let Some(protocol) = accept.protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    if let Some(extension) = accept.extension {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, extension);
    }
    response
}

/// Converts a machine's response to one of the `http` crate.
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
