//! The application's handle of a client: its sockets, and its connection.

use std::fmt;
use std::sync::Arc;

use engineio_proto::Text;
use engineio_proto::server::Transport;
use futures_channel::oneshot;
use socketio_proto::Parser;

use super::state::{Client, Command, ConnectionEvent, Handle, Socket, SocketInner, push_exact};
use crate::handler::{Handler, HandlerResult, erase};
use crate::sync::lock;

impl<P: Parser> Client<P> {
    /// The socket of a namespace (`/`, or a name such as `/admin`; without the slash, it is added). The first call creates it, without
    /// connecting it: set its handlers, and call [`Socket::connect`].
    #[must_use]
    pub fn socket(&self, namespace: &str) -> Socket<P> {
        let namespace =
            if namespace.starts_with('/') { Text::from(namespace) } else { Text::from(format!("/{namespace}")) };
        let mut sockets = lock(&self.0.peer.shared.sockets);
        let known = sockets.iter().find(|socket| socket.namespace == namespace).map(Arc::clone);
        let inner = known.unwrap_or_else(|| {
            let socket = Arc::new(SocketInner::new(namespace));
            push_exact(&mut sockets, Arc::clone(&socket));
            socket
        });
        drop(sockets);
        Socket { inner, handle: Arc::clone(&self.0) }
    }

    /// Opens the connection, although no socket needs it yet. Sockets open it by themselves.
    pub fn open(&self) {
        self.command(Command::Open);
    }

    /// Disconnects all sockets and closes the connection, and does not connect again. What was emitted on connected sockets is sent. What waits
    /// for a socket to connect is dropped, and its acks fail; only the queue of a client with `retries` stays. A later [`Socket::connect`]
    /// opens the connection again.
    pub fn close(&self) {
        for socket in lock(&self.0.peer.shared.sockets).iter() {
            lock(&socket.status).active = false;
        }
        self.command(Command::Close);
    }

    /// Waits until the connection is closed, and everything was sent. Call [`Client::close`] before. A server that does not take the last
    /// packets is given up after `close_timeout` of [`EngineConfig`](super::EngineConfig) (30 s), and one that does not close its half after
    /// 10 s.
    pub async fn closed(&self) {
        let (sender, receiver) = oneshot::channel();
        self.command(Command::TellClosed(sender));
        // The sender is dropped if the task has ended.
        let _ = receiver.await;
        self.0.tasks.finished().await;
    }

    /// Ends the connection as if the network had failed, so that the client connects again, if it may. For tests, and to move to another
    /// server behind a load balancer. (socket.io-client: `socket.io.engine.close()`)
    pub fn drop_connection(&self) {
        self.command(Command::DropConnection);
    }

    /// Whether the client connects again after its connection was lost. False also stops an attempt that is planned. See
    /// `ClientBuilder::reconnection` for the delays.
    pub fn set_reconnection(&self, reconnection: bool) {
        self.command(Command::SetReconnection(reconnection));
    }

    /// What carries the connection at this time, or has carried it last. Before it was open, polling.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.0.peer.shared.transport()
    }

    /// The number of bytes that wait to be sent. Each packet counts 40 bytes on top of its own.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.0.peer.queued()
    }

    /// Adds a handler that runs with what happens to the connection: it opens, is lost, is made again. It takes the [`ConnectionEvent`] and
    /// what else it needs, sync or async.
    pub fn on_event<M>(&self, handler: impl Handler<(Self, ConnectionEvent), HandlerResult, M>) -> &Self {
        let mut observers = lock(&self.0.peer.shared.observers);
        let mut changed = observers.to_vec();
        changed.push(Arc::new(erase(handler)));
        let old = std::mem::replace(&mut *observers, Arc::new(changed));
        drop(observers);
        // After the lock is released, because dropping handlers runs application code.
        drop(old);
        self
    }

    /// The client's value of this type, which was set with `ClientBuilder::state`.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.0.peer.shared.states.get().cloned()
    }

    fn command(&self, command: Command<P>) {
        // The error is ignored, because it means that the task has ended.
        let _ = self.0.peer.push(0, || command);
    }
}

impl<P: Parser> Drop for Handle<P> {
    fn drop(&mut self) {
        let _ = self.peer.push(0, || Command::Abandon);
    }
}

impl<P: Parser> Clone for Client<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Parser> fmt::Debug for Client<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("transport", &self.transport()).finish_non_exhaustive()
    }
}
