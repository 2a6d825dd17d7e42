//! Everything it takes to try the machines out without a network, a clock or a thread (feature `testkit`).
//!
//! * [`SimNet`]: virtual time and what is under way; [`Random`]: chance that a seed repeats.
//! * [`Watched`]: a machine with all its verbs, and one [`check`](Watched::check) for the invariants, for simulations and fuzzers alike.
//! * [`Pair`]: a client like the JavaScript one and a server, with a network between them.
//! * [`Walk`]: a session alone, in a world that keeps to no rule.
//! * [`scenario`]: whole lives of a session, made up by a seed and judged.
//!
//! Nothing here sleeps: a thousand lives take seconds.

mod client;
mod invariants;
mod pair;
mod random;
pub mod scenario;
mod simnet;
mod walk;

pub use self::client::{Client, ClientAction, ClientEvent, ClientSettings, Habits};
pub use self::invariants::{Numbered, Violation, Watched, WatchedEvent};
pub use self::pair::{Pair, Step, Wires};
pub use self::random::Random;
pub use self::simnet::SimNet;
pub use self::walk::{Clock, Outcome, PollOrder, Walk};
