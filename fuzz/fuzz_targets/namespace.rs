//! See `engineio_fuzz_targets::namespace`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::namespace(data).expect("every input is allowed"));
