//! One HTTP connection: connects hyper to the endpoint.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::Either;
use http::HeaderValue;
use http::header::{CONNECTION, HeaderName};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use socketio_driver::{Endpoint, RemoteAddress, Runtime, Secure, Upgrade};

use crate::connections::ConnectionGuard;
use crate::exchange::{Exchange, RequestBody, ResponseBody};
use crate::settings::Settings;
use crate::stream::Stream;

/// Shared by all connections of a listener.
pub(crate) struct Shared<R, E> {
    pub(crate) runtime: R,
    pub(crate) endpoint: E,
    pub(crate) settings: Arc<Settings>,
    /// Whether the connections are encrypted.
    secure: bool,
    http: http1::Builder,
    /// The value of `Keep-Alive`.
    keep_alive: HeaderValue,
}

/// The header that tells clients how long an idle connection is kept open.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// The smallest buffer size that hyper accepts.
const LEAST_HEAD: usize = 8192;
/// The number of header lines up to which hyper parses a request without allocating.
const CHEAP_HEADERS: usize = 100;

impl<R: Runtime, E: Endpoint> Shared<R, E> {
    pub(crate) fn new(runtime: R, endpoint: E, settings: Settings, secure: bool) -> Self {
        let mut http = http1::Builder::new();
        // `Stream` enforces the deadlines, with one timer for all of them.
        http.header_read_timeout(None).max_buf_size(settings.max_head_bytes.max(LEAST_HEAD));
        if settings.max_headers != CHEAP_HEADERS {
            http.max_headers(settings.max_headers);
        }
        let timeout = format!("timeout={}", settings.idle_timeout.as_secs());
        let keep_alive = HeaderValue::from_str(&timeout).unwrap_or(HeaderValue::from_static("timeout=0"));
        Self { runtime, endpoint, settings: Arc::new(settings), secure, http, keep_alive }
    }

    /// Serves one connection until it ends.
    pub(crate) async fn serve<I>(&self, io: I, address: Option<SocketAddr>, mut member: ConnectionGuard)
    where
        I: Read + Write + Unpin + Send + 'static,
        R::Stream: From<I>,
    {
        let exchange = Exchange::new();
        let connections = Arc::clone(member.connections());
        let stream =
            Stream::new(io, self.runtime.clone(), Arc::clone(&self.settings), connections, Arc::clone(&exchange));
        let service = service_fn(|request: http::Request<Incoming>| {
            // Call `begin` at once: hyper may check for the end of the stream before it polls the response.
            let may_hold =
                self.endpoint.matches(request.uri().path()) && self.endpoint.may_hold(request.method(), request.uri());
            let request = request.map(|body| exchange.begin(body, may_hold));
            self.respond::<I>(request, address, &exchange)
        });
        let mut connection = pin!(self.http.serve_connection(stream, service).with_upgrades());
        let mut ending = false;
        let ended = poll_fn(|cx| {
            if !ending && member.is_ending(cx) {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(cx)
        })
        .await;
        if let Err(error) = ended {
            tracing::debug!(address = ?address, %error, "a connection ended with an error");
        }
    }

    /// Answers a request. Everything that does not wait happens before the future is created, so that the future stores the request
    /// only once.
    fn respond<I>(
        &self,
        mut request: http::Request<RequestBody>,
        address: Option<SocketAddr>,
        exchange: &Arc<Exchange>,
    ) -> impl Future<Output = Result<http::Response<ResponseBody>, Infallible>>
    where
        I: Read + Write + Unpin + Send + 'static,
        R::Stream: From<I>,
    {
        // hyper closes the connection after the response to any other request.
        let closes = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"close");
        let keeps =
            request.version() == http::Version::HTTP_11 && !request.headers().get(CONNECTION).is_some_and(closes);
        let answer = if self.endpoint.matches(request.uri().path()) {
            let extensions = request.extensions_mut();
            let upgrade = extensions.remove::<OnUpgrade>().map(|upgrade| Upgrade::new(stream_of::<I, R>(upgrade)));
            if let Some(address) = address {
                extensions.insert(RemoteAddress(address));
            }
            if self.secure {
                extensions.insert(Secure);
            }
            Either::Left(self.endpoint.respond(&self.runtime, request, upgrade))
        } else {
            Either::Right(socketio_driver::not_found(&self.runtime, request))
        };
        async move {
            let mut response = answer.await;
            let leaves_http = response.status() == http::StatusCode::SWITCHING_PROTOCOLS;
            if keeps && !leaves_http && !response.headers().contains_key(CONNECTION) {
                response.headers_mut().insert(KEEP_ALIVE, self.keep_alive.clone());
            }
            Ok(response.map(|body| ResponseBody::new(body, Arc::clone(exchange))))
        }
    }
}

/// Returns the stream of a connection once hyper has released it.
async fn stream_of<I, R>(upgrade: OnUpgrade) -> io::Result<(R::Stream, Bytes)>
where
    I: Read + Write + Unpin + Send + 'static,
    R: Runtime,
    R::Stream: From<I>,
{
    let upgraded = upgrade.await.map_err(io::Error::other)?;
    match upgraded.downcast::<Stream<I, R>>() {
        Ok(parts) => Ok((parts.io.into_inner().into(), parts.read_buf)),
        Err(_) => Err(io::Error::other("hyper returned a stream of an unexpected type")),
    }
}
