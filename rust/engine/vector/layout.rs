//! How many numbers the kernels take together, on every machine.

/// Accumulators of an inner product.
pub(super) const LANES: usize = 32;
/// Components that one run of 4-bit codes holds.
pub(super) const RUN_COMPONENTS: usize = 128;
/// Bytes of a run.
pub(super) const RUN_BYTES: usize = 64;
