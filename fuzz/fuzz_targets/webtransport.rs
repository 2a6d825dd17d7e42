//! See `engineio_fuzz_targets::webtransport`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::webtransport(data).expect("every input is allowed"));
