//! Tests a Socket.IO server without a network, a clock or threads (feature `testkit`).
//!
//! A [`Connection`](crate::server::Connection) has the same methods as the session below it. So it runs on the simulated
//! network of `engineio_proto::testkit`, with delays, aborted requests and upgrades, and its invariants are checked after every
//! step. [`run`] adds the Socket.IO level: several clients on shared namespaces, with rooms, broadcasts and acks. A seed
//! determines what they do, and `run` checks the results. [`run_with_cuts`] does the same for clients that lose their connections and
//! return, on a server with connection state recovery.
//! [`run_with_reconnections`] has the real [`Client`](crate::client::Client) at the other end, which connects again by itself.

mod client;
mod model;
mod network;
mod numbered;
mod process;
mod reconnecting;
mod recovery;
mod world;

use engineio_proto::testkit::WatchedEvent;

pub use self::reconnecting::{ReconnectionReport, Reconnections, run_with_reconnections};
pub use self::recovery::{CutReport, Cuts, run_with_cuts};
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
