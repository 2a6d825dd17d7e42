//! A broadcast: to whom, and how.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot;
use socketio_proto::server::Target;
use socketio_proto::{AckError, Args, EmitError, Json, Outgoing, Parser, Payload};

use super::state::{NamespaceInner, Socket, SocketKey};

/// A broadcast that is being put together. Each method returns it changed; a clone goes its own way.
#[must_use = "emit something"]
pub struct Broadcast<P: Parser = Json> {
    namespace: Arc<NamespaceInner<P>>,
    target: Target<SocketKey>,
    volatile: bool,
}

/// What came of a broadcast with acks.
#[derive(Debug)]
#[non_exhaustive]
pub struct Answers<P: Parser = Json> {
    /// One for every recipient.
    pub answers: Vec<(Socket<P>, Result<Payload, AckError>)>,
}

impl<P: Parser> Broadcast<P> {
    pub(crate) fn new(namespace: Arc<NamespaceInner<P>>, sender: Option<SocketKey>) -> Self {
        Self { namespace, target: Target { sender, ..Target::everybody() }, volatile: false }
    }

    /// Also to this room. Without any room the broadcast is to everybody on the namespace.
    pub fn to(mut self, room: &str) -> Self {
        self.target.rooms.insert(room.to_owned());
        self
    }

    /// Not to who is in this room.
    pub fn except(mut self, room: &str) -> Self {
        self.target.except.insert(room.to_owned());
        self
    }

    /// Drops the event for those to whom it cannot leave at once.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Sends an event. It is encoded once. A recipient whose outbound queue is full is closed, rather than left with a gap.
    ///
    /// # Errors
    /// When the event cannot be encoded; nothing was sent.
    pub fn emit<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        let packet = Outgoing::event(&self.namespace.name, None, event, &args);
        let encoded = self.namespace.encode(&packet)?;
        self.namespace.emit(&self.target, &encoded, self.volatile);
        Ok(())
    }

    /// Sends an event that every recipient is to answer within `timeout`. The event leaves in any case; await what it returns for the
    /// answers: complete as soon as everybody answered, disconnected or ran out of time. Who a [`volatile`](Self::volatile) event does not
    /// leave for at once counts as disconnected.
    ///
    /// # Errors
    /// When the event cannot be encoded; nothing was sent.
    pub fn emit_with_ack<A: Args>(
        &self,
        event: &str,
        args: A,
        timeout: Duration,
    ) -> Result<impl Future<Output = Answers<P>> + Send + use<A, P>, EmitError> {
        let ack = self.namespace.reserve_ack();
        let packet = Outgoing::event(&self.namespace.name, Some(ack.id().0.into()), event, &args);
        let encoded = self.namespace.encode(&packet)?;
        let (sink, answers) = oneshot::channel();
        self.namespace.emit_with_ack(&self.target, &encoded, ack, timeout, self.volatile, sink);
        Ok(async move { Answers { answers: answers.await.unwrap_or_default() } })
    }

    /// The sockets that the broadcast would go to.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket<P>> {
        self.namespace.sockets(&self.target)
    }

    /// Has them all join a room.
    pub fn join(&self, room: &str) {
        self.namespace.join(&self.target, room);
    }

    /// Has them all leave a room.
    pub fn leave(&self, room: &str) {
        self.namespace.leave(&self.target, room);
    }

    /// Makes them all leave the namespace.
    pub fn disconnect(&self) {
        self.sockets().iter().for_each(Socket::disconnect);
    }
}

impl<P: Parser> Clone for Broadcast<P> {
    fn clone(&self) -> Self {
        Self { namespace: Arc::clone(&self.namespace), target: self.target.clone(), volatile: self.volatile }
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
