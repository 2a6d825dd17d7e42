//! The fuzz targets as plain functions of bytes. A fuzzer calls them (`fuzz/fuzz_targets`), and a test on stable Rust calls them with
//! every seed and every regression (`socketio-proto/tests/fuzz_regressions.rs`). A target panics if a property is violated.
//!
//! | kind | targets |
//! |---|---|
//! | HTTP itself | `http_server`, `http_client` |
//! | decoders | `engine_packet`, `engine_payload`, `jsonp`, `webtransport`, `json_scanner`, `socket_json`, `socket_msgpack`, `typed_read`, `websocket_decoder`, `websocket_deflate` |
//! | encode, then decode | `engine_encode`, `socket_encode`, `websocket_pair` |
//! | HTTP | `http_route`, `http_bodies`, `websocket_handshake` |
//! | machines | `engine_session`, `engine_session_v3`, `engine_client`, `socket_connection`, `socket_connection_v3`, `socket_client`, `namespace`, `recovery`, `websocket_connection` |
//! | two machines against each other | `engine_pair`, `engine_client_pair`, `socket_world`, `socket_client_pair`, `websocket_pair` |

#![forbid(unsafe_code)]

mod engine;
mod http;
mod input;
mod socket;
mod websocket;

pub use self::engine::{
    engine_client, engine_client_pair, engine_encode, engine_packet, engine_pair, engine_payload, engine_session,
    engine_session_v3, http_bodies, http_route, jsonp, webtransport,
};
pub use self::http::{http_client, http_server};
pub use self::socket::{
    json_scanner, namespace, recovery, socket_client, socket_client_pair, socket_connection, socket_connection_v3,
    socket_encode, socket_json, socket_msgpack, socket_world, typed_read,
};
pub use self::websocket::{
    websocket_connection, websocket_decoder, websocket_deflate, websocket_handshake, websocket_pair,
};

/// A fuzz target.
pub type Target = fn(&[u8]) -> arbitrary::Result<()>;

/// Every target and its name. The name is that of its file in `fuzz_targets` and of its folders in `seeds` and `regressions`. `run.sh`
/// runs them in this order: the targets with the most to find come first.
pub const TARGETS: &[(&str, Target)] = &[
    ("typed_read", typed_read),
    ("socket_connection", socket_connection),
    ("engine_session", engine_session),
    ("socket_connection_v3", socket_connection_v3),
    ("engine_session_v3", engine_session_v3),
    ("engine_client", engine_client),
    ("socket_client", socket_client),
    ("socket_json", socket_json),
    ("socket_msgpack", socket_msgpack),
    ("socket_encode", socket_encode),
    ("websocket_connection", websocket_connection),
    ("websocket_decoder", websocket_decoder),
    ("websocket_deflate", websocket_deflate),
    ("websocket_pair", websocket_pair),
    ("json_scanner", json_scanner),
    ("engine_payload", engine_payload),
    ("webtransport", webtransport),
    ("http_bodies", http_bodies),
    ("http_route", http_route),
    ("http_server", http_server),
    ("http_client", http_client),
    ("engine_pair", engine_pair),
    ("engine_client_pair", engine_client_pair),
    ("socket_world", socket_world),
    ("socket_client_pair", socket_client_pair),
    ("namespace", namespace),
    ("recovery", recovery),
    ("engine_encode", engine_encode),
    ("jsonp", jsonp),
    ("engine_packet", engine_packet),
    ("websocket_handshake", websocket_handshake),
];
