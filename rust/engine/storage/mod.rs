//! Files: the seam to the disk, the log, the manifest, and immutable parts.

pub mod section;
