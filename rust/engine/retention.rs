//! Snapshots that cursors still point at, bounded in number and time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::snapshot::Snapshot;

/// So many old snapshots are kept.
const MAX_SNAPSHOTS: usize = 32;
/// A snapshot is kept so long after its last use.
const MAX_AGE: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(crate) struct Retention {
    kept: Mutex<VecDeque<(Instant, Arc<Snapshot>)>>,
}

impl Retention {
    /// Keeps a snapshot that a cursor names, from now.
    pub(crate) fn keep(&self, snapshot: &Arc<Snapshot>) {
        let mut kept = self.kept.lock();
        kept.retain(|(since, other)| other.number != snapshot.number && since.elapsed() < MAX_AGE);
        if kept.len() >= MAX_SNAPSHOTS {
            kept.pop_front();
        }
        kept.push_back((Instant::now(), Arc::clone(snapshot)));
    }

    pub(crate) fn find(&self, number: u64) -> Option<Arc<Snapshot>> {
        let kept = self.kept.lock();
        kept.iter()
            .find(|(since, snapshot)| snapshot.number == number && since.elapsed() < MAX_AGE)
            .map(|(_, snapshot)| Arc::clone(snapshot))
    }
}
