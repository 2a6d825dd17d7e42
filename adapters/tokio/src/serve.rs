//! A listener of our own: HTTP/1.1 by hyper, and nothing but the endpoint behind it.

use std::convert::Infallible;
use std::future::{Future, IntoFuture, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socketio_driver::{Body, Endpoint, RemoteAddress};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::runtime::Tokio;

/// How long a graceful shutdown may take, unless the user says otherwise.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

/// How long the HTTP connections may take after everybody is gone: the last answers have been given, and only their bytes are under way.
/// A peer that has sent half a request cannot be told from one that is slow.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// Serves an endpoint (a [`Server`](crate::Server), an [`EngineServer`](crate::EngineServer), or a pair of endpoints) on a listener.
/// Requests that are not for it get a 404. Await it.
///
/// Runs until the task is dropped, or until the signal of [`Serve::with_graceful_shutdown`] has come and everybody is gone.
pub fn serve<E: Endpoint>(listener: TcpListener, endpoint: E) -> Serve<E, std::future::Pending<()>> {
    Serve { listener, endpoint, signal: pending(), deadline: SHUTDOWN_DEADLINE }
}

/// What [`serve`] returns: await it.
#[derive(Debug)]
#[must_use = "await it"]
pub struct Serve<E, S> {
    listener: TcpListener,
    endpoint: E,
    signal: S,
    deadline: Duration,
}

impl<E: Endpoint, S> Serve<E, S> {
    /// Ends when this future is ready: the listener closes, new sessions are refused, connected sockets see `server shutting down`, what is
    /// queued goes out. Who is not gone after 10 seconds, or what [`Serve::with_shutdown_deadline`] says, is cut off.
    pub fn with_graceful_shutdown<T: Future<Output = ()> + Send + 'static>(self, signal: T) -> Serve<E, T> {
        Serve { listener: self.listener, endpoint: self.endpoint, signal, deadline: self.deadline }
    }

    /// How long a graceful shutdown may take. Default 10 s.
    pub fn with_shutdown_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

impl<E: Endpoint, S: Future<Output = ()> + Send + 'static> IntoFuture for Serve<E, S> {
    type Output = ();
    type IntoFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<E: Endpoint, S: Future<Output = ()> + Send + 'static> Serve<E, S> {
    async fn run(self) {
        let Self { listener, endpoint, signal, deadline } = self;
        // Tells connections to end; that all of its receivers are gone tells that they have.
        let (ending, connections) = watch::channel(());
        {
            let mut signal = pin!(signal);
            loop {
                tokio::select! {
                    () = &mut signal => break,
                    accepted = listener.accept() => match accepted {
                        Ok((stream, address)) => {
                            tokio::spawn(connection(stream, address, endpoint.clone(), connections.clone()));
                        }
                        Err(error) => refused(&error).await,
                    },
                }
            }
        }
        drop((listener, connections));
        let deadline = tokio::time::Instant::now() + deadline;
        endpoint.shut_down(tokio::time::sleep_until(deadline)).await;
        // The receivers are gone already when there was no connection.
        let _ = ending.send(());
        let patience = deadline.min(tokio::time::Instant::now() + LAST_BYTES);
        let _ = tokio::time::timeout_at(patience, ending.closed()).await;
    }
}

/// A connection could not be accepted: it was gone already, or the process has too many files open. The latter takes time to get better.
async fn refused(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "cannot accept connections: raise the limit of open files if there are too many");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn connection<E: Endpoint>(stream: TcpStream, address: SocketAddr, endpoint: E, mut ending: watch::Receiver<()>) {
    // Small packets must not wait for each other. A socket that refuses is gone.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| respond(&endpoint, address, request));
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = ending.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "a connection failed");
    }
}

async fn respond<E: Endpoint>(
    endpoint: &E,
    address: SocketAddr,
    mut request: http::Request<Incoming>,
) -> Result<http::Response<Either<Body, Full<Bytes>>>, Infallible> {
    if endpoint.matches(request.uri().path()) {
        request.extensions_mut().insert(RemoteAddress(address));
        return Ok(endpoint.respond(&Tokio, request).await.map(Either::Left));
    }
    let mut response = http::Response::new(Either::Right(Full::from("Not Found")));
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    Ok(response)
}
