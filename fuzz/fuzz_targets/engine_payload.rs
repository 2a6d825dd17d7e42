//! See `engineio_fuzz_targets::engine_payload`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::engine_payload(data).expect("every input is allowed"));
