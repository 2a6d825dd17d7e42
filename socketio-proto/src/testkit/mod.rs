//! Everything it takes to try a Socket.IO server out without a network, a clock or a thread (feature `testkit`).
//!
//! A [`Connection`](crate::server::Connection) has the verbs of the session below it, so the simulated network of `engineio_proto::testkit` carries it, with all
//! its delays, aborted requests and upgrades, and its invariants are checked after every step. [`run`] adds what this level is about:
//! several clients, namespaces that all of them share, rooms, broadcasts and acks, made up by a seed and judged.

mod client;
mod members;
mod numbered;
mod world;

use engineio_proto::testkit::WatchedEvent;

pub use self::world::{Failure, Report, Scenario, run};
use crate::event::Event;

impl WatchedEvent for Event {
    fn is_end(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    fn payload(&self) -> usize {
        let (Self::Received { payload, .. } | Self::Acked { outcome: Ok(payload), .. }) = self else { return 0 };
        payload.size()
    }
}
