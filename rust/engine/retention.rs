//! Snapshots that cursors still point at, bounded in number, time and space.
//!
//! A snapshot that is kept holds its parts: those in files stay mapped, so their bytes stay readable (and on disk) though
//! a writer, here or in another process, has removed their names.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::options::Limits;
use crate::part::LivePart;
use crate::snapshot::Snapshot;

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

    /// Keeps a snapshot that a cursor names, from now.
    pub(crate) fn keep(&self, snapshot: &Arc<Snapshot>, current: &Snapshot) {
        {
            let mut kept = self.kept.lock();
            kept.retain(|(_, other)| other.number != snapshot.number);
            kept.push_back((Instant::now(), Arc::clone(snapshot)));
        }
        self.sweep(current);
    }

    pub(crate) fn find(&self, number: u64) -> Option<Arc<Snapshot>> {
        let kept = self.kept.lock();
        kept.iter()
            .find(|(since, snapshot)| snapshot.number == number && since.elapsed() < self.limits.cursor_age)
            .map(|(_, snapshot)| Arc::clone(snapshot))
    }

    /// Lets go of what is too old or too much, the longest unused first.
    pub(crate) fn sweep(&self, current: &Snapshot) {
        let mut kept = self.kept.lock();
        kept.retain(|(since, _)| since.elapsed() < self.limits.cursor_age);
        while kept.len() > self.limits.cursor_snapshots || held_bytes(&kept, current) > self.limits.cursor_bytes {
            kept.pop_front();
        }
    }

    /// How many snapshots are kept, and the bytes that nothing but them holds.
    pub(crate) fn usage(&self, current: &Snapshot) -> (usize, u64) {
        let kept = self.kept.lock();
        (kept.len(), held_bytes(&kept, current))
    }
}

fn held_bytes(kept: &VecDeque<(Instant, Arc<Snapshot>)>, current: &Snapshot) -> u64 {
    let mut seen: Vec<&LivePart> = current.parts.iter().collect();
    let mut bytes = 0;
    for part in kept.iter().flat_map(|(_, snapshot)| &snapshot.parts) {
        if !seen.iter().any(|other| Arc::ptr_eq(&other.part, &part.part)) {
            bytes += part.part.byte_len();
            seen.push(part);
        }
    }
    bytes
}
