//! See `pixr_fuzz::part`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: pixr_fuzz::prepare_part(), |bytes: &[u8]| pixr_fuzz::part(bytes));
