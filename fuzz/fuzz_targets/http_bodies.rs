//! See `engineio_fuzz_targets::http_bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::http_bodies(data).expect("every input is allowed"));
