//! The way to a server that is in this process: a pipe for every connection, with hyper's HTTP at the far end.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use socketio_conformance::wire::{BoxStream, Connecting, Connector};
use socketio_tokio::{Body, Endpoint, Tokio};

/// What a pipe holds before a writer waits: about what the buffers of a socket do.
const PIPE: usize = 128 * 1024;

/// An endpoint, served in memory.
pub(crate) struct Memory<E>(E);

impl<E: Endpoint> Memory<E> {
    pub(crate) fn new(endpoint: E) -> Self {
        Self(endpoint)
    }
}

impl<E: Endpoint> Connector for Memory<E> {
    fn connect(&self) -> Connecting<'_> {
        let (near, far) = tokio::io::duplex(PIPE);
        let endpoint = self.0.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| respond(&endpoint, request));
            let serving = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(far), service);
            // How it ended, the suite sees from its side.
            let _ = serving.with_upgrades().await;
        });
        Box::pin(ready(Ok(Box::new(near) as BoxStream)))
    }

    fn authority(&self) -> &str {
        "in.memory"
    }
}

async fn respond<E: Endpoint>(
    endpoint: &E,
    request: Request<Incoming>,
) -> Result<Response<Either<Body, Full<Bytes>>>, Infallible> {
    if endpoint.matches(request.uri().path()) {
        return Ok(endpoint.respond(&Tokio, request).await.map(Either::Left));
    }
    let mut response = Response::new(Either::Right(Full::from("Not Found")));
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}
