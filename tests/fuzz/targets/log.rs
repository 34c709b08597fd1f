//! See `pixr_fuzz::log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pixr_fuzz::log(bytes));
