//! Many packets in one HTTP body: how long-polling carries them.
//!
//! Revision 4 joins text packets with a separator; see [`Packets`] for reading and [`encode`] for writing. Revision 3 puts a length in
//! front of each, see [`v3`]. A client that polls by script tags wraps either, see [`jsonp`].
//! Source: Engine.IO protocol v4, "HTTP long-polling"; engine.io-parser 5.2.3, `encodePayload` and `decodePayload`.

pub mod jsonp;
pub mod v3;
mod v4;

pub use self::v4::{Packets, encode};
