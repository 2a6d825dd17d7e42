//! The golden vectors of Socket.IO: what the reference parsers answer, held against ours, with every difference listed.
//!
//! The files, their format and the list are in `conformance/vectors`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

#[path = "../../conformance/vectors/rust/socket.rs"]
mod socket;
#[path = "../../conformance/vectors/rust/tree.rs"]
mod tree;
#[path = "../../conformance/vectors/rust/vectors.rs"]
mod vectors;

use std::path::Path;

fn check(name: &str) {
    let codec = socket::CODECS.into_iter().find(|codec| codec.name == name).unwrap();
    vectors::check(&codec, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/vectors"));
}

#[test]
fn the_default_parser() {
    check("socketio5");
}

#[test]
fn the_parser_of_protocol_4() {
    check("socketio4");
}

#[test]
fn the_parser_of_messagepack() {
    check("socketio5-msgpack");
}
