//! An event of a client, and the right to answer it.

use std::fmt;
use std::sync::Arc;

use socketio_proto::{AckToken, Args, EmitError, Outgoing, Parser, Payload};

use super::encoder;
use super::state::{Ack, Command, Event, SocketInner};

impl<P: Parser> Event<P> {
    pub(crate) fn new(payload: Payload, ack: Option<Ack<P>>) -> Self {
        Self { payload, ack }
    }

    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.payload.name().unwrap_or_default()
    }

    /// The arguments as they came. They can be emitted as they are: nothing is parsed then.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Reads the arguments: a tuple takes as many as it has members, any other type takes the first. Borrowing is possible, but a `&str`
    /// cannot hold what the client had to escape (a quote is enough): take a `String` or a `Cow<str>`.
    ///
    /// As with [`Socket::emit`](super::Socket::emit), arrays and tuple structs count as tuples: `((x, y),)` reads one argument that is an array of two, and so does
    /// `Vec<_>`. Binary is read as `bytes::Bytes`; a `Vec<u8>` is an array of numbers.
    ///
    /// # Errors
    /// When they are not of this type.
    pub fn read<'de, T: serde::Deserialize<'de>>(&'de self) -> Result<T, socketio_proto::ReadError> {
        self.payload.read()
    }

    /// Takes the right to answer, if the client wants an answer and it was not taken before.
    pub fn take_ack(&mut self) -> Option<Ack<P>> {
        self.ack.take()
    }

    /// Answers, if the client wants an answer.
    ///
    /// # Errors
    /// [`EmitError`]: nothing was sent.
    pub fn ack<A: Args>(mut self, args: A) -> Result<(), EmitError> {
        self.ack.take().map_or(Ok(()), |ack| ack.send(args))
    }

    /// Splits into the arguments and the right to answer.
    #[must_use]
    pub fn into_parts(self) -> (Payload, Option<Ack<P>>) {
        (self.payload, self.ack)
    }
}

impl<P: Parser> fmt::Debug for Event<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("payload", &self.payload).field("ack", &self.ack.is_some()).finish()
    }
}

impl<P: Parser> Ack<P> {
    pub(crate) fn new(socket: Arc<SocketInner<P>>, token: AckToken) -> Self {
        Self { socket, token }
    }

    /// Answers. Goes out as long as the connection is open, also when the socket has left its namespace.
    ///
    /// # Errors
    /// [`EmitError`]: nothing was sent.
    pub fn send<A: Args>(self, args: A) -> Result<(), EmitError> {
        let packet = Outgoing::ack(self.token.namespace(), self.token.id(), &args);
        let encoded = self.socket.namespace.encode(&packet)?;
        self.socket.peer.push(encoder::weight(&encoded), || Command::Ack { encoded })?;
        Ok(())
    }
}

impl<P: Parser> fmt::Debug for Ack<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ack").field(&self.token).finish()
    }
}
