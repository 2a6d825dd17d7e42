//! See `engineio_fuzz_targets::json_scanner`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::json_scanner(data).expect("every input is allowed"));
