//! MessagePack as socket.io-msgpack-parser writes it: checked once by a scanner of our own, read and written through serde.
//!
//! The format has no word for three things that JavaScript has, and the reference's library puts them into extensions of type 0:
//! `undefined` (`d4 00 00`), a `Date` (`d7 00` and milliseconds), an `ArrayBuffer` (`c7`, `c8` or `c9`). No library for serde knows
//! them, and a peer sends `undefined` in its very first packet; therefore reading and writing are here. It needs no `std`.
//!
//! Source: the MessagePack specification; notepack.io 2.2.0, `lib/encode.js` and `lib/decode.js`.

pub(crate) mod de;
pub(crate) mod scan;
pub(crate) mod ser;

/// The name under which types hand over and ask for an extension, as `rmp-serde` has it: a newtype struct of a tuple (type, bytes).
const EXTENSION: &str = "_ExtStruct";
