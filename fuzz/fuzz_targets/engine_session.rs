//! See `engineio_fuzz_targets::engine_session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::engine_session(data).expect("every input is allowed"));
