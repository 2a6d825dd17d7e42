//! Tools that test the machines without a network, a clock or a thread (feature `testkit`).
//!
//! * [`SimNet`]: virtual time, and the items that are in transit. [`Random`]: seeded random numbers.
//! * [`Watched`]: wraps a machine and checks its invariants, for simulations and for fuzzers. See [`check`](Watched::check).
//! * [`Pair`]: a server and a client, with a network between them. The client is a model of the JavaScript one ([`Client`]), which shares no
//!   code with the machines, or a client's machine ([`MachineEnd`]).
//! * [`RandomWalk`]: a session alone, with arbitrary inputs in arbitrary order. [`ClientWalk`]: the same for a client.
//! * [`scenario`]: complete sessions, generated from a seed and checked.
//! * [`explore`]: every interleaving of a small world, without randomness.
//!
//! Nothing here sleeps: a thousand sessions take seconds.
//!
//! # The invariants
//!
//! These rules hold for every machine of this family, whatever peers, applications and clocks do. Tests and fuzz targets cite the
//! numbers. A test whose name starts with a number (`i4_..`) tests that invariant.
//!
//! | | invariant | where it is checked |
//! |---|---|---|
//! | I1 | The order of polls does not change the outputs. | two runs of a [`RandomWalk`] or a [`ClientWalk`]; the same for connections in the target `socket_connection` |
//! | I2 | After `handle_timeout(t)`, `poll_timeout()` is `None` or later than `t`. | [`Watched::handle_timeout`] |
//! | I3 | If `poll_timeout()` is `Some(t)`, `handle_timeout(t)` fires at least one timer; before `t` it fires none. | [`Watched::handle_timeout`] |
//! | I4 | Every request is answered exactly once, or was aborted. A client awaits or cancels each of its requests once, and closes each of its links. No request and no link is left open after the end. | [`Watched::poll_transmit`], [`Watched::check`], [`explore`] |
//! | I5 | `Closed` is emitted exactly once and is the last event. A drained machine has no event and no deadline. A server's answers a later request (400, code 1), and closes a later link; a client's does nothing. A client that is opened again begins anew. | [`Watched::poll_event`], [`Watched::check`], [`Watched::check_settled`], [`Watched::check_after_end`], [`explore`] |
//! | I6 | Splitting or joining bytes does not change the events, and neither does distributing packets differently over POST bodies. | two runs: tests `i6_..`, targets `http_bodies`, `webtransport`, `websocket_decoder` |
//! | I7 | Decoding an encoded value returns the same value. Decoding never panics, whatever the input, and allocates no more than the limits. | tests `i7_..`, all targets that decode |
//! | I8 | The same settings, seed and inputs give the same log. | [`Watched::digest`] of two runs |
//! | I9 | The bytes queued for sending never exceed the limit by more than one unit, and one ping for each unwritten reply. The same holds for the bytes that the application has not read yet. | [`Watched::check`], [`Watched::poll_event`] |
//! | I10 | While a session is open, messages arrive once and in order, also across an upgrade. | [`Numbered`], in [`scenario`], [`explore`] and in the simulated servers of `socketio-proto` |
//! | I11 | A clock that goes backwards has the same effect as a clock that stands still. | two runs of a [`RandomWalk`] or a [`ClientWalk`] |
//! | I12 | Every pending ack has exactly one outcome. After the end, every table is empty. | the simulated servers of `socketio-proto`, targets `socket_connection` and `socket_client` |
//! | I13 | With recovery: a client receives every event of its rooms once and in order, or is informed that it was not recovered. | `run_with_cuts` and `run_with_reconnections` of the testkit of `socketio-proto`, the test `namespace_recovery`, target `recovery`; `virtual_time` of the driver |
//! | I14 | An emit of a client is delivered at most once; with retries, at least once. The delays of reconnection follow the formula. | `run_with_reconnections` of the testkit of `socketio-proto`, the tests `client_retries` and `client_reconnection` |
//! | I15 | In a cluster without faults, an operation has the same effect as on one node. With faults, the caller learns what is missing. | nowhere yet: clusters are not implemented |
//! | I16 | The bytes held for a peer never exceed the limits by more than one unit, and one ping for each unwritten reply. All queues count, and so do replies and POSTs that were handed out and are not confirmed yet. The cost of one input depends on its size only, not on what is queued. | [`Watched::check`], [`Watched::poll_transmit`]; floods in the test `session_limits` |

mod client;
mod client_end;
mod client_walk;
pub mod explore;
mod invariants;
mod pair;
mod random;
mod random_walk;
pub mod scenario;
mod simnet;

pub use self::client::{Client, ClientAction, ClientBehavior, ClientEvent, ClientSettings};
pub use self::client_end::{ClientEnd, MachineEnd, MessageEnd, MessageMachine, ModelEnd};
pub use self::client_walk::{ClientOutcome, ClientWalk};
pub use self::invariants::{Fact, Numbered, Violation, Watched, WatchedEvent, WatchedInput, WatchedTransmit};
pub use self::pair::{NetworkSettings, Pair, Step};
pub use self::random::{Choices, Random};
pub use self::random_walk::{Clock, Outcome, PollOrder, RandomWalk};
pub use self::simnet::SimNet;
