//! Layers of tower around an endpoint.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use futures_util::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};
use socketio_driver::{Body, Endpoint, Runtime, Upgrade};
use tower_layer::Layer;
use tower_service::Service;

use crate::serve::Serve;

impl<R, L, E: Endpoint, S> Serve<R, L, E, S> {
    /// Adds a layer of tower around everything that the listener serves, the 404 for other paths included: for example CORS or traces of
    /// `tower-http`. A layer that is added later is further outside.
    ///
    /// A layer that holds back a response, or the body of one, delays the packets in it. One that replaces the body of a poll loses them.
    pub fn layer<T>(self, layer: T) -> Serve<R, L, Layered<E, T::Service>, S>
    where
        T: Layer<Inner>,
        Layered<E, T::Service>: Endpoint,
    {
        self.map_endpoint(|endpoint| Layered { endpoint, service: layer.layer(Inner(())) })
    }
}

/// An endpoint with a layer around it; see [`Serve::layer`].
#[derive(Clone)]
pub struct Layered<E, S> {
    endpoint: E,
    service: S,
}

/// The service inside of a layer: the endpoint.
#[derive(Clone, Debug)]
pub struct Inner(());

/// The body of a request that passes a layer.
pub struct RequestBody(Pin<Box<dyn HttpBody<Data = Bytes, Error = io::Error> + Send>>);

/// Answers one request. It travels through the layers in the extensions of the request, because only the innermost service knows when to
/// call it, and only the outermost one knows the runtime and the upgrade.
type Respond = Box<dyn FnOnce(http::Request<RequestBody>) -> BoxFuture<'static, http::Response<Body>> + Send>;

/// A value that is taken once.
struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T> Slot<T> {
    fn new(value: Option<T>) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, value: Option<T>) {
        let before = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), value);
        drop(before);
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E, S, B> Endpoint for Layered<E, S>
where
    E: Endpoint,
    S: Service<http::Request<RequestBody>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: fmt::Display + Send,
    B: HttpBody<Data = Bytes, Error: fmt::Display> + Send + 'static,
{
    fn matches(&self, _: &str) -> bool {
        true
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
        let (endpoint, runtime, confirmation) = (self.endpoint.clone(), runtime.clone(), Slot::new(None));
        let confirmed = confirmation.clone();
        let respond: Respond = Box::new(move |request| {
            Box::pin(async move {
                let mut response = if endpoint.matches(request.uri().path()) {
                    endpoint.respond(&runtime, request, upgrade).await
                } else {
                    socketio_driver::not_found(&runtime, request).await
                };
                // The layers may wrap the body, and see only its bytes.
                confirmed.set(response.body_mut().take_confirmation());
                response
            })
        });
        let mut request = request.map(RequestBody::new);
        request.extensions_mut().insert(Slot::new(Some(respond)));
        let mut service = self.service.clone();
        async move {
            let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
            let answered = match ready {
                Ok(()) => service.call(request).await,
                Err(error) => Err(error),
            };
            match answered {
                Ok(response) => response.map(|body| {
                    let failed = |error: B::Error| io::Error::other(error.to_string());
                    Body::wrap(MapError { body: Box::pin(body), failed }, confirmation.take())
                }),
                Err(error) => {
                    tracing::error!(%error, "a layer failed: the request is answered with status 500");
                    let mut response = http::Response::new(Body::default());
                    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                    response
                }
            }
        }
    }

    fn may_hold(&self, method: &http::Method, uri: &http::Uri) -> bool {
        self.endpoint.matches(uri.path()) && self.endpoint.may_hold(method, uri)
    }

    fn shut_down(&self, deadline: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send {
        self.endpoint.shut_down(deadline)
    }
}

impl<B> Service<http::Request<B>> for Inner
where
    B: HttpBody<Data: Send, Error: Send> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let respond = request.extensions_mut().remove::<Slot<Respond>>().and_then(|respond| respond.take());
        Box::pin(async move {
            let Some(respond) = respond else {
                // A layer has called the service twice for one request, or has made a request of its own.
                tracing::error!(
                    "a layer removed the extensions of a request, or repeated it: answered with status 500"
                );
                let mut response = http::Response::new(Body::default());
                *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                return Ok(response);
            };
            Ok(respond(request.map(RequestBody::new)).await)
        })
    }
}

impl RequestBody {
    fn new<B: HttpBody<Data: Send, Error: Send> + Send + 'static>(body: B) -> Self {
        let failed = |_| io::Error::other("the body of a request broke off");
        Self(Box::pin(MapError { body: Box::pin(body), failed }))
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

impl<E: fmt::Debug, S> fmt::Debug for Layered<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// A body with other types of data and errors.
struct MapError<B, F> {
    body: Pin<Box<B>>,
    failed: F,
}

impl<B, F> HttpBody for MapError<B, F>
where
    B: HttpBody,
    F: Fn(B::Error) -> io::Error + Unpin,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = self.body.as_mut().poll_frame(cx);
        polled.map(|frame| {
            frame.map(|frame| {
                let data = |mut data: B::Data| data.copy_to_bytes(data.remaining());
                frame.map(|frame| frame.map_data(data)).map_err(&self.failed)
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
