//! See `engineio_fuzz_targets::websocket_handshake`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    |data: &[u8]| engineio_fuzz_targets::websocket_handshake(data).expect("every input is allowed")
);
