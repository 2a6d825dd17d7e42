//! See `engineio_fuzz_targets::http_route`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::http_route(data).expect("every input is allowed"));
