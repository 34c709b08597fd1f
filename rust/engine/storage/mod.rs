//! Files: the seam to the disk, the log, the manifest, and immutable parts.
//!
//! - [`seam::Storage`]: everything that the engine does to a disk; [`disk::DiskStorage`] and [`memory::MemoryStorage`].
//! - [`names`]: every name on disk.
//! - [`log`]: writes that were acknowledged and are not in a part yet; [`replay`] reads them back.
//! - `synced`: how far the newest log had been synced.
//! - [`manifest`]: what is live; replaced atomically.
//! - [`part_file`]: an immutable container of [`section`]s.
//! - [`deletes`]: which videos of a part are gone.
//!
//! `FORMAT.md` beside this folder has every file byte by byte, and what each crash leaves.

pub(crate) mod aligned;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod damage;
pub mod deletes;
pub mod disk;
mod fields;
mod header;
mod hex;
#[cfg(target_os = "linux")]
mod large_pages;
pub mod log;
pub(crate) mod log_format;
pub mod manifest;
mod manifest_files;
#[cfg(test)]
pub(crate) mod meanwhile;
pub mod memory;
pub mod names;
pub mod part_file;
pub(crate) mod publish;
pub(crate) mod random;
pub mod replay;
pub mod seam;
pub mod section;
pub(crate) mod subdirectory;
pub(crate) mod synced;
mod verified;

/// The number of the file format that this version writes. The only one that it reads, so far.
pub const FORMAT: u32 = 1;

/// The oldest format that this version reads.
pub const OLDEST_FORMAT: u32 = 1;
