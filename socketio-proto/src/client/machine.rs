//! Implements [`Machine`] for [`Client`], so that the same driver code runs clients of Engine.IO and of Socket.IO.

use engineio_proto::client::{Client as Engine, ClientMachine, Input, Transmit};
use engineio_proto::{Frame, Instant, LinkId, Machine};

use super::{Client, Event};
use crate::parser::Parser;

impl<P: Parser> ClientMachine for Client<P> {
    fn client(&self) -> &Engine {
        self.engine()
    }
}

impl<P: Parser> Machine for Client<P> {
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
