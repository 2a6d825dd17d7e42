//! The list of cases, one file for each kind of codec.

mod base64;
mod binary;
mod events;
mod framing;
mod msgpack;
mod payloads;
mod payloads_v3;

use crate::case::{Case, Cases};

/// All cases, row by row.
pub fn all() -> Vec<Case> {
    let mut cases = Cases::default();
    events::add(&mut cases);
    binary::add(&mut cases);
    msgpack::add(&mut cases);
    payloads::add(&mut cases);
    payloads_v3::add(&mut cases);
    base64::add(&mut cases);
    framing::add(&mut cases);
    cases.into_vec()
}

/// Returns the length of the packet of the input `json SIZE`, in bytes.
pub fn json_length(size: usize) -> usize {
    serde_json::to_string(&("message", crate::inputs::object(size))).map_or(0, |json| json.len() + 1)
}
