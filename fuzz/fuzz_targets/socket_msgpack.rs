//! See `engineio_fuzz_targets::socket_msgpack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::socket_msgpack(data).expect("every input is allowed"));
