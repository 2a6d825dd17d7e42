//! Mounting into a tower stack: a layer that answers the endpoint's requests and lets all others through.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Body as HttpBody;
use http_body_util::Either;
use socketio_driver::{Body, Endpoint};
use tower_layer::Layer;
use tower_service::Service;

use crate::runtime::Tokio;

/// A [`tower::Layer`](tower_layer::Layer): requests on the endpoint's path are answered by the endpoint, all others go on to the service
/// below. With axum: `Router::new().route(..).layer(SocketLayer::new(server.clone()))`.
///
/// The HTTP server has to allow upgrades, as axum's does. End the endpoint with [`Endpoint::shut_down`] when the HTTP server ends.
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

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if self.endpoint.matches(request.uri().path()) {
            let endpoint = self.endpoint.clone();
            Box::pin(async move { Ok(endpoint.respond(&Tokio, request).await.map(Either::Left)) })
        } else {
            let response = self.inner.call(request);
            Box::pin(async move { Ok(response.await?.map(Either::Right)) })
        }
    }
}
