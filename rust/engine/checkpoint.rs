//! Writes what is in memory into parts, merges parts, and swaps the manifest.
//!
//! A checkpoint freezes a snapshot: it closes the log there, builds new parts from the frozen snapshot while writers and
//! readers go on, and then publishes a manifest that says exactly what the frozen snapshot held. Later operations are in
//! later logs, so replay starts from just that state. The running snapshot gets the new parts with whatever was deleted
//! meanwhile taken out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::library::Shared;
use crate::operation::Content;
use crate::part::{Home, LivePart, Part};
use crate::recovery::deleted_of;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::storage::deletes::write_deletes;
use crate::storage::manifest::{Manifest, PartEntry};
use crate::storage::{names, part_file};
use crate::vector::Index;

/// Which parts a checkpoint rewrites beside those in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// None.
    Memory,
    /// Those that a merge policy chooses, if it chooses any.
    Merge,
    /// All.
    Everything,
}

/// Parts of about the same size are merged when so many have gathered.
const MERGE_FAN_IN: usize = 8;
/// Parts with more rows than this are left alone by the merge policy.
const MERGE_MAX_ROWS: u32 = 4_000_000;
/// A part of which more than this share is deleted is rewritten.
const MERGE_DEAD_SHARE: f64 = 0.3;

/// Fewer rows are built where everything else runs: starting threads takes longer.
const FEWEST_ROWS_APART: usize = 4096;

impl Shared {
    /// Makes the manifest say what the library holds now.
    pub(crate) fn checkpoint(&self, scope: Scope) -> Result<()> {
        let _one_at_a_time = self.checkpoint.lock();
        let (frozen, number, first_log, rewritten) = {
            let mut guard = self.writer.lock();
            let writer = guard.as_mut().ok_or_else(|| self.not_writable())?;
            let frozen = Arc::clone(&self.snapshot.read());
            let rewritten = chosen(&frozen, &scope, self.options.limits.parts);
            let clean = frozen.number == writer.manifest.applied_sequence;
            if clean && rewritten.is_empty() {
                return Ok(());
            }
            let first_log = writer.rotate(&*self.storage)?;
            (frozen, writer.take_file_number(), first_log, rewritten)
        };
        let contents = frozen.contents_of(&rewritten)?;
        let built = if contents.is_empty() {
            None
        } else {
            let sections = self.apart(&contents, || Part::build(&contents, &frozen.spaces, Index::Graph))?;
            let byte_len = part_file::write_part(&*self.storage, number, &sections)?;
            drop(sections);
            let part = Part::open(part_file::open_part(&*self.storage, number, byte_len)?)?;
            Some((LivePart::new(Arc::new(part), Home::File(number)), byte_len))
        };
        self.publish(&frozen, first_log, &rewritten, &contents, built)
    }

    /// Runs `build` on threads of its own where there is much to do: searches share the process's pool, and would wait
    /// behind it for a batch of a graph, some tenths of a second.
    fn apart<T: Send>(&self, contents: &[Content], build: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let rows: usize = contents.iter().map(|content| content.segments.len()).sum();
        if rows < FEWEST_ROWS_APART {
            return build();
        }
        let named = |thread| format!("pixr-build-{thread}");
        let pool = rayon::ThreadPoolBuilder::new().thread_name(named).num_threads(rayon::current_num_threads()).build();
        let failed = |error| Error::io(self.storage.root(), "start threads for", std::io::Error::other(error));
        pool.map_err(failed)?.install(build)
    }

    fn publish(
        &self,
        frozen: &Snapshot,
        first_log: u64,
        rewritten: &BTreeSet<usize>,
        contents: &[Content],
        built: Option<(LivePart, u64)>,
    ) -> Result<()> {
        let mut guard = self.writer.lock();
        let writer = guard.as_mut().ok_or_else(|| self.not_writable())?;
        let mut manifest = writer.manifest.clone();
        manifest.generation += 1;
        manifest.applied_sequence = frozen.number;
        manifest.spaces = frozen.spaces.clone();
        manifest.settings = Settings { calibrations: frozen.calibrations.clone(), taken: None }.write()?;
        manifest.first_log = first_log;
        let mut entries = Vec::new();
        for (index, part) in frozen.parts.iter().enumerate() {
            if let Home::File(number) = part.home
                && !rewritten.contains(&index)
            {
                let known = manifest.parts.iter().find(|entry| entry.number == number).cloned();
                let mut entry =
                    known.ok_or_else(|| Error::Internal { detail: format!("part {number} has no entry") })?;
                let deleted = deleted_of(part);
                if deleted.count() != entry.deleted_count {
                    let file = writer.take_file_number();
                    write_deletes(&*self.storage, number, file, &deleted.iter().collect())?;
                    entry.deletes = Some(file);
                    entry.deleted_count = deleted.count();
                }
                entries.push(entry);
            }
        }
        let mut current = Snapshot::clone(&self.snapshot.read());
        let old: Vec<LivePart> = rewritten.iter().filter_map(|&index| frozen.parts.get(index).cloned()).collect();
        let position = current.parts.iter().position(|part| is_one_of(part, &old)).unwrap_or(current.parts.len());
        if let Some((part, byte_len)) = &built {
            let Home::File(number) = part.home else {
                return Err(Error::Internal { detail: "a built part is not in a file".to_owned() });
            };
            entries.push(PartEntry {
                number,
                byte_len: *byte_len,
                row_count: part.part.table().row_count(),
                video_count: part.part.table().video_count(),
                deletes: None,
                deleted_count: 0,
            });
            // What was deleted or replaced since the freeze is no longer live in the parts that the new one stands for.
            let mut gone = Vec::new();
            for (video, content) in (0_u32..).zip(contents) {
                let mut live = false;
                for part in current.parts.iter().filter(|part| is_one_of(part, &old)) {
                    live |= part.find(&content.video.id)?.is_some();
                }
                if !live {
                    gone.push(video);
                }
            }
            current.parts.insert(position, part.without(gone)?);
        }
        current.parts.retain(|part| !is_one_of(part, &old));
        entries.sort_unstable_by_key(|entry| entry.number);
        manifest.parts = entries;
        manifest.next_file = writer.manifest.next_file;
        if let Err(error) = manifest.store(&*self.storage) {
            // Which manifest a crash would leave is not known, so no file of either may go; the next try goes on from
            // the one that is there.
            let next_file = manifest.next_file;
            writer.manifest = Manifest::load(&*self.storage)?;
            writer.manifest.next_file = writer.manifest.next_file.max(next_file);
            if writer.manifest.generation == manifest.generation {
                // The new one has its name, only not for good: from here on its parts are the library's.
                *self.snapshot.write() = Arc::new(current);
            }
            return Err(error);
        }
        writer.manifest = manifest;
        *self.background_failure.lock() = None;
        *self.snapshot.write() = Arc::new(current);
        for leftover in names::unreferenced(&*self.storage, &writer.manifest)? {
            self.storage.remove(&leftover)?;
        }
        Ok(())
    }
}

fn is_one_of(part: &LivePart, others: &[LivePart]) -> bool {
    others.iter().any(|other| Arc::ptr_eq(&other.part, &part.part))
}

/// The parts that a checkpoint of this scope rewrites: always those in memory.
fn chosen(snapshot: &Snapshot, scope: &Scope, most_parts: usize) -> BTreeSet<usize> {
    let parts = || snapshot.parts.iter().enumerate();
    let mut chosen: BTreeSet<usize> =
        parts().filter(|(_, part)| part.home == Home::Memory).map(|(index, _)| index).collect();
    match scope {
        Scope::Memory => {}
        Scope::Merge => chosen.extend(worth_merging(snapshot, most_parts)),
        Scope::Everything => {
            let files: Vec<usize> = parts().map(|(index, _)| index).collect();
            let dead = parts().any(|(_, part)| part.videos.count() < part.part.table().video_count());
            if files.len() > 1 || dead {
                chosen.extend(files);
            }
        }
    }
    chosen
}

/// Tiered merging: parts with many deleted videos, and `MERGE_FAN_IN` parts of one size class. Where there are more than
/// `most_parts` all the same, the smallest of them.
pub(crate) fn worth_merging(snapshot: &Snapshot, most_parts: usize) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    let mut classes: std::collections::BTreeMap<u32, Vec<usize>> = std::collections::BTreeMap::new();
    for (index, part) in snapshot.parts.iter().enumerate().filter(|(_, part)| part.home != Home::Memory) {
        let (live, all) = (part.rows.count(), part.part.table().row_count());
        if f64::from(live) < f64::from(all) * (1.0 - MERGE_DEAD_SHARE) {
            chosen.insert(index);
        }
        if live <= MERGE_MAX_ROWS {
            classes.entry(live.max(1).ilog2() / 3).or_default().push(index);
        }
    }
    for members in classes.into_values().filter(|members| members.len() >= MERGE_FAN_IN) {
        chosen.extend(members);
    }
    let on_disk = snapshot.parts.iter().enumerate().filter(|(_, part)| part.home != Home::Memory);
    let mut files: Vec<(u32, usize)> = on_disk.map(|(index, part)| (part.rows.count(), index)).collect();
    let most_parts = most_parts.max(1);
    if files.len() > most_parts && chosen.len() < 2 {
        files.sort_unstable();
        let surplus = (files.len() - most_parts).max(MERGE_FAN_IN - 1);
        chosen.extend(files.into_iter().take(surplus + 1).map(|(_, index)| index));
    }
    chosen
}
