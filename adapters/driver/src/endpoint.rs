//! The interface of a service to a listener or a router: it has a path, answers requests, and can be shut down.

use std::future::Future;

use engineio_proto::RequestHead;
use futures_util::future::Either;
use http_body::Body as HttpBody;

use crate::body::Body;
use crate::runtime::Runtime;
use crate::upgrade::Upgrade;

/// Answers the requests of a path. A [`Server`](crate::Server) and an [`EngineServer`](crate::EngineServer) are endpoints. A pair of
/// endpoints is one too: the first that matches answers.
pub trait Endpoint: Clone + Send + Sync + 'static {
    /// Whether this endpoint answers requests with this path.
    fn matches(&self, path: &str) -> bool;

    /// Answers a request whose path [matches](Endpoint::matches). This is for adapters, and for applications with their own HTTP server.
    ///
    /// `upgrade` provides the connection if the response is `101`; it is `None` if the HTTP server offers no upgrade. The extensions of the
    /// request should have a [`RemoteAddress`](crate::RemoteAddress).
    fn respond<R, B>(
        &self,
        runtime: &R,
        request: http::Request<B>,
        upgrade: Option<Upgrade<R::Stream>>,
    ) -> impl Future<Output = http::Response<Body>> + Send
    where
        R: Runtime,
        B: HttpBody<Data: Send, Error: Send> + Send + 'static;

    /// Answers the request for a WebTransport session whose path [matches](Endpoint::matches). This is for adapters. Returns once the
    /// session is in use, or was refused: it was not open to this page, its peer sent no valid first packet within
    /// [`EngineConfig::upgrade_timeout`](crate::EngineConfig), or `allow_request` refused it.
    ///
    /// `request` has the absolute URI, and in its extensions the [`RemoteAddress`](crate::RemoteAddress). `answer` sends the response: it
    /// accepts the session, waits for its first bidirectional stream and returns that, or it refuses the session with this status. The
    /// session ends with the stream: when the stream is shut down and everything was delivered, and when it is dropped.
    ///
    /// By default, every session is refused. Layers around an endpoint do not see these requests.
    fn webtransport<R, F>(
        &self,
        _runtime: &R,
        _request: http::request::Parts,
        answer: impl FnOnce(Result<(), http::StatusCode>) -> F + Send,
    ) -> impl Future<Output = ()> + Send
    where
        R: Runtime,
        F: Future<Output = std::io::Result<R::Stream>> + Send,
    {
        let refused = answer(Err(http::StatusCode::NOT_FOUND));
        async move { drop(refused.await) }
    }

    /// Whether the response to this request may be held: the request polls a session and waits for a packet, or it opens one and waits for
    /// `allow_request`.
    ///
    /// If the peer closes its half of the connection during such a request, it no longer waits for the response. During any other request,
    /// it may only mean that the request is complete.
    fn may_hold(&self, method: &http::Method, uri: &http::Uri) -> bool {
        RequestHead::may_be_held(method.as_str(), uri.query().unwrap_or_default())
    }

    /// Shuts the service down gracefully, and returns when all peers are disconnected.
    ///
    /// New sessions are refused with 503. Sockets disconnect with the reason `server shutting down`. Queued packets are sent, links close
    /// with code 1001, and held polls are answered. Polling clients without queued packets are dropped. Peers that are still connected when
    /// `deadline` completes are disconnected at once.
    fn shut_down(&self, deadline: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send;
}

impl<A: Endpoint, B: Endpoint> Endpoint for (A, B) {
    fn matches(&self, path: &str) -> bool {
        self.0.matches(path) || self.1.matches(path)
    }

    fn respond<R, D>(
        &self,
        runtime: &R,
        request: http::Request<D>,
        upgrade: Option<Upgrade<R::Stream>>,
    ) -> impl Future<Output = http::Response<Body>> + Send
    where
        R: Runtime,
        D: HttpBody<Data: Send, Error: Send> + Send + 'static,
    {
        if self.0.matches(request.uri().path()) {
            Either::Left(self.0.respond(runtime, request, upgrade))
        } else {
            Either::Right(self.1.respond(runtime, request, upgrade))
        }
    }

    fn webtransport<R, F>(
        &self,
        runtime: &R,
        request: http::request::Parts,
        answer: impl FnOnce(Result<(), http::StatusCode>) -> F + Send,
    ) -> impl Future<Output = ()> + Send
    where
        R: Runtime,
        F: Future<Output = std::io::Result<R::Stream>> + Send,
    {
        if self.0.matches(request.uri.path()) {
            Either::Left(self.0.webtransport(runtime, request, answer))
        } else {
            Either::Right(self.1.webtransport(runtime, request, answer))
        }
    }

    fn may_hold(&self, method: &http::Method, uri: &http::Uri) -> bool {
        if self.0.matches(uri.path()) { self.0.may_hold(method, uri) } else { self.1.may_hold(method, uri) }
    }

    async fn shut_down(&self, deadline: impl Future<Output = ()> + Send) {
        use futures_util::FutureExt as _;
        let deadline = deadline.shared();
        futures_util::join!(self.0.shut_down(deadline.clone()), self.1.shut_down(deadline));
    }
}
