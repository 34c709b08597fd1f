//! Bytes that nobody can guess.

use crate::error::Result;

/// `N` unpredictable bytes from the operating system.
///
/// # Errors
/// `io` if the system's source can't be read.
#[cfg(unix)]
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    use std::io::Read;

    const SOURCE: &str = "/dev/urandom";
    let mut bytes = [0; N];
    std::fs::File::open(SOURCE)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|source| crate::error::Error::io(SOURCE, "read", source))?;
    Ok(bytes)
}

/// `N` unpredictable bytes.
///
/// The standard library seeds its hash keys from the operating system; here they are the key of a hash over a counter,
/// spread by SHA-256.
#[cfg(not(unix))]
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    use std::hash::{BuildHasher, RandomState};

    use sha2::{Digest, Sha256};

    let state = RandomState::new();
    let mut bytes = [0; N];
    for (index, piece) in bytes.chunks_mut(16).enumerate() {
        let mut hash = Sha256::new();
        for word in 0..8_u64 {
            hash.update(state.hash_one((index as u64, word)).to_le_bytes());
        }
        for (target, source) in piece.iter_mut().zip(hash.finalize()) {
            *target = source;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() -> Result<()> {
        assert_ne!(random_bytes::<32>()?, random_bytes::<32>()?);
        Ok(())
    }
}
