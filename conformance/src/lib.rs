//! Conformance of Engine.IO and Socket.IO implementations, seen from outside.
//!
//! This crate knows nothing of the machines of this workspace: it speaks to an implementation the way strangers do.
//! What is here now is the preparation for that: [`peers`] installs the programs other people run (Node.js packages,
//! Python packages, a browser) in pinned versions, and [`process`] runs them so that a hang becomes a report.

pub mod peers;
pub mod process;
