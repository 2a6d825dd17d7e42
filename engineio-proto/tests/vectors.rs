//! The golden vectors of Engine.IO: compares our parsers with the results of the reference parsers. Every difference must be listed.
//!
//! The files, their format and the list are in `conformance/vectors`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic")]

#[path = "../../conformance/vectors/rust/engine.rs"]
mod engine;
#[path = "../../conformance/vectors/rust/tree.rs"]
mod tree;
#[path = "../../conformance/vectors/rust/vectors.rs"]
mod vectors;

use std::path::Path;

fn check(name: &str) {
    let codec = engine::CODECS.into_iter().find(|codec| codec.name == name).unwrap();
    vectors::check(&codec, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/vectors"));
}

#[test]
fn packets_of_revision_4() {
    check("engineio4-packet");
}

#[test]
fn payloads_of_revision_4() {
    check("engineio4-payload");
}

#[test]
fn frames_of_webtransport() {
    check("engineio4-webtransport");
}

#[test]
fn packets_of_revision_3() {
    check("engineio3-packet");
}

#[test]
fn payloads_of_revision_3() {
    check("engineio3-payload");
}
