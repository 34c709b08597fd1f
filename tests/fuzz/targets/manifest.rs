//! See `pixr_fuzz::manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pixr_fuzz::manifest(bytes));
