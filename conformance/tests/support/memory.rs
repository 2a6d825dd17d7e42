//! The way to a server that is in this process: a pipe for every connection, with the listener of `socketio-hyper` at the far end.

use std::future::{IntoFuture as _, pending, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;

use hyper_util::rt::TokioIo;
use socketio_conformance::wire::{BoxStream, Connecting, Connector};
use socketio_hyper::Listener;
use socketio_tokio::{AsyncStream, Endpoint, Tokio};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a pipe holds before a writer waits: about what the buffers of a socket do.
const PIPE: usize = 128 * 1024;

/// An endpoint, served in memory.
pub(crate) struct Memory<E> {
    endpoint: E,
    /// Takes the far ends of pipes; there once somebody has connected.
    pipes: OnceLock<UnboundedSender<Box<dyn AsyncStream>>>,
}

/// Accepts the far ends of pipes.
struct Pipes(UnboundedReceiver<Box<dyn AsyncStream>>);

impl<E: Endpoint> Memory<E> {
    pub(crate) fn new(endpoint: E) -> Self {
        Self { endpoint, pipes: OnceLock::new() }
    }
}

impl<E: Endpoint> Connector for Memory<E> {
    fn connect(&self) -> Connecting<'_> {
        let pipes = self.pipes.get_or_init(|| {
            let (sender, receiver) = unbounded_channel();
            tokio::spawn(socketio_hyper::serve(Tokio, Pipes(receiver), self.endpoint.clone()).into_future());
            sender
        });
        let (near, far) = tokio::io::duplex(PIPE);
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
