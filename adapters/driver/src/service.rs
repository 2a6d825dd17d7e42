//! The HTTP service: answers requests, on the types of the `http` crate.
//!
//! A request that opens a session spawns its task. Every other request goes into the mailbox of its session and waits for the answer.
//! Every request is answered: by its session, or with code 1 if the session has ended.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use engineio_proto::server::{BodyFault, Refusal, RequestKind, Route, SessionRequest};
use engineio_proto::{Config, ContentType, RequestHead, RequestId, Response, Sid};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http_body::Body as HttpBody;

use crate::body::{Body, Collected, Confirmation, RequestBody};
use crate::handshake::Handshake;
use crate::http::{Accept, ErrorContext, HttpSettings, NotAllowed, fields, switching_protocols, yield_now};
use crate::hub::{Hub, ServerApplication, random_bytes};
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

    /// The path, with both slashes.
    #[cfg(any(test, feature = "testkit"))]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
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

/// The server of an application: its peers, its path, and its settings for requests.
pub(crate) struct Service<A: ServerApplication> {
    pub(crate) hub: Arc<Hub<A>>,
    pub(crate) path: Path,
    pub(crate) settings: HttpSettings,
}

impl<A: ServerApplication> Service<A> {
    pub(crate) fn new(application: impl FnOnce(Alarm) -> A, config: Config, settings: HttpSettings) -> Self {
        let generated = settings.generate_id.is_some();
        let mut hub = Hub::new(application, config, generated);
        hub.max_sessions = settings.max_sessions;
        Self { hub: Arc::new(hub), path: Path::new(&settings.path), settings }
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
        let (mut parts, body) = request.into_parts();
        let body = pin!(body);
        let mut body = RequestBody::new(body);
        let mut response = match self.settings.before(&mut parts) {
            Some(response) => response,
            None => self.answer(runtime, &parts, &mut body, upgrade.map(Upgrade::erase)).await,
        };
        let status = response.status().as_u16();
        if status >= 400 {
            let reason = self.hub.counters.request_refused(status, response.body().bytes());
            tracing::debug!(status, reason, "a request was refused");
        }
        self.settings.after(&parts, &mut response);
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
        let route = hub.server.route(&head);
        if head.websocket && !matches!(route, Route::Reply(_)) && !settings.origin_allowed(parts) {
            settings.report(parts, ErrorContext::OriginNotAllowed);
            return convert(Refusal::Forbidden("").response(true));
        }
        match route {
            Route::Reply(response) => self.reply(parts, response),
            Route::Session { sid, session_request } => {
                let exchange = Exchange { service: self, parts, session_request, opens: false };
                let Some(peer) = hub.peer(&sid) else { return exchange.unknown_sid() };
                match session_request.kind() {
                    RequestKind::Link(_) => match settings.accept_websocket(parts, upgrade, body.is_at_end()) {
                        Ok((accept, upgrade)) => exchange.attach(&peer, accept, upgrade).await,
                        Err(response) => response,
                    },
                    _ => exchange.run(runtime, &peer, body).await,
                }
            }
            Route::Open(handshake) => {
                if Handshake::length(parts) > settings.max_head {
                    settings.report(parts, ErrorContext::HeadTooLarge);
                    return head_too_large(settings.max_head);
                }
                match settings.ask_user(parts).await {
                    Ok(()) => {}
                    Err(NotAllowed::Refused(message)) => {
                        settings.report(parts, ErrorContext::Forbidden(&message));
                        return convert(handshake.refuse(Refusal::Forbidden(&message)));
                    }
                    Err(NotAllowed::Busy) => return self.reply(parts, handshake.refuse(Refusal::Unavailable)),
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
                let peer = match server_task::open(hub, runtime, handshake, shared, || self.generate_id(parts)) {
                    Ok(peer) => peer,
                    Err(response) => return self.reply(parts, response),
                };
                match link {
                    Some((accept, upgrade)) => {
                        peer.push_http(HttpEvent::FirstLink { link: hub.link_id(), upgrade });
                        self.switch_protocols(parts, true, accept)
                    }
                    None => {
                        Exchange { service: self, parts, session_request, opens: true }.run(runtime, &peer, body).await
                    }
                }
            }
            _ => self.reply(parts, Refusal::BadRequest.response(head.websocket)),
        }
    }

    /// An id for the session that this request opens.
    pub(crate) fn generate_id(&self, parts: &http::request::Parts) -> Option<Sid> {
        match &self.settings.generate_id {
            None => random_bytes().map(Sid::from_random),
            Some(hook) => self.settings.generate_id(&**hook, parts),
        }
    }

    /// Whether the response to this request may be held, because it polls a session or waits for the application.
    pub(crate) fn may_hold(&self, method: &http::Method, uri: &http::Uri) -> bool {
        RequestHead::may_be_held(method.as_str(), uri.query().unwrap_or_default()) || self.settings.may_hold(method)
    }

    /// Converts a machine's response. If it refuses the request, the application is told.
    fn reply(&self, parts: &http::request::Parts, response: Response) -> http::Response<Body> {
        if let Some(refusal) = response.refusal() {
            self.settings.report(parts, ErrorContext::of(refusal));
        }
        convert(response)
    }

    /// The response that accepts a WebSocket.
    fn switch_protocols(&self, parts: &http::request::Parts, opens: bool, accept: Accept) -> http::Response<Body> {
        let mut response = switching_protocols(accept);
        if self.settings.has_header_hooks() {
            self.settings.add_headers(parts, opens, response.headers_mut());
        }
        response
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

/// A request of a session.
struct Exchange<'a, A: ServerApplication> {
    service: &'a Service<A>,
    parts: &'a http::request::Parts,
    session_request: SessionRequest,
    /// Whether the request opened the session.
    opens: bool,
}

impl<A: ServerApplication> Exchange<'_, A> {
    /// The answer if the session has ended.
    fn unknown_sid(&self) -> http::Response<Body> {
        self.service.reply(self.parts, Hub::<A>::unknown_sid(&self.session_request))
    }

    /// Passes a GET or POST to its session, and waits for the answer.
    async fn run<B: HttpBody, R: Runtime>(
        &self,
        runtime: &R,
        peer: &Arc<PeerOf<A>>,
        body: &mut RequestBody<'_, B>,
    ) -> http::Response<Body> {
        let hub = &self.service.hub;
        let headers = &self.parts.headers;
        let session_request = self.session_request;
        let request = hub.request_id();
        let content_type = ContentType::from_header(headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes));
        let (reply, mut answer) = oneshot::channel();
        if !peer.push_http(HttpEvent::Request { request, session_request, content_type, reply }) {
            return self.unknown_sid();
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
                    // Some schedulers run the task that was woken last first. A client that closes sends a GET, and then the close packet in
                    // a POST on another connection: the GET has to come first. In revision 3, the packet has its length in front.
                    if body.len() == 1 || &body[..] == b"1:1" {
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
        let Ok(response) = answer else {
            // The runtime has dropped the session's task.
            guard.waits = false;
            return self.unknown_sid();
        };
        if let Some(refusal) = response.refusal() {
            self.service.settings.report(self.parts, ErrorContext::of(refusal));
        }
        #[cfg(feature = "compression")]
        let compressed = self.compress(&response).await;
        guard.waits = false;
        let peer = Arc::clone(peer);
        let confirmation = Confirmation::new(move |written| {
            peer.push_http(if written { HttpEvent::Replied { request } } else { HttpEvent::Aborted { request } });
        });
        #[cfg(feature = "compression")]
        let mut converted = match compressed {
            None => respond_with(&response, |body| Body::confirmed(body, confirmation)),
            Some((bytes, coding)) => {
                let mut converted = respond_with(&response, |_| Body::confirmed(bytes, confirmation));
                converted.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
                converted
            }
        };
        #[cfg(not(feature = "compression"))]
        let mut converted = respond_with(&response, |body| Body::confirmed(body, confirmation));
        if converted.status() == http::StatusCode::OK {
            self.complete(guard.peer.sid(), converted.headers_mut());
        }
        converted
    }

    /// Adds headers to a successful response.
    fn complete(&self, sid: Sid, headers: &mut HeaderMap) {
        let settings = &self.service.settings;
        if is_old_explorer(&self.parts.headers) {
            headers.insert(header::X_XSS_PROTECTION, HeaderValue::from_static("0"));
        }
        if let Some(cookie) = settings.cookie.as_ref().filter(|_| self.opens).and_then(|cookie| cookie.value(sid)) {
            headers.append(header::SET_COOKIE, cookie);
        }
        if settings.has_header_hooks() {
            settings.add_headers(self.parts, self.opens, headers);
        }
    }

    /// The compressed body of a poll, and its coding.
    #[cfg(feature = "compression")]
    async fn compress(&self, response: &Response) -> Option<(Bytes, &'static str)> {
        let compression = self.service.settings.compression?;
        if !response.may_compress() {
            return None;
        }
        let coding = compression.coding(&self.parts.headers, response.body().len())?;
        Some((compression.compress(coding, response.body()).await?, coding.name()))
    }

    /// Offers a link to its session, and answers the request as the session decides.
    async fn attach(&self, peer: &Arc<PeerOf<A>>, accept: Accept, upgrade: AnyUpgrade) -> http::Response<Body> {
        let (admission, answer) = oneshot::channel();
        let (link, session_request) = (self.service.hub.link_id(), self.session_request);
        if !peer.push_http(HttpEvent::Link { link, session_request, upgrade, admission }) {
            return self.unknown_sid();
        }
        match answer.await {
            Ok(Ok(())) => self.service.switch_protocols(self.parts, false, accept),
            Ok(Err(response)) => self.service.reply(self.parts, response),
            Err(oneshot::Canceled) => self.unknown_sid(),
        }
    }
}

/// Whether the client is an old Internet Explorer, whose filter against cross-site scripting takes packets for attacks (engine.io
/// `lib/transports/polling.ts`, `headers`).
fn is_old_explorer(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
    [&b";MSIE"[..], b"Trident/"].iter().any(|name| agent.windows(name.len()).any(|part| part == *name))
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
