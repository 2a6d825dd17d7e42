//! The tests of the crate: one program, with one file for each area.
//!
//! Tests mostly write their input byte by byte with [`common::frame`], so that they do not depend on the encoder.
// Helpers of tests may panic, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod chunking;
mod close;
mod common;
mod connection;
mod control;
#[cfg(feature = "deflate")]
mod deflate;
mod encode;
mod fragmentation;
mod frames;
mod handshake;
mod limits;
mod tungstenite;
mod utf8;
