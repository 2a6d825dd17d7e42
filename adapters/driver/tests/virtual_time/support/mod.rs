//! A runtime, streams and peers without sockets and without a real clock. Everything that happens by chance is drawn from one seed.
//!
//! * [`Sim`]: the runtime. Time stands still while a task is ready, and jumps to the next wait when none is.
//! * [`pipe`]: a connection in memory, which splits, delays and cuts.
//! * [`Poller`] and [`WebSocket`]: a peer over HTTP requests, and one over the client half of `engineio-websocket`.

#![allow(dead_code, unused_imports, reason = "the tests of the library use a part of it, those outside another")]

mod peers;
mod pipe;
mod sim;

pub(crate) use self::peers::{Ending, Poller, Reply, RequestBody, Upgrading, WebSocket, request, sid_of};
pub(crate) use self::pipe::{Manner, PipeEnd, pipe};
pub(crate) use self::sim::Sim;
