//! See `engineio_fuzz_targets::jsonp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::jsonp(data).expect("every input is allowed"));
