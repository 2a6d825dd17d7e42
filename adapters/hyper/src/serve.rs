//! A listener: accepts connections, serves them, and ends without losing anybody.

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

/// How long a graceful shutdown may take, unless the user says otherwise.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

/// How long the HTTP connections may take after all sessions have ended: the last answers have been given, and only their bytes are under
/// way. A peer that has sent half a request cannot be told from a slow one.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// Accepts connections. What an adapter brings beside its [`Runtime`].
pub trait Listener: Send + 'static {
    /// The byte stream of a connection.
    type Io: Read + Write + Unpin + Send + 'static;

    /// The next connection, and the address of its peer where it has one. May be dropped before it is ready; nothing is lost then.
    ///
    /// # Errors
    /// Those of the system. They are logged, and accepting goes on.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, Option<SocketAddr>)>> + Send;
}

/// Serves an endpoint on a listener. Requests that are not for it get a 404. Await the result.
///
/// Runs until the task is dropped, or until the signal of [`Serve::with_graceful_shutdown`] has come and all peers are gone.
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

/// What [`serve`] returns: await it.
#[must_use = "await it"]
pub struct Serve<R, L, E, S> {
    runtime: R,
    listener: L,
    endpoint: E,
    settings: Settings,
    signal: S,
    deadline: Duration,
}

impl<R, L, E, S> Serve<R, L, E, S> {
    /// Ends when this future is ready: the listener closes, new sessions are refused, connected sockets see `server shutting down`, what is
    /// queued goes out. A peer that is not gone after 10 seconds, or what [`Serve::with_shutdown_deadline`] says, is cut off.
    pub fn with_graceful_shutdown<T>(self, signal: T) -> Serve<R, L, E, T>
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let Self { runtime, listener, endpoint, settings, deadline, .. } = self;
        Serve { runtime, listener, endpoint, settings, signal, deadline }
    }

    /// How long a graceful shutdown may take. Default 10 s.
    pub fn with_shutdown_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Limits and deadlines of the HTTP connections.
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
        let shared = Arc::new(Shared::new(runtime, endpoint, settings));
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
        // Whichever comes first, the server is at its end.
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

/// A connection could not be accepted: it was gone already, or the process has too many files open. The latter takes time to get better.
async fn refused(runtime: &impl Runtime, error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "cannot accept connections: raise the limit of open files if there are too many");
        runtime.sleep(Duration::from_millis(100)).await;
    }
}
