//! See `pixr_fuzz::deletes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pixr_fuzz::deletes(bytes));
