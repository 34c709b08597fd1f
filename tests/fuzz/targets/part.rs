//! See `pixr_fuzz::part`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: pixr_fuzz::let_guarded_panics_pass(), |bytes: &[u8]| pixr_fuzz::part(bytes));
