//! See `engineio_fuzz_targets::http_client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::http_client(data).expect("every input is allowed"));
