//! The built-in listener: HTTP/1.1 with hyper (see `socketio-hyper`), serving only the endpoint.

use std::future::Pending;
use std::io;
use std::net::SocketAddr;

use hyper_util::rt::TokioIo;
use socketio_driver::Endpoint;
use socketio_hyper::Listener;
use tokio::net::{TcpListener, TcpStream};

use crate::runtime::Tokio;

/// The future returned by [`serve`]. See [`socketio_hyper::Serve`] for its methods.
pub type Serve<E, S> = socketio_hyper::Serve<Tokio, Tcp, E, S>;

/// Serves an endpoint on a listener: a [`Server`](crate::Server), an [`EngineServer`](crate::EngineServer), or a pair of endpoints.
/// Requests for other paths are answered with status 404. Await the returned value.
///
/// Runs until the task is dropped, or until the signal of [`with_graceful_shutdown`](Serve::with_graceful_shutdown) completes and the
/// shutdown is finished. [`with_settings`](Serve::with_settings) sets the limits and deadlines of HTTP connections.
/// [`layer`](Serve::layer) adds layers of tower, for example of `tower-http`.
pub fn serve<E: Endpoint>(listener: TcpListener, endpoint: E) -> Serve<E, Pending<()>> {
    socketio_hyper::serve(Tokio, Tcp(listener), endpoint)
}

/// A TCP listener that sets `TCP_NODELAY` on its connections.
#[derive(Debug)]
pub struct Tcp(TcpListener);

impl Listener for Tcp {
    type Io = TokioIo<TcpStream>;

    async fn accept(&mut self) -> io::Result<(Self::Io, Option<SocketAddr>)> {
        let (stream, address) = self.0.accept().await?;
        // Small packets must not wait for each other. Fails only if the connection is already closed.
        let _ = stream.set_nodelay(true);
        Ok((TokioIo::new(stream), Some(address)))
    }
}
