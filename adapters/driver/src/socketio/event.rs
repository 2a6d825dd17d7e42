//! A received event, and its ack.

use std::fmt;
use std::sync::Arc;

use socketio_proto::{AckToken, Args, EmitError, EncodeError, Limits, Outgoing, PacketType, Parser, Payload};

use super::encoder;
use super::state::{Ack, AckFrom, AckHome, Command, Event, SocketInner};
use crate::client::{ClientPeer, Command as ClientCommand};
use crate::sync::lock;

impl<P: Parser> Event<P> {
    pub(crate) fn new(payload: Payload, ack: Option<Ack<P>>) -> Self {
        Self { payload, ack }
    }

    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.payload.name().unwrap_or_default()
    }

    /// The arguments as they were received. They can be emitted unchanged, without being deserialised.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Reads the arguments. A tuple reads one argument for each member; any other type reads the first argument. Types can
    /// borrow from the event. A `&str` cannot hold a string that the client had to escape, for example one with a quote; use
    /// `String` or `Cow<str>`.
    ///
    /// As in [`Socket::emit`](super::Socket::emit), arrays and tuple structs count as tuples. `((x, y),)` reads one argument
    /// that is an array of two elements, and so does `Vec<_>`. Read binary data as `bytes::Bytes`; a `Vec<u8>` is an array of
    /// numbers.
    ///
    /// # Errors
    /// If the arguments do not have this type.
    pub fn read<'de, T: serde::Deserialize<'de>>(&'de self) -> Result<T, socketio_proto::ReadError> {
        self.payload.read()
    }

    /// Takes the right to send the ack. `None` if the client did not request an ack, or if it was taken before.
    pub fn take_ack(&mut self) -> Option<Ack<P>> {
        self.ack.take()
    }

    /// Sends the ack. Does nothing if the client did not request one.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; nothing is sent.
    pub fn ack<A: Args>(mut self, args: A) -> Result<(), EmitError> {
        self.ack.take().map_or(Ok(()), |ack| ack.send(args))
    }

    /// Sends the received arguments back as the ack, without deserialising them. Does nothing if the client did not request an ack.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; nothing is sent.
    pub fn ack_with_received(mut self) -> Result<(), EmitError> {
        self.ack.take().map_or(Ok(()), |ack| ack.send(&self.payload))
    }

    /// The same event with another name or other arguments, for a filter ([`Namespace::filter`](crate::Namespace::filter)) that changes
    /// events. The right to send the ack stays with it.
    ///
    /// # Errors
    /// If the arguments cannot be encoded, are nested too deeply, or the name is reserved.
    pub fn with<A: Args>(self, event: &str, args: A) -> Result<Self, EmitError> {
        let mut text = String::new();
        // Only the arguments and the name are written. They are JSON whatever the parser is.
        let attachments = Outgoing::event("/", None, event, &args).write_json(&mut text, u8::MAX)?;
        let payload = Payload::from_json(PacketType::Event, text.into(), attachments, &Limits::default());
        let payload = payload.map_err(|error| EncodeError::Serialize(error.to_string()))?;
        Ok(Self { payload, ..self })
    }

    /// Splits the event into its arguments and the right to send the ack.
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
        Self { from: AckFrom::Server(socket), token: Some(token), home: None }
    }

    /// The ack of a client.
    pub(crate) const fn of_client(client: Arc<ClientPeer<P>>, token: AckToken) -> Self {
        Self { from: AckFrom::Client(client), token: Some(token), home: None }
    }

    /// Same as [`Ack::new`]; if it is dropped unused, the token goes to `home`.
    pub(crate) fn with_home(self, home: Option<Arc<AckHome>>) -> Self {
        let mut ack = self;
        ack.home = home;
        ack
    }

    pub(crate) fn into_token(mut self) -> Option<AckToken> {
        self.token.take()
    }

    /// Sends the ack. It is sent as long as the connection is open, even if the socket has left its namespace.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; nothing is sent.
    pub fn send<A: Args>(mut self, args: A) -> Result<(), EmitError> {
        let Some(token) = &self.token else { return Ok(()) };
        let packet = Outgoing::ack(token.namespace(), token.id(), &args);
        match &self.from {
            AckFrom::Server(socket) => {
                let encoded = socket.namespace.encode(&packet)?;
                socket.peer.push(encoder::weight(&encoded), || Command::Ack { encoded })?;
                self.token = None;
            }
            AckFrom::Client(client) => {
                let encoded = client.shared.encode(&packet)?;
                let token = &mut self.token;
                client.push(encoder::weight(&encoded), || ClientCommand::Ack { token: token.take(), encoded })?;
            }
        }
        Ok(())
    }
}

impl<P: Parser> Drop for Ack<P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            go_home(home, self.token.take());
        }
    }
}

#[cold]
fn go_home(home: &AckHome, token: Option<AckToken>) {
    *lock(home) = token;
}

impl<P: Parser> fmt::Debug for Ack<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ack").field(&self.token).finish()
    }
}
