//! Mounting into a tower stack: a layer that answers the endpoint's requests and lets all others through.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Body as HttpBody;
use http_body_util::Either;
use hyper::upgrade::OnUpgrade;
use socketio_driver::{Body, Endpoint, Upgrade};
use tower_layer::Layer;
use tower_service::Service;

use crate::runtime::{Tokio, upgraded};

/// A [`tower::Layer`](tower_layer::Layer): requests on the endpoint's path are answered by the endpoint, all others go on to the service
/// below. The HTTP server has to allow upgrades, as axum's does.
///
/// With axum, and what usually goes with it:
///
/// ```no_run
/// use std::net::SocketAddr;
/// use std::time::Duration;
///
/// use axum::Router;
/// use axum::extract::{ConnectInfo, Request};
/// use axum::http::{HeaderValue, Method, header};
/// use axum::middleware::{Next, from_fn};
/// use axum::response::Response;
/// use axum::routing::get;
/// use axum::serve::ListenerExt as _;
/// use socketio_tokio::{RemoteAddress, Server, Socket, SocketLayer};
/// use tower_http::cors::CorsLayer;
///
/// /// Without it, `socket.handshake().address()` is `None`: only the listener knows the address.
/// async fn tell_address(ConnectInfo(address): ConnectInfo<SocketAddr>, mut request: Request, next: Next) -> Response {
///     request.extensions_mut().insert(RemoteAddress(address));
///     next.run(request).await
/// }
///
/// # async fn run() -> std::io::Result<()> {
/// let server = Server::new();
/// server.on_connect(|socket: Socket| println!("{:?}", socket.handshake().address()));
///
/// let cors = CorsLayer::new()
///     .allow_origin(HeaderValue::from_static("https://app.example"))
///     .allow_methods([Method::GET, Method::POST])
///     .allow_headers([header::CONTENT_TYPE])
///     .allow_credentials(true);
/// let app = Router::new()
///     .route("/", get(|| async { "beside it" }))
///     .layer(SocketLayer::new(server.clone()))
///     // A layer sees requests before those above it: preflights have to be answered before the endpoint would refuse them.
///     .layer(cors)
///     .layer(from_fn(tell_address));
///
/// // axum leaves the operating system's delays on: a packet that follows another one would wait up to 40 ms for it to be acknowledged.
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?.tap_io(|stream| {
///     // It fails when the client is gone already.
///     let _ = stream.set_nodelay(true);
/// });
/// axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
///     .with_graceful_shutdown(async move {
///         let _ = tokio::signal::ctrl_c().await;
///         // First: axum waits for polls that are held, and not for WebSockets.
///         server.shut_down(tokio::time::sleep(Duration::from_secs(10))).await;
///     })
///     .await
/// # }
/// ```
///
/// Whatever accepts the connections has to set `TCP_NODELAY` on them, as above: by the time a WebSocket leaves HTTP its stream may lie
/// under TLS, where it cannot be reached. [`serve`](crate::serve) does so by itself.
///
/// CORS concerns polling; a WebSocket is not subject to it, so that the origins that may connect are checked in
/// [`ServerBuilder::allow_request`](crate::ServerBuilder::allow_request).
#[derive(Clone, Debug)]
pub struct SocketLayer<E> {
    endpoint: E,
}

impl<E: Endpoint> SocketLayer<E> {
    /// A layer for this endpoint.
    pub fn new(endpoint: E) -> Self {
        Self { endpoint }
    }
}

impl<E: Endpoint, S> Layer<S> for SocketLayer<E> {
    type Service = SocketService<E, S>;

    fn layer(&self, inner: S) -> Self::Service {
        SocketService { endpoint: self.endpoint.clone(), inner }
    }
}

/// The service that [`SocketLayer`] makes.
#[derive(Clone, Debug)]
pub struct SocketService<E, S> {
    endpoint: E,
    inner: S,
}

impl<E: Endpoint, S> SocketService<E, S> {
    /// Answers the endpoint's requests, and hands all others to `inner`.
    pub fn new(endpoint: E, inner: S) -> Self {
        Self { endpoint, inner }
    }
}

impl<E, S, B, C> Service<http::Request<B>> for SocketService<E, S>
where
    E: Endpoint,
    S: Service<http::Request<B>, Response = http::Response<C>>,
    S::Future: Send + 'static,
    B: HttpBody<Data: Send, Error: Send> + Send + 'static,
    C: HttpBody<Data = bytes::Bytes>,
{
    type Response = http::Response<Either<Body, C>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        if self.endpoint.matches(request.uri().path()) {
            let endpoint = self.endpoint.clone();
            let upgrade = request.extensions_mut().remove::<OnUpgrade>();
            let upgrade = upgrade.map(|upgrade| Upgrade::new(upgraded(upgrade)));
            Box::pin(async move { Ok(endpoint.respond(&Tokio, request, upgrade).await.map(Either::Left)) })
        } else {
            let response = self.inner.call(request);
            Box::pin(async move { Ok(response.await?.map(Either::Right)) })
        }
    }
}
