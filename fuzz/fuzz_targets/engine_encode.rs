//! See `engineio_fuzz_targets::engine_encode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::engine_encode(data).expect("every input is allowed"));
