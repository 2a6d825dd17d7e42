//! See `engineio_fuzz_targets::recovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::recovery(data).expect("any bytes are an input"));
