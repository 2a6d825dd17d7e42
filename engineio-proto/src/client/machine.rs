//! [`ClientMachine`], which adds to [`Machine`] what the driver of a client needs. Implements both for [`Client`].

use super::{Client, Input, Transmit};
use crate::event::Event;
use crate::id::LinkId;
use crate::machine::Machine;
use crate::packet::Frame;
use crate::time::Instant;

/// The machine of one client: a [`Client`], or a machine that owns one.
pub trait ClientMachine: Machine<Input = Input, Transmit = Transmit> {
    /// The client. It has the settings, the transport, and what the server said of the session.
    fn client(&self) -> &Client;
}

impl ClientMachine for Client {
    fn client(&self) -> &Client {
        self
    }
}

impl Machine for Client {
    type Event = Event;
    type Input = Input;
    type Transmit = Transmit;

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
