//! A broadcast: its recipients and its options.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot::{self, Receiver};
use futures_util::future::join_all;
use socketio_proto::server::Target;
use socketio_proto::{AckError, Args, EmitError, Json, Outgoing, Parser, Payload};

use super::room_names::RoomNames;
use super::state::{AnswerOf, NamespaceInner, Socket, SocketKey};

/// Builds a broadcast. Each method returns the changed broadcast. A clone is independent of the original. On a parent namespace
/// ([`Server::dynamic`](crate::Server::dynamic)), a broadcast reaches the sockets of all its children.
#[must_use = "emit something"]
pub struct Broadcast<P: Parser = Json> {
    namespace: Arc<NamespaceInner<P>>,
    target: Target<SocketKey>,
    volatile: bool,
    compress: bool,
}

/// The outcome of a broadcast with an ack.
#[derive(Debug)]
#[non_exhaustive]
pub struct Answers<P: Parser = Json> {
    /// The outcome for each recipient.
    pub answers: Vec<(Socket<P>, Result<Payload, AckError>)>,
}

impl<P: Parser> Broadcast<P> {
    pub(crate) fn new(namespace: Arc<NamespaceInner<P>>, sender: Option<SocketKey>) -> Self {
        Self { namespace, target: Target { sender, ..Target::everybody() }, volatile: false, compress: true }
    }

    /// The same broadcast to each child, if the namespace is a parent.
    fn children(&self) -> Option<Vec<Self>> {
        let children = self.namespace.children()?;
        Some(children.into_iter().map(|namespace| Self { namespace, ..self.clone() }).collect())
    }

    /// Adds a room, or several, to the recipients. Each socket in one of the rooms receives the event once. Without any room, the
    /// broadcast goes to all sockets on the namespace.
    pub fn to(mut self, rooms: impl RoomNames) -> Self {
        rooms.with(|names| self.target.rooms.extend(names.iter().copied().map(str::to_owned)));
        self
    }

    /// Excludes the sockets in this room, or in one of several.
    pub fn except(mut self, rooms: impl RoomNames) -> Self {
        rooms.with(|names| self.target.except.extend(names.iter().copied().map(str::to_owned)));
        self
    }

    /// Restricts the broadcast to sockets of this server. Without a cluster there are no others, so it changes nothing.
    pub fn local(self) -> Self {
        self
    }

    /// Makes the event volatile: it is dropped for recipients to which it cannot be sent immediately.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Sets whether the event may be compressed, if the server compresses WebSocket messages
    /// (`ServerBuilder::per_message_deflate`). Default: true. Say false for content that does not get smaller, such as images, and for
    /// secrets that are sent together with text of others.
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Sends an event. It is encoded only once. If the outbound queue of a recipient is full, its connection is closed, because
    /// it would otherwise miss a packet.
    ///
    /// # Errors
    /// If the event cannot be encoded; nothing is sent.
    pub fn emit<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        match self.children() {
            Some(children) => children.iter().try_for_each(|child| child.send(event, &args)),
            None => self.send(event, &args),
        }
    }

    fn send<A: Args>(&self, event: &str, args: &A) -> Result<(), EmitError> {
        if self.namespace.recovers && !self.volatile {
            return self.namespace.emit_recoverable(&self.target, event, args, self.compress);
        }
        let packet = Outgoing::event(&self.namespace.name, None, event, args);
        let encoded = self.namespace.encode(&packet)?.with_compress(self.compress);
        self.namespace.emit(&self.target, &encoded, self.volatile);
        Ok(())
    }

    /// Sends an event with an ack that every recipient should send within `timeout`. The event is sent even if the returned
    /// future is not awaited. The future resolves to the answers as soon as every recipient has answered, disconnected or timed
    /// out. A recipient to which a [`volatile`](Self::volatile) event cannot be sent immediately counts as disconnected.
    ///
    /// # Errors
    /// If the event cannot be encoded; nothing is sent.
    pub fn emit_with_ack<A: Args>(
        &self,
        event: &str,
        args: A,
        timeout: Duration,
    ) -> Result<impl Future<Output = Answers<P>> + Send + use<A, P>, EmitError> {
        let of_children = match self.children() {
            Some(children) => {
                let answers = children.iter().map(|child| child.ask(event, &args, timeout));
                Err(answers.collect::<Result<Vec<_>, _>>()?)
            }
            None => Ok(self.ask(event, &args, timeout)?),
        };
        Ok(async move {
            let answers = match of_children {
                Ok(answers) => answers.await.unwrap_or_default(),
                Err(of_children) => join_all(of_children).await.into_iter().flatten().flatten().collect(),
            };
            Answers { answers }
        })
    }

    /// Sends an event with an ack. Returns the receiver of the answers.
    fn ask<A: Args>(&self, event: &str, args: &A, timeout: Duration) -> Result<Receiver<Vec<AnswerOf<P>>>, EmitError> {
        let ack = self.namespace.reserve_ack();
        let packet = Outgoing::event(&self.namespace.name, Some(ack.id().0.into()), event, args);
        let encoded = self.namespace.encode(&packet)?.with_compress(self.compress);
        let (sink, answers) = oneshot::channel();
        self.namespace.emit_with_ack(&self.target, &encoded, ack, timeout, self.volatile, sink);
        Ok(answers)
    }

    /// The sockets that the broadcast would be sent to.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket<P>> {
        match self.children() {
            Some(children) => children.iter().flat_map(Self::sockets).collect(),
            None => self.namespace.sockets(&self.target),
        }
    }

    /// Same as [`Broadcast::sockets`], in the form that a cluster needs, whose servers have to be asked. (socket.io: `fetchSockets()`)
    #[allow(clippy::unused_async, reason = "with a cluster, other servers are asked")]
    pub async fn fetch_sockets(&self) -> Vec<Socket<P>> {
        self.sockets()
    }

    /// Number of sockets that the broadcast would be sent to. Some of them may not receive it: their connections may end before, and
    /// volatile events are dropped.
    #[must_use]
    pub fn count(&self) -> usize {
        match self.children() {
            Some(children) => children.iter().map(Self::count).sum(),
            None => self.namespace.count(&self.target),
        }
    }

    /// Makes all these sockets join a room, or several.
    pub fn join(&self, rooms: impl RoomNames) {
        rooms.with(|names| match self.children() {
            Some(children) => children.iter().for_each(|child| child.namespace.join(&child.target, names)),
            None => self.namespace.join(&self.target, names),
        });
    }

    /// Makes all these sockets leave a room, or several.
    pub fn leave(&self, rooms: impl RoomNames) {
        rooms.with(|names| match self.children() {
            Some(children) => children.iter().for_each(|child| child.namespace.leave(&child.target, names)),
            None => self.namespace.leave(&self.target, names),
        });
    }

    /// Disconnects all sockets of these sockets' connections, and closes the connections. See [`Socket::close`].
    pub fn close(&self) {
        self.sockets().iter().for_each(Socket::close);
    }

    /// Disconnects all these sockets from the namespace. See [`Socket::disconnect`].
    pub fn disconnect(&self) {
        match self.children() {
            Some(children) => children.iter().for_each(Self::disconnect),
            None => self.namespace.disconnect(&self.target),
        }
    }
}

impl<P: Parser> Socket<P> {
    /// Sends events to this socket that may, or may not, be compressed; see [`Broadcast::compress`]. This is a broadcast to this socket
    /// alone, so its connection is closed if its outbound queue is full.
    pub fn compress(&self, compress: bool) -> Broadcast<P> {
        self.namespace().to(self.id().as_str()).compress(compress)
    }
}

impl<P: Parser> Clone for Broadcast<P> {
    fn clone(&self) -> Self {
        Self { namespace: Arc::clone(&self.namespace), target: self.target.clone(), ..*self }
    }
}

impl<P: Parser> fmt::Debug for Broadcast<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("target", &self.target)
            .field("volatile", &self.volatile)
            .finish_non_exhaustive()
    }
}
