//! See `engineio_fuzz_targets::websocket_decoder`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    |data: &[u8]| engineio_fuzz_targets::websocket_decoder(data).expect("every input is allowed")
);
