//! Snapshots that cursors still point at, bounded in number, time and space.
//!
//! A snapshot that is kept holds its parts. Those in files stay mapped, so their bytes stay readable (and on disk) even
//! after a writer, here or in another process, has removed their names. Those in memory may take as much as a writer may
//! hold there, in addition to what the writer itself holds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::options::Limits;
use crate::part::{Home, LivePart};
use crate::snapshot::Snapshot;

/// Old snapshots, and how many may be kept for how long.
#[derive(Debug)]
pub(crate) struct Retention {
    limits: Limits,
    /// By last use, the oldest first.
    kept: Mutex<VecDeque<(Instant, Arc<Snapshot>)>>,
}

impl Retention {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, kept: Mutex::default() }
    }

    /// Keeps a snapshot that a cursor names, counting its age from now.
    pub(crate) fn keep(&self, snapshot: &Arc<Snapshot>, current: &Snapshot) {
        let mut kept = self.kept.lock();
        kept.retain(|(_, other)| (other.number, &other.secret) != (snapshot.number, &snapshot.secret));
        kept.push_back((Instant::now(), Arc::clone(snapshot)));
        self.bound(&mut kept, current);
    }

    /// The snapshot of this number, of the library with this secret.
    pub(crate) fn find(&self, number: u64, secret: &[u8; 32]) -> Option<Arc<Snapshot>> {
        let kept = self.kept.lock();
        kept.iter()
            .filter(|(_, snapshot)| (snapshot.number, &snapshot.secret) == (number, secret))
            .find(|(since, _)| since.elapsed() < self.limits.cursor_age)
            .map(|(_, snapshot)| Arc::clone(snapshot))
    }

    /// Lets go of what is too old or too much, the longest unused first.
    pub(crate) fn sweep(&self, current: &Snapshot) {
        self.bound(&mut self.kept.lock(), current);
    }

    fn bound(&self, kept: &mut VecDeque<(Instant, Arc<Snapshot>)>, current: &Snapshot) {
        kept.retain(|(since, _)| since.elapsed() < self.limits.cursor_age);
        let is_too_much = |kept: &VecDeque<_>| {
            let held = HeldBytes::of(kept, current);
            kept.len() > self.limits.cursor_snapshots
                || held.file_bytes > self.limits.cursor_bytes
                || held.memory_bytes > self.limits.writer_memory
        };
        while is_too_much(kept) {
            kept.pop_front();
        }
    }

    /// How many snapshots are kept, and the bytes that nothing but them holds.
    pub(crate) fn usage(&self, current: &Snapshot) -> (usize, u64) {
        let kept = self.kept.lock();
        let held = HeldBytes::of(&kept, current);
        (kept.len(), held.file_bytes + held.memory_bytes)
    }
}

/// Bytes of parts that nothing but kept snapshots holds.
#[derive(Default)]
struct HeldBytes {
    file_bytes: u64,
    memory_bytes: u64,
}

impl HeldBytes {
    fn of(kept: &VecDeque<(Instant, Arc<Snapshot>)>, current: &Snapshot) -> Self {
        let mut seen: Vec<&LivePart> = current.parts.iter().collect();
        let mut held = Self::default();
        for part in kept.iter().flat_map(|(_, snapshot)| &snapshot.parts) {
            if !seen.iter().any(|other| Arc::ptr_eq(&other.part, &part.part)) {
                match part.home {
                    Home::File(_) => held.file_bytes += part.part.byte_len(),
                    Home::Memory => held.memory_bytes += part.part.byte_len(),
                }
                seen.push(part);
            }
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::video::{Video, VideoId};
    use crate::error::Result;
    use crate::library::Library;

    #[test]
    fn parts_in_memory_are_bounded_like_those_of_the_writer_and_not_like_files() -> Result<()> {
        let library = Library::in_memory()?;
        let mut snapshots = Vec::new();
        for title in ["before", "after"] {
            let video = Video { title: title.to_owned(), ..Video::named(VideoId::new("roof")?) };
            library.put(vec![(video, Vec::new())])?;
            snapshots.push(library.snapshot());
        }
        let [old, current] = snapshots.as_slice() else { return Ok(()) };
        let is_kept = |limits| {
            let retention = Retention::new(limits);
            retention.keep(old, current);
            retention.find(old.number, &old.secret).is_some()
        };
        let roomy = Limits { cursor_bytes: 1 << 30, writer_memory: 1 << 30, ..Limits::default() };
        assert!(is_kept(roomy));
        assert!(is_kept(Limits { cursor_bytes: 0, ..roomy }));
        assert!(!is_kept(Limits { writer_memory: 1, ..roomy }));
        Ok(())
    }
}
