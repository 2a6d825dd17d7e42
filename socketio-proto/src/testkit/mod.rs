//! Everything it takes to try a Socket.IO server out without a network, a clock or a thread (feature `testkit`).
//!
//! A [`Connection`] is a [`Machine`] like the session below it, so the simulated network of `engineio_proto::testkit` carries it, with all
//! its delays, aborted requests and upgrades, and its invariants are checked after every step. [`run`] adds what this level is about:
//! several clients, namespaces that all of them share, rooms, broadcasts and acks, made up by a seed and judged.

mod client;
mod members;
mod numbered;
mod world;

use engineio_proto::server::{Ask, Input, Transmit};
use engineio_proto::testkit::Machine;
use engineio_proto::{Instant, Response, Sid};

pub use self::world::{Failure, Report, Scenario, run};
use crate::event::Event;
use crate::parser::Parser;
use crate::server::Connection;

impl<P: Parser> Machine for Connection<P> {
    type Event = Event;

    fn sid(&self) -> Sid {
        self.session().sid()
    }

    fn admit(&self, ask: &Ask) -> Result<(), Response> {
        self.session().admit(ask)
    }

    fn handle(&mut self, now: Instant, input: Input) {
        self.handle(now, input);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.poll_transmit()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.poll_event()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }

    fn wants_input(&self) -> bool {
        self.wants_input()
    }

    fn is_drained(&self) -> bool {
        self.is_drained()
    }

    fn buffered_bytes(&self) -> usize {
        self.buffered_bytes()
    }

    fn is_end(event: &Event) -> bool {
        matches!(event, Event::Closed(_))
    }

    fn payload(event: &Event) -> usize {
        let (Event::Received { payload, .. } | Event::Acked { outcome: Ok(payload), .. }) = event else { return 0 };
        payload.size()
    }
}
