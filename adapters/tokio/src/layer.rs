//! Mounts an endpoint in a tower stack: the layer answers the endpoint's requests and forwards all others.

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

/// A [`tower::Layer`](tower_layer::Layer) that answers requests on the endpoint's path and forwards all others to the inner service. The
/// HTTP server must allow upgrades, as axum's does.
///
/// A typical setup with axum:
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
/// /// Without this, `socket.handshake().address()` is `None`: only the listener has the address.
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
///     // The last layer runs first: preflights must be answered before the endpoint refuses them.
///     .layer(cors)
///     .layer(from_fn(tell_address));
///
/// // axum does not set TCP_NODELAY. Without it, a packet may wait up to 40 ms until the previous one is acknowledged.
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?.tap_io(|stream| {
///     // Fails only if the client is already disconnected.
///     let _ = stream.set_nodelay(true);
/// });
/// axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
///     .with_graceful_shutdown(async move {
///         let _ = tokio::signal::ctrl_c().await;
///         // First, because axum waits for pending polls, but not for WebSockets.
///         server.shut_down(tokio::time::sleep(Duration::from_secs(10))).await;
///     })
///     .await
/// # }
/// ```
///
/// As above, the code that accepts connections must set `TCP_NODELAY` on them. When a WebSocket leaves HTTP, its stream may be inside
/// TLS, where the option cannot be set. [`serve`](crate::serve) sets it by itself.
///
/// The CORS layer above also covers the other routes. [`ServerBuilder::cors`](crate::ServerBuilder::cors) covers the endpoint alone; use one
/// of the two. CORS applies to polling, but not to WebSockets: check their origins with
/// [`ServerBuilder::check_origin`](crate::ServerBuilder::check_origin).
#[derive(Clone, Debug)]
pub struct SocketLayer<E> {
    endpoint: E,
}

impl<E: Endpoint> SocketLayer<E> {
    /// Creates a layer for this endpoint.
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

/// The service that [`SocketLayer`] creates.
#[derive(Clone, Debug)]
pub struct SocketService<E, S> {
    endpoint: E,
    inner: S,
}

impl<E: Endpoint, S> SocketService<E, S> {
    /// Creates a service that answers the endpoint's requests and forwards all others to `inner`.
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
