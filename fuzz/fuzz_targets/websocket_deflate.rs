//! See `engineio_fuzz_targets::websocket_deflate`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    |data: &[u8]| engineio_fuzz_targets::websocket_deflate(data).expect("any bytes are an input")
);
