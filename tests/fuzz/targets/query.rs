//! See `pixr_fuzz::query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pixr_fuzz::query(bytes));
