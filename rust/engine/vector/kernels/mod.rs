//! The inner loops, chosen at run time for the machine.
//!
//! Each kernel has a file; `scalar` says in plain code what the others must compute, to the bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod prefetch;
mod scalar;
mod table;

use std::sync::OnceLock;

pub(super) use prefetch::{pieces_ahead, prefetch, prefetch_one_of_many};
pub(super) use table::{Kernels, LARGEST_LEVEL, Squares};

/// Every kernel that this machine can run, best first.
pub(super) fn available() -> Vec<Kernels> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        found.extend(avx512::kernels());
        found.extend(avx2::kernels());
    }
    #[cfg(target_arch = "aarch64")]
    found.extend(neon::kernels());
    found.push(scalar::KERNELS);
    found
}

/// The best kernels of this machine.
pub(super) fn kernels() -> &'static Kernels {
    static BEST: OnceLock<Kernels> = OnceLock::new();
    BEST.get_or_init(|| available().into_iter().next().unwrap_or(scalar::KERNELS))
}

#[cfg(test)]
mod tests;
