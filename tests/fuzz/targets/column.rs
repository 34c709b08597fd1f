//! See `pixr_fuzz::column`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: pixr_fuzz::prepare_column(), |bytes: &[u8]| pixr_fuzz::column(bytes));
