//! A listener of our own: HTTP/1.1 by hyper (see `socketio-hyper`), and nothing but the endpoint behind it.

use std::future::Pending;
use std::io;
use std::net::SocketAddr;

use hyper_util::rt::TokioIo;
use socketio_driver::Endpoint;
use socketio_hyper::Listener;
use tokio::net::{TcpListener, TcpStream};

use crate::runtime::Tokio;

/// What [`serve`] returns: await it. Its methods are those of [`socketio_hyper::Serve`].
pub type Serve<E, S> = socketio_hyper::Serve<Tokio, Tcp, E, S>;

/// Serves an endpoint (a [`Server`](crate::Server), an [`EngineServer`](crate::EngineServer), or a pair of endpoints) on a listener.
/// Requests that are not for it get a 404. Await it.
///
/// Runs until the task is dropped, or until the signal of [`with_graceful_shutdown`](Serve::with_graceful_shutdown) has come and all peers
/// are gone. [`with_settings`](Serve::with_settings) sets the limits and deadlines of HTTP connections.
pub fn serve<E: Endpoint>(listener: TcpListener, endpoint: E) -> Serve<E, Pending<()>> {
    socketio_hyper::serve(Tokio, Tcp(listener), endpoint)
}

/// A TCP listener whose connections send small packets at once.
#[derive(Debug)]
pub struct Tcp(TcpListener);

impl Listener for Tcp {
    type Io = TokioIo<TcpStream>;

    async fn accept(&mut self) -> io::Result<(Self::Io, Option<SocketAddr>)> {
        let (stream, address) = self.0.accept().await?;
        // Small packets must not wait for each other. A socket that refuses is gone.
        let _ = stream.set_nodelay(true);
        Ok((TokioIo::new(stream), Some(address)))
    }
}
