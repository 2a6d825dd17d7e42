//! A black-box conformance suite for Engine.IO and Socket.IO implementations.
//!
//! This crate uses nothing of the state machines in this workspace. It talks to an implementation over the network, with its own simple
//! HTTP and WebSocket code, and over QUIC with the feature `webtransport`.
//!
//! [`case`] holds the requirements as data. [`run`](mod@run) runs the cases against a server or a client. [`mutant`] breaks correct
//! implementations on purpose, and [`proof`] checks that the cases notice. [`report`] presents the results. [`peers`] installs
//! third-party programs (Node.js packages, Python packages, a browser) in pinned versions. [`process`] runs them with deadlines, so that
//! a hang is reported. The README explains how to use the program and how to write a case.

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
