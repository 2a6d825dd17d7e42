//! The tests of the crate: one program, one file for each area.
//!
//! What a test sends is mostly written byte by byte with [`common::frame`], so that it does not depend on the encoder.
// Helpers of tests may fail loudly, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod chunking;
mod close;
mod common;
mod connection;
mod control;
mod encode;
mod fragmentation;
mod frames;
mod handshake;
mod limits;
mod tungstenite;
mod utf8;
