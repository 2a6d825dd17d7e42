//! See `engineio_fuzz_targets::socket_client_pair`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    |data: &[u8]| engineio_fuzz_targets::socket_client_pair(data).expect("every input is allowed")
);
