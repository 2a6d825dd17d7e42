//! What a listener or a router serves: something with a path that answers requests, and can be ended.

use std::future::Future;

use engineio_proto::RequestHead;
use futures_util::future::Either;
use http_body::Body as HttpBody;

use crate::body::Body;
use crate::runtime::Runtime;
use crate::upgrade::Upgrade;

/// Answers the requests of a path: a [`Server`](crate::Server), an [`EngineServer`](crate::EngineServer), or a pair of endpoints, of which
/// the first that matches answers.
pub trait Endpoint: Clone + Send + Sync + 'static {
    /// Whether a request with this path is for this endpoint.
    fn matches(&self, path: &str) -> bool;

    /// Answers a request whose path [matches](Endpoint::matches). For adapters, and for users with an HTTP server of their own: `upgrade` is
    /// what becomes of the connection if the answer is `101`, `None` where the HTTP server offers no upgrade.
    /// [`RemoteAddress`](crate::RemoteAddress) should be among the request's extensions.
    fn respond<R, B>(
        &self,
        runtime: &R,
        request: http::Request<B>,
        upgrade: Option<Upgrade<R::Stream>>,
    ) -> impl Future<Output = http::Response<Body>> + Send
    where
        R: Runtime,
        B: HttpBody<Data: Send, Error: Send> + Send;

    /// Whether the answer to this request may be held until there is something to say: it polls a session. If the peer of such a request
    /// goes away, nobody waits for the answer; a peer of any other request may have ended its half of the connection to say that it is
    /// complete.
    fn may_hold(&self, method: &http::Method, uri: &http::Uri) -> bool {
        RequestHead::may_be_held(method.as_str(), uri.query().unwrap_or_default())
    }

    /// Ends the service: new sessions are refused with 503, sockets see `server shutting down`, what is queued goes out, links close with
    /// 1001, held polls are answered; polling clients that have nothing to fetch are dropped. Returns when all peers are gone. Peers that are
    /// still there when `deadline` is over are cut off.
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
        D: HttpBody<Data: Send, Error: Send> + Send,
    {
        if self.0.matches(request.uri().path()) {
            Either::Left(self.0.respond(runtime, request, upgrade))
        } else {
            Either::Right(self.1.respond(runtime, request, upgrade))
        }
    }

    async fn shut_down(&self, deadline: impl Future<Output = ()> + Send) {
        use futures_util::FutureExt as _;
        let deadline = deadline.shared();
        futures_util::join!(self.0.shut_down(deadline.clone()), self.1.shut_down(deadline));
    }
}
