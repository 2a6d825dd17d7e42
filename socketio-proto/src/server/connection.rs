//! One Socket.IO peer, server side, over the Engine.IO session that it owns.
//!
//! Source: socket.io `lib/client.ts`, `lib/socket.ts`; reference inventory sections 7.2 and 7.4.

use alloc::sync::Arc;
use core::time::Duration;

use engineio_proto::server::{Input, Session, Transmit};
use engineio_proto::{Instant, SendError, Sid};
use serde::Serialize;

use crate::config::Config;
use crate::error::EmitError;
use crate::event::{AckId, AckToken, Event, Pending, SocketId};
use crate::packet::Encoded;
use crate::parser::{Encoder, Json, Parser};
use crate::payload::Args;

/// One Socket.IO peer, server side.
#[derive(Debug)]
pub struct Connection<P: Parser = Json> {
    session: Session,
    parser: P,
    config: Arc<Config>,
}

impl<P: Parser> Connection<P> {
    /// A connection over a session that was just accepted.
    #[must_use]
    pub fn new(now: Instant, session: Session, parser: P, config: Arc<Config>) -> Self {
        let _ = now;
        Self { session, parser, config }
    }

    /// The session below, for its getters and [`Session::admit`].
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// A fact from outside.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.session.handle(now, input);
    }

    /// The deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
    }

    /// Lets the peer join: the CONNECT reply with the socket's id is queued.
    ///
    /// # Errors
    /// When the connection or the request is gone meanwhile; `sid` is then unused.
    pub fn accept(&mut self, now: Instant, pending: Pending, sid: Sid) -> Result<SocketId, EmitError> {
        let _ = (now, pending, sid, &self.parser, &self.config);
        unimplemented!()
    }

    /// Refuses: CONNECT_ERROR with `{"message": .., "data": ..}` is queued.
    ///
    /// # Errors
    /// When the data cannot be serialised (the peer is then refused without it).
    pub fn refuse<D: Serialize + ?Sized>(
        &mut self,
        now: Instant,
        pending: Pending,
        message: &str,
        data: Option<&D>,
    ) -> Result<(), EmitError> {
        let _ = (now, pending, message, data);
        unimplemented!()
    }

    /// Sends an event.
    ///
    /// # Errors
    /// [`EmitError`]; nothing has changed then.
    pub fn emit<A: Args + ?Sized>(
        &mut self,
        encoder: &mut Encoder,
        socket: SocketId,
        event: &str,
        args: &A,
    ) -> Result<(), EmitError> {
        let _ = (encoder, socket, event, args);
        unimplemented!()
    }

    /// Sends an event that the peer is to answer; [`Event::Acked`] brings the outcome.
    ///
    /// # Errors
    /// [`EmitError`]; nothing has changed then.
    pub fn emit_with_ack<A: Args + ?Sized>(
        &mut self,
        now: Instant,
        encoder: &mut Encoder,
        socket: SocketId,
        event: &str,
        args: &A,
        timeout: Option<Duration>,
    ) -> Result<AckId, EmitError> {
        let _ = (now, encoder, socket, event, args, timeout);
        unimplemented!()
    }

    /// Sends a packet that was encoded before, for this socket's namespace.
    ///
    /// # Errors
    /// [`EmitError`]; nothing has changed then.
    pub fn send(&mut self, socket: SocketId, encoded: &Encoded) -> Result<(), EmitError> {
        let _ = (socket, encoded);
        unimplemented!()
    }

    /// As [`Connection::send`], for a packet that carries this ack id; [`Event::Acked`] brings the outcome.
    ///
    /// # Errors
    /// [`EmitError`]; nothing has changed then.
    pub fn send_expecting(
        &mut self,
        now: Instant,
        socket: SocketId,
        encoded: &Encoded,
        id: AckId,
        timeout: Option<Duration>,
    ) -> Result<(), EmitError> {
        let _ = (now, socket, encoded, id, timeout);
        unimplemented!()
    }

    /// Answers an event. Sent as long as the session is open, also when the socket has left its namespace.
    ///
    /// # Errors
    /// [`EmitError`].
    pub fn ack<A: Args + ?Sized>(&mut self, encoder: &mut Encoder, token: AckToken, args: &A) -> Result<(), EmitError> {
        let _ = (encoder, token, args);
        unimplemented!()
    }

    /// As [`Connection::ack`], with an ACK packet that was encoded before.
    ///
    /// # Errors
    /// [`EmitError`].
    pub fn send_ack(&mut self, encoded: &Encoded) -> Result<(), EmitError> {
        let _ = encoded;
        unimplemented!()
    }

    /// Makes a socket leave its namespace; the connection stays.
    pub fn disconnect(&mut self, now: Instant, socket: SocketId) {
        let _ = (now, socket);
        unimplemented!()
    }

    /// Makes every socket leave its namespace, then closes the connection in order.
    pub fn close(&mut self, now: Instant) {
        let _ = now;
        unimplemented!()
    }

    /// Closes for the server's shutdown: sockets see `server shutting down`, no DISCONNECT is sent (clients of the reference would not
    /// reconnect), what is queued goes out.
    pub fn shut_down(&mut self, now: Instant) {
        let _ = now;
        unimplemented!()
    }

    /// Closes at once; what is queued is lost.
    pub fn discard(&mut self, now: Instant) {
        let _ = now;
        unimplemented!()
    }

    /// The next thing to write.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.session.poll_transmit()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        unimplemented!()
    }

    /// When to call [`Connection::handle_timeout`]; `None` when nothing is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// Whether the driver should go on reading from the peer's link.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        unimplemented!()
    }

    /// Whether an event would leave at once: the test for volatile events.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.session.is_writable()
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.session.buffered_bytes()
    }

    /// Whether the connection is over and has nothing left to say.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        unimplemented!()
    }
}

#[allow(dead_code, reason = "skeleton")]
type Skeleton = SendError;
