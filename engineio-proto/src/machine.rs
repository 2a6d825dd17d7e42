//! The verbs that all machines share, as a trait: for drivers and test worlds that carry any of them.

use crate::id::LinkId;
use crate::packet::Frame;
use crate::time::Instant;

/// One end of a peer: a [`Session`](crate::server::Session), or a machine that owns one, drains it inside and has the same verbs, as a
/// Socket.IO connection does.
///
/// For code that is generic over them: a driver, a simulated network. Each verb keeps the promises of the session's verb of this name, also
/// that inputs and commands may come in any number before the polls, and the polls in any order. What only one of them can do (`send`,
/// `emit`, ..) is not here.
pub trait Machine {
    /// What it tells the application.
    type Event;
    /// A fact from outside.
    type Input;
    /// Something to do for it: an answer to write, a packet to send.
    type Transmit;

    /// Takes a fact from outside; see [`Session::handle`](crate::server::Session::handle).
    fn handle(&mut self, now: Instant, input: Self::Input);

    /// The deadline has passed; see [`Session::handle_timeout`](crate::server::Session::handle_timeout).
    fn handle_timeout(&mut self, now: Instant);

    /// Closes once what is queued has gone out; see [`Session::close`](crate::server::Session::close).
    fn close(&mut self, now: Instant);

    /// Closes at once; see [`Session::discard`](crate::server::Session::discard).
    fn discard(&mut self, now: Instant);

    /// The next thing to write; see [`Session::poll_transmit`](crate::server::Session::poll_transmit).
    fn poll_transmit(&mut self) -> Option<Self::Transmit>;

    /// The next thing to write that is not a packet of a link; see [`Session::poll_control`](crate::server::Session::poll_control).
    fn poll_control(&mut self) -> Option<Self::Transmit>;

    /// Packets for a link, seen where they lie; see [`Session::poll_frames`](crate::server::Session::poll_frames).
    fn poll_frames(&mut self, link: LinkId, write: impl FnMut(&Frame) -> bool);

    /// The next thing that happened; see [`Session::poll_event`](crate::server::Session::poll_event).
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// Whether [`Machine::poll_event`] has something to give.
    fn has_events(&self) -> bool;

    /// When to call [`Machine::handle_timeout`]; `None` when nothing is due.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether to go on reading from the peer; see [`Session::wants_input`](crate::server::Session::wants_input).
    fn wants_input(&self) -> bool;

    /// Whether a message would leave at once; see [`Session::is_writable`](crate::server::Session::is_writable).
    fn is_writable(&self) -> bool;

    /// Bytes that wait to be sent; see [`Session::buffered_bytes`](crate::server::Session::buffered_bytes).
    fn buffered_bytes(&self) -> usize;

    /// Whether it is over and has nothing left to say; see [`Session::is_drained`](crate::server::Session::is_drained).
    fn is_drained(&self) -> bool;
}
