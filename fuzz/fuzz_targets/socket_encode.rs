//! See `engineio_fuzz_targets::socket_encode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::socket_encode(data).expect("every input is allowed"));
