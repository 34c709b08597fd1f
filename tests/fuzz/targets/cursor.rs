//! See `pixr_fuzz::cursor`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pixr_fuzz::cursor(bytes));
