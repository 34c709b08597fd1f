//! How a library is opened: for what, how long to wait for the lock, when a write is acknowledged, and what bounds apply.

use std::time::Duration;

/// What a handle may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Write; make the library if nothing is there.
    Create,
    /// Write; the library must be there.
    Write,
    /// Read only; takes no lock, writes nothing.
    Read,
}

/// When a write is acknowledged, and so what can be lost.
///
/// Whatever the level, killing the process loses nothing that was acknowledged, and what a power cut leaves is a state
/// that the library had: writes are lost from the end, never from between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on disk. A power cut loses nothing that was acknowledged. Writers that wait at the same time share a
    /// sync.
    #[default]
    Always,
    /// When the operating system has it; a thread syncs every `GROUP_INTERVAL`. A power cut usually loses the writes of the
    /// last interval, and never more than those of the last `GROUP_LAG`: where the disk is slower, writers wait.
    Group,
    /// When the operating system has it. A power cut loses whatever came after the last commit (or checkpoint), or less.
    None,
}

/// How often `Durability::Group` syncs.
pub(crate) const GROUP_INTERVAL: Duration = Duration::from_millis(20);
/// `Durability::Group` makes writers wait once some write has been unsynced for longer than this.
pub(crate) const GROUP_LAG: Duration = Duration::from_millis(500);

/// Bounds on what a handle uses. Work starts when memory, log or parts reach their limit, and at twice the limit writers wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of segments in memory that start writing a part. While one is written, its contents are in memory a second
    /// and a third time: as plain values and as the part's sections. A reader holds as much of the log as the writer.
    pub writer_memory: u64,
    /// Bytes of log that start writing a part. A crash leaves at most twice as many, and one write, to replay.
    pub log_bytes: u64,
    /// Parts past which the smallest are merged whatever the merge policy says. A part is one open, mapped file, and so
    /// are those that only a cursor's snapshot still has.
    pub parts: usize,
    /// How many old snapshots are kept for cursors at most.
    pub cursor_snapshots: usize,
    /// How long a cursor's snapshot is kept after its last use.
    pub cursor_age: Duration,
    /// Bytes of parts in removed files that are kept for cursors alone. In memory, parts of up to `writer_memory` bytes are
    /// kept for them in addition to those of the writer.
    pub cursor_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            writer_memory: 128 << 20,
            log_bytes: 64 << 20,
            parts: 64,
            cursor_snapshots: 32,
            cursor_age: Duration::from_secs(600),
            cursor_bytes: 1 << 30,
        }
    }
}

/// How to open a library; made from an [`Access`] where the defaults will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What the handle may do.
    pub access: Access,
    /// How long to wait for another writer's lock before `library_locked`.
    pub lock_timeout: Duration,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// Bounds on memory, log, parts and kept snapshots.
    pub limits: Limits,
    /// Open the snapshot of this name instead of the library as it is now; for reading only.
    pub snapshot: Option<String>,
}

impl From<Access> for Options {
    fn from(access: Access) -> Self {
        Self {
            access,
            lock_timeout: Duration::ZERO,
            durability: Durability::default(),
            limits: Limits::default(),
            snapshot: None,
        }
    }
}
