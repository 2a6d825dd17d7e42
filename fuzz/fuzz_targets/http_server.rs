//! See `engineio_fuzz_targets::http_server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::http_server(data).expect("every input is allowed"));
