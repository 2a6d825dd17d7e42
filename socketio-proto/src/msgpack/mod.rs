//! MessagePack as `socket.io-msgpack-parser` writes it: a scanner validates it once, and serde reads and writes it.
//!
//! MessagePack lacks three types of JavaScript. The library of the reference encodes them as extensions of type 0: `undefined`
//! (`d4 00 00`), a `Date` (`d7 00` and milliseconds), and an `ArrayBuffer` (`c7`, `c8` or `c9`). No serde library supports
//! these extensions, and peers send `undefined` in their first packet. So this crate has its own implementation. It does not
//! need `std`.
//!
//! Source: the MessagePack specification; notepack.io 2.2.0, `lib/encode.js` and `lib/decode.js`.

pub(crate) mod de;
pub(crate) mod scan;
pub(crate) mod ser;

/// The name of the newtype struct that represents an extension, as in `rmp-serde`: it contains a tuple (type, bytes).
const EXTENSION: &str = "_ExtStruct";
