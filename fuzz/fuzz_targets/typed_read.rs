//! See `engineio_fuzz_targets::typed_read`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engineio_fuzz_targets::typed_read(data).expect("every input is allowed"));
