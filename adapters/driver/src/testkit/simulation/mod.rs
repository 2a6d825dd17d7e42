//! A runtime, streams and peers without sockets or a real clock. All random choices come from one seed.
//!
//! * [`Sim`]: the runtime. Time stands still while a task is ready, and otherwise advances to the end of the next sleep.
//! * [`pipe`]: a byte stream in memory that splits, delays and cuts.
//! * [`Poller`] and [`WebSocket`]: a peer that sends HTTP requests, and one that uses the client half of `engineio-websocket`.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the test kit, the tests of the library and those outside use different parts"
)]

mod peers;
mod pipe;
mod sim;

pub(crate) use self::peers::{Ending, Poller, Reply, RequestBody, Upgrading, WebSocket, request, sid_of};
pub(crate) use self::pipe::{PipeEnd, PipeSettings, pipe};
pub use self::sim::Companion;
pub(crate) use self::sim::Sim;
