//! Conformance of Engine.IO and Socket.IO implementations, seen from outside.
//!
//! This crate knows nothing of the machines of this workspace: it speaks to an implementation the way strangers do, over HTTP and
//! WebSocket by simple means of its own, and with the feature `webtransport` over QUIC. [`case`] holds what is required, as data; [`run`](mod@run) tries it on a server or a client; [`mutant`]
//! breaks good implementations on purpose, and [`proof`] sees that the cases notice; [`report`] tells people and machines. [`peers`] installs the
//! programs other people run (Node.js packages, Python packages, a browser) in pinned versions, and [`process`] runs them so that a
//! hang becomes a report. The README says how to use the program, and how to write a case.

pub mod case;
pub mod field;
pub mod mutant;
pub mod peers;
mod play;
pub mod process;
pub mod proof;
pub mod report;
pub mod run;
mod script;
pub mod transcript;
pub mod wire;
