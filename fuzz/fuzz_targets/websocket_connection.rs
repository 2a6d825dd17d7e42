//! See `engineio_fuzz_targets::websocket_connection`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    |data: &[u8]| engineio_fuzz_targets::websocket_connection(data).expect("every input is allowed")
);
