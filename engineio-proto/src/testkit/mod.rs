//! Everything it takes to try the machines out without a network, a clock or a thread (feature `testkit`).
//!
//! * [`SimNet`]: virtual time and what is under way; [`Random`]: chance that a seed repeats.
//! * [`Watched`]: a machine with all its verbs, and one [`check`](Watched::check) for the invariants, for simulations and fuzzers alike.
//! * [`Pair`]: a client like the JavaScript one and a server, with a network between them.
//! * [`Walk`]: a session alone, in a world that keeps to no rule.
//! * [`scenario`]: whole lives of a session, made up by a seed and judged.
//! * [`explore`]: every interleaving of a small world, none left to chance.
//!
//! Nothing here sleeps: a thousand lives take seconds.
//!
//! # The invariants
//!
//! What must hold whatever peers, applications and clocks do, for every machine of this family. Tests and fuzz targets cite the numbers;
//! a test whose name begins with one (`i4_..`) is about that invariant.
//!
//! | | what must hold | where it is checked |
//! |---|---|---|
//! | I1 | Polls in any order give the same outputs. | two runs of a [`Walk`]; the same for connections in the target `socket_connection` |
//! | I2 | After `handle_timeout(t)`, `poll_timeout()` is `None` or later than `t`. | [`Watched::handle_timeout`] |
//! | I3 | If `poll_timeout()` is `Some(t)`, `handle_timeout(t)` fires at least one timer; before `t` it fires none. | [`Watched::handle_timeout`] |
//! | I4 | Every request that is handed in is answered exactly once, or was aborted; no request and no link is left open after the end. | [`Watched::poll_transmit`], [`Watched::check`], [`explore`] |
//! | I5 | `Closed` comes exactly once and is the last event. A drained machine has no event and no deadline; a request that comes later is answered (400, code 1), a link is closed. | [`Watched::poll_event`], [`Watched::check`], [`Watched::check_settled`], [`Watched::check_after_end`], [`explore`] |
//! | I6 | Splitting or joining bytes, or putting packets into other POST bodies, changes no event. | two runs: tests `i6_..`, targets `http_bodies`, `webtransport`, `websocket_decoder` |
//! | I7 | What is encoded is decoded as the same. Decoding anything never panics, and allocates no more than the limits. | tests `i7_..`, all targets that decode |
//! | I8 | The same settings, seed and inputs give the same log. | [`Watched::digest`] of two runs |
//! | I9 | What waits to be sent is at most the limit and one unit more; so is what waits to be read. | [`Watched::check`], [`Watched::poll_event`] |
//! | I10 | While a session lives, messages arrive once and in order, across an upgrade too. | [`Numbered`], in [`scenario`], [`explore`] and in the simulated servers of `socketio-proto` |
//! | I11 | A clock that goes backwards is one that stands still. | two runs of a [`Walk`] |
//! | I12 | Every ack that is awaited has exactly one outcome; after the end every table is empty. | the simulated servers of `socketio-proto`, target `socket_connection` |
//! | I13 | With recovery: a client sees every event of its rooms once and in order, or is told that it was not recovered. | nowhere yet: there is no recovery |
//! | I14 | A client's emit is delivered at most once, with retries at least once; delays of reconnection follow the formula. | nowhere yet: there are no clients |
//! | I15 | In a cluster without faults an operation has the effect that it has on one node; with faults the caller learns what is missing. | nowhere yet: there is no cluster |
//! | I16 | Bytes held on behalf of a peer, in whatever queue, replies that were handed out and are not confirmed included, are at most the limits and one unit more. One input costs what its size costs, whatever is queued. | [`Watched::check`], [`Watched::poll_transmit`]; floods in the test `session_limits` |

mod client;
pub mod explore;
mod invariants;
mod pair;
mod random;
pub mod scenario;
mod simnet;
mod walk;

pub use self::client::{Client, ClientAction, ClientEvent, ClientSettings, Habits};
pub use self::invariants::{Numbered, Violation, Watched, WatchedEvent};
pub use self::pair::{Pair, Step, Wires};
pub use self::random::{Choices, Random};
pub use self::simnet::SimNet;
pub use self::walk::{Clock, Outcome, PollOrder, Walk};
