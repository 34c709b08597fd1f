//! `pixr._engine.cuts_sums_of_bytes`: what a processor lacks that models of whole numbers count on.

use pyo3::prelude::*;

/// Whether products of uint8 by int8 are added up in 16 bits here, and cut there: on x86 without VNNI.
#[pyfunction]
pub(crate) fn cuts_sums_of_bytes() -> bool {
    #[cfg(target_arch = "x86_64")]
    let cuts = !(is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni"));
    #[cfg(not(target_arch = "x86_64"))]
    let cuts = false;
    cuts
}
