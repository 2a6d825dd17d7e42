//! Many packets in one HTTP body: how long-polling carries them.
//!
//! Revision 4 joins text packets with a separator; see [`Packets`] for reading and [`encode`] for writing.
//! Source: Engine.IO protocol v4, "HTTP long-polling"; engine.io-parser 5.2.3, `encodePayload` and `decodePayload`.

mod v4;

pub use self::v4::{Packets, encode};
