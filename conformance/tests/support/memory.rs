//! A connector to a server in this process: each connection is a pipe, whose other end the listener of `socketio-hyper` accepts.

use std::future::{IntoFuture as _, pending, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;

use hyper_util::rt::TokioIo;
use socketio_conformance::wire::{BoxStream, Connecting, Connector};
use socketio_hyper::Listener;
use socketio_tokio::{AsyncStream, Endpoint, Tokio};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The capacity of a pipe in bytes, similar to the buffers of a socket.
const PIPE_CAPACITY: usize = 128 * 1024;

/// An endpoint, served in memory.
pub(crate) struct InMemoryServer<E> {
    endpoint: E,
    /// Takes the server's ends of pipes. Set by the first connection.
    pipes: OnceLock<UnboundedSender<Box<dyn AsyncStream>>>,
}

/// Accepts the server's ends of pipes.
struct Pipes(UnboundedReceiver<Box<dyn AsyncStream>>);

impl<E: Endpoint> InMemoryServer<E> {
    pub(crate) fn new(endpoint: E) -> Self {
        Self { endpoint, pipes: OnceLock::new() }
    }
}

impl<E: Endpoint> Connector for InMemoryServer<E> {
    fn connect(&self) -> Connecting<'_> {
        let pipes = self.pipes.get_or_init(|| {
            let (sender, receiver) = unbounded_channel();
            tokio::spawn(socketio_hyper::serve(Tokio, Pipes(receiver), self.endpoint.clone()).into_future());
            sender
        });
        let (near, far) = tokio::io::duplex(PIPE_CAPACITY);
        let connected = match pipes.send(Box::new(far)) {
            Ok(()) => Ok(Box::new(near) as BoxStream),
            Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        };
        Box::pin(ready(connected))
    }

    fn authority(&self) -> &str {
        "in.memory"
    }
}

impl Listener for Pipes {
    type Io = TokioIo<Box<dyn AsyncStream>>;

    async fn accept(&mut self) -> io::Result<(Self::Io, Option<SocketAddr>)> {
        match self.0.recv().await {
            Some(pipe) => Ok((TokioIo::new(pipe), None)),
            None => pending().await,
        }
    }
}
