//! The verbs that a session shares with what is built on one, as a trait: for drivers and test worlds that carry either.

use super::{Input, Session, Transmit};
use crate::event::Event;
use crate::id::LinkId;
use crate::packet::Frame;
use crate::time::Instant;

/// The server's end of a peer: a [`Session`], or a machine that owns one, drains it inside and has the same verbs, as a Socket.IO
/// connection does.
///
/// For who is generic over both: a driver, a simulated network. Each verb keeps the promises of the session's verb of this name, also that
/// inputs and commands may come in any number before the polls, and the polls in any order. What only one of them can do (`send`,
/// `emit`, ..) is not here.
pub trait Machine {
    /// What it tells the application.
    type Event;

    /// The session: its id, its settings, its carrier, and whether it admits a request.
    fn session(&self) -> &Session;

    /// Takes a fact from outside; see [`Session::handle`].
    fn handle(&mut self, now: Instant, input: Input);

    /// The deadline has passed; see [`Session::handle_timeout`].
    fn handle_timeout(&mut self, now: Instant);

    /// Closes once what is queued has gone out; see [`Session::close`].
    fn close(&mut self, now: Instant);

    /// Closes at once; see [`Session::discard`].
    fn discard(&mut self, now: Instant);

    /// The next thing to write; see [`Session::poll_transmit`].
    fn poll_transmit(&mut self) -> Option<Transmit>;

    /// The next thing to write that is not a packet of a link; see [`Session::poll_control`].
    fn poll_control(&mut self) -> Option<Transmit>;

    /// Packets for a link, seen where they lie; see [`Session::poll_frames`].
    fn poll_frames(&mut self, link: LinkId, write: impl FnMut(&Frame) -> bool);

    /// The next thing that happened; see [`Session::poll_event`].
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// Whether [`Machine::poll_event`] has something to give.
    fn has_events(&self) -> bool;

    /// When to call [`Machine::handle_timeout`]; `None` when nothing is due.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether to go on reading from the peer; see [`Session::wants_input`].
    fn wants_input(&self) -> bool;

    /// Whether a message would leave at once; see [`Session::is_writable`].
    fn is_writable(&self) -> bool;

    /// Bytes that wait to be sent; see [`Session::buffered_bytes`].
    fn buffered_bytes(&self) -> usize;

    /// Whether it is over and has nothing left to say; see [`Session::is_drained`].
    fn is_drained(&self) -> bool;
}

impl Machine for Session {
    type Event = Event;

    fn session(&self) -> &Session {
        self
    }

    #[inline]
    fn handle(&mut self, now: Instant, input: Input) {
        self.handle(now, input);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn close(&mut self, now: Instant) {
        self.close(now);
    }

    fn discard(&mut self, now: Instant) {
        self.discard(now);
    }

    #[inline]
    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.poll_transmit()
    }

    #[inline]
    fn poll_control(&mut self) -> Option<Transmit> {
        self.poll_control()
    }

    #[inline]
    fn poll_frames(&mut self, link: LinkId, write: impl FnMut(&Frame) -> bool) {
        self.poll_frames(link, write);
    }

    #[inline]
    fn poll_event(&mut self) -> Option<Event> {
        self.poll_event()
    }

    #[inline]
    fn has_events(&self) -> bool {
        self.has_events()
    }

    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }

    #[inline]
    fn wants_input(&self) -> bool {
        self.wants_input()
    }

    fn is_writable(&self) -> bool {
        self.is_writable()
    }

    #[inline]
    fn buffered_bytes(&self) -> usize {
        self.buffered_bytes()
    }

    fn is_drained(&self) -> bool {
        self.is_drained()
    }
}
