//! See `pixr_fuzz::graph`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: pixr_fuzz::prepare_graph(), |bytes: &[u8]| pixr_fuzz::graph(bytes));
