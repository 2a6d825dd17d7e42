//! Accepts connections on a listener, serves them, and shuts down gracefully.

use std::fmt;
use std::future::{Future, IntoFuture, Pending, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use hyper::rt::{Read, Write};
use socketio_driver::{Endpoint, Runtime};

use crate::connection::Shared;
use crate::connections::Connections;
use crate::settings::Settings;

/// The default deadline of a graceful shutdown.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

/// The time that HTTP connections get after all sessions have ended. All responses are produced by then, and only their bytes remain to
/// be written. A peer that has sent half of a request cannot be distinguished from a slow one.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// Accepts connections. An adapter implements it alongside its [`Runtime`].
pub trait Listener: Send + 'static {
    /// The byte stream of a connection.
    type Io: Read + Write + Unpin + Send + 'static;

    /// Whether the connections are encrypted. Their requests are then marked as [`Secure`](socketio_driver::Secure). Default: false.
    const SECURE: bool = false;

    /// Accepts the next connection. Returns it with the address of its peer, if it has one.
    ///
    /// Must be cancel safe: if the future is dropped before it is ready, no connection is lost.
    ///
    /// # Errors
    /// Errors of the operating system. Accepting continues. Errors other than an aborted, reset or refused connection are logged, and
    /// delay the next accept by 100 ms.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, Option<SocketAddr>)>> + Send;
}

/// Serves an endpoint on a listener. Requests for other paths are answered with status 404. Await the returned value.
///
/// Runs until the task is dropped, or until the signal of [`Serve::with_graceful_shutdown`] completes and the shutdown is finished.
pub fn serve<R, L, E>(runtime: R, listener: L, endpoint: E) -> Serve<R, L, E, Pending<()>>
where
    R: Runtime,
    L: Listener,
    E: Endpoint,
    R::Stream: From<L::Io>,
{
    let settings = Settings::default();
    Serve { runtime, listener, endpoint, settings, signal: pending(), deadline: SHUTDOWN_DEADLINE }
}

/// The future returned by [`serve`]. Await it to run the server.
#[must_use = "the server does nothing unless awaited"]
pub struct Serve<R, L, E, S> {
    runtime: R,
    listener: L,
    endpoint: E,
    settings: Settings,
    signal: S,
    deadline: Duration,
}

impl<R, L, E, S> Serve<R, L, E, S> {
    /// Shuts down gracefully when this future completes: the listener is closed, new sessions are refused, connected sockets are
    /// disconnected with the reason `server shutting down`, and queued packets are sent. Peers that are still connected after 10 seconds,
    /// or after [`Serve::with_shutdown_deadline`], are disconnected.
    pub fn with_graceful_shutdown<T>(self, signal: T) -> Serve<R, L, E, T>
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let Self { runtime, listener, endpoint, settings, deadline, .. } = self;
        Serve { runtime, listener, endpoint, settings, signal, deadline }
    }

    /// Sets the deadline of a graceful shutdown. The default is 10 s.
    pub fn with_shutdown_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub(crate) fn map_endpoint<F>(self, map: impl FnOnce(E) -> F) -> Serve<R, L, F, S> {
        let Self { runtime, listener, endpoint, settings, signal, deadline } = self;
        Serve { runtime, listener, endpoint: map(endpoint), settings, signal, deadline }
    }

    /// Changes the limits and deadlines of the HTTP connections.
    pub fn with_settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }
}

impl<R, L, E, S> IntoFuture for Serve<R, L, E, S>
where
    R: Runtime,
    L: Listener,
    E: Endpoint,
    S: Future<Output = ()> + Send + 'static,
    R::Stream: From<L::Io>,
{
    type Output = ();
    type IntoFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<R, L, E, S> Serve<R, L, E, S>
where
    R: Runtime,
    L: Listener,
    E: Endpoint,
    S: Future<Output = ()> + Send + 'static,
    R::Stream: From<L::Io>,
{
    async fn run(self) {
        let Self { runtime, mut listener, endpoint, settings, signal, deadline } = self;
        let shared = Arc::new(Shared::new(runtime, endpoint, settings, L::SECURE));
        let runtime = &shared.runtime;
        let connections = Arc::new(Connections::default());
        let mut signal = pin!(signal);
        while let Either::Left((accepted, _)) = select(pin!(listener.accept()), signal.as_mut()).await {
            match accepted {
                Ok((io, address)) => {
                    let (shared, member) = (Arc::clone(&shared), connections.enter());
                    runtime.spawn(async move { shared.serve(io, address, member).await });
                }
                Err(error) => refused(runtime, &error).await,
            }
        }
        drop(listener);
        let deadline = runtime.now().checked_add(deadline);
        let remaining = || deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(runtime.now()));
        shared.endpoint.shut_down(runtime.sleep(remaining())).await;
        connections.end();
        let patience = runtime.sleep(remaining().min(LAST_BYTES));
        // The server stops at whichever comes first.
        let _ = select(pin!(connections.finished()), pin!(patience)).await;
    }
}

impl<R, L, E: fmt::Debug, S> fmt::Debug for Serve<R, L, E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("endpoint", &self.endpoint)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Handles a failed accept. Either the connection was already closed, or the process has too many open files. In the latter case, wait a
/// moment before trying again.
async fn refused(runtime: &impl Runtime, error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "cannot accept connections: if too many files are open, raise the limit of open files");
        runtime.sleep(Duration::from_millis(100)).await;
    }
}
