//! [`ServerMachine`], which adds to [`Machine`] what the driver of a server needs. Implements both for [`Session`].

use super::{Input, LinkDownCause, Session, Transmit};
use crate::event::{Event, LinkKind};
use crate::id::LinkId;
use crate::machine::{LinkInput, Machine};
use crate::message::Message;
use crate::packet::Frame;
use crate::time::Instant;

/// The machine of one peer, server side: a [`Session`], or a machine that owns one.
pub trait ServerMachine: Machine<Input = Input, Transmit = Transmit> {
    /// The session. It has the id, the settings, the transport, and [`Session::admit`].
    fn session(&self) -> &Session;
}

impl ServerMachine for Session {
    fn session(&self) -> &Session {
        self
    }
}

impl LinkInput for Input {
    fn link_up(link: LinkId, kind: LinkKind) -> Self {
        Self::LinkUp { link, kind }
    }

    #[inline]
    fn link_message(link: LinkId, message: Message) -> Self {
        Self::LinkMessage { link, message }
    }

    fn link_down(link: LinkId, cause: LinkDownCause) -> Self {
        Self::LinkDown { link, cause }
    }
}

impl Machine for Session {
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
