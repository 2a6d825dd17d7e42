//! See `engineio_fuzz_targets::socket_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::socket_json(data).expect("every input is allowed"));
