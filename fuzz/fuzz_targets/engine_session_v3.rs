//! See `engineio_fuzz_targets::engine_session_v3`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    |data: &[u8]| engineio_fuzz_targets::engine_session_v3(data).expect("any bytes are an input")
);
