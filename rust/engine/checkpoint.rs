//! Writes what is in memory into parts, merges parts, and swaps the manifest.
//!
//! A checkpoint freezes a snapshot: it closes the log there, builds new parts from the frozen snapshot while writers and
//! readers go on, and then publishes a manifest that says exactly what the frozen snapshot held. Later operations are in
//! later logs, so replay starts from just that state. The running snapshot gets the new parts with whatever was deleted
//! meanwhile taken out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cores;
use crate::error::{Error, Result};
use crate::merge::worth_merging;
use crate::operation::Content;
use crate::part::{Home, LivePart, Part};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::storage::deletes::write_deletes;
use crate::storage::manifest::{Manifest, PartEntry};
use crate::storage::{names, part_file};
use crate::vector::Index;
use crate::writer::Writer;

/// Which parts a checkpoint rewrites beside those in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// None.
    Memory,
    /// Those that are worth merging, if there are any.
    Merge,
    /// All.
    Everything,
}

/// Fewer rows than this are built in the process's own thread pool: starting threads for them takes longer.
const FEWEST_ROWS_APART: usize = 4096;

/// A checkpoint under way.
struct Freeze {
    /// What the library held when the checkpoint began.
    snapshot: Arc<Snapshot>,
    /// The log that takes what is written meanwhile.
    first_log: u64,
    /// The parts that one new part takes the place of, by their places in the snapshot.
    rewritten: BTreeSet<usize>,
    /// The number of that part.
    part_number: u64,
}

/// The part that a checkpoint built, with the length of its file and the videos it was made of.
struct Built {
    part: LivePart,
    byte_len: u64,
    contents: Vec<Content>,
}

impl Shared {
    /// Makes the manifest say what the library holds now.
    pub(crate) fn checkpoint(&self, scope: Scope) -> Result<()> {
        let _one_at_a_time = self.checkpoint.lock();
        let Some(freeze) = self.freeze(scope)? else { return Ok(()) };
        let written = self.build(&freeze).and_then(|built| self.publish(&freeze, built));
        *self.frozen.lock() = None;
        written
    }

    /// Freezes the library and starts the next log; none if there is nothing to write.
    fn freeze(&self, scope: Scope) -> Result<Option<Freeze>> {
        let mut guard = self.writer.lock();
        let writer = guard.as_mut().ok_or_else(|| self.not_writable())?;
        let snapshot = Arc::clone(&self.snapshot.read());
        let rewritten = chosen(&snapshot, scope, self.options.limits.parts);
        let is_clean = snapshot.number == writer.manifest.applied_sequence;
        if is_clean && rewritten.is_empty() {
            return Ok(None);
        }
        let first_log = writer.rotate(&*self.storage)?;
        *self.frozen.lock() = Some(Arc::clone(&snapshot));
        Ok(Some(Freeze { snapshot, first_log, rewritten, part_number: writer.take_file_number() }))
    }

    /// Builds one part of those that are rewritten; none if nothing in them is live.
    fn build(&self, freeze: &Freeze) -> Result<Option<Built>> {
        let contents = freeze.snapshot.contents_of(&freeze.rewritten)?;
        if contents.is_empty() {
            return Ok(None);
        }
        let number = freeze.part_number;
        let sections = self.apart(&contents, || Part::build(&contents, &freeze.snapshot.spaces, Index::Graph))?;
        let byte_len = part_file::write_part(&*self.storage, number, &sections)?;
        drop(sections);
        let part = Part::open(part_file::open_part(&*self.storage, number, byte_len)?)?;
        Ok(Some(Built { part: LivePart::new(Arc::new(part), Home::File(number)), byte_len, contents }))
    }

    /// Runs `build` on threads of its own where there is much to do: searches share the process's pool, and would wait
    /// behind it for a batch of a graph, some tenths of a second.
    fn apart<T: Send>(&self, contents: &[Content], build: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let rows: usize = contents.iter().map(|content| content.segments.len()).sum();
        if rows < FEWEST_ROWS_APART {
            return build();
        }
        let failed = |error| Error::io(self.storage.root(), "start threads for", std::io::Error::other(error));
        cores::new_pool("build").map_err(failed)?.install(build)
    }

    /// Stores a manifest of what was frozen, and puts the new part, if one was built, in the place of those that it
    /// stands for.
    fn publish(&self, freeze: &Freeze, built: Option<Built>) -> Result<()> {
        let mut guard = self.writer.lock();
        let writer = guard.as_mut().ok_or_else(|| self.not_writable())?;
        let frozen = &freeze.snapshot;
        let mut parts = self.entries_of_kept(freeze, writer)?;
        if let Some(built) = &built {
            parts.push(built.entry(freeze.part_number));
        }
        parts.sort_unstable_by_key(|entry| entry.number);
        let manifest = Manifest {
            generation: writer.manifest.generation + 1,
            applied_sequence: frozen.number,
            first_log: freeze.first_log,
            parts,
            spaces: frozen.spaces.clone(),
            settings: Settings { calibrations: frozen.calibrations.clone(), taken: None }.write()?,
            ..writer.manifest.clone()
        };
        let current = swapped_in(freeze, built, &self.snapshot.read())?;
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
        self.remove_all(&writer.manifest.unreferenced(&*self.storage)?)
    }

    /// The manifest's entries of the parts in files that stay. Where videos of one were deleted since its entry was made,
    /// the deletes are written into a new file first.
    fn entries_of_kept(&self, freeze: &Freeze, writer: &mut Writer) -> Result<Vec<PartEntry>> {
        let mut entries = Vec::new();
        for (index, part) in freeze.snapshot.parts.iter().enumerate() {
            if let Home::File(number) = part.home
                && !freeze.rewritten.contains(&index)
            {
                let known = writer.manifest.parts.iter().find(|entry| entry.number == number).cloned();
                let mut entry =
                    known.ok_or_else(|| Error::Internal { detail: format!("part {number} has no entry") })?;
                let deleted = part.deleted();
                if deleted.count() != entry.deleted_count {
                    let file = writer.take_file_number();
                    write_deletes(&*self.storage, number, file, &deleted.iter().collect())?;
                    entry.deletes = Some(file);
                    entry.deleted_count = deleted.count();
                }
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// Removes every file that the manifest does not name, lastingly: also what could not be removed when the manifest
    /// was new.
    pub(crate) fn remove_leftovers(&self) -> Result<()> {
        let _one_at_a_time = self.checkpoint.lock();
        let mut guard = self.writer.lock();
        let writer = guard.as_mut().ok_or_else(|| self.not_writable())?;
        // What another writer has made since would be taken for leftovers.
        writer.mend(&*self.storage)?;
        let leftovers = writer.manifest.unreferenced(&*self.storage)?;
        if !leftovers.is_empty() {
            // If it is not lasting, for a sync that failed, a crash leaves one that names them.
            writer.manifest.store(&*self.storage)?;
            self.remove_all(&leftovers)?;
        }
        names::DIRECTORIES.iter().try_for_each(|dir| self.storage.sync_dir(dir))
    }

    /// Removes what can be removed of `files`; the first failure is told.
    fn remove_all(&self, files: &[String]) -> Result<()> {
        let removed: Vec<Result<()>> = files.iter().map(|name| self.storage.remove(name)).collect();
        removed.into_iter().collect()
    }
}

impl Built {
    /// The manifest's entry of the part, whose file has this number.
    fn entry(&self, number: u64) -> PartEntry {
        let table = self.part.part.table();
        let (row_count, video_count) = (table.row_count(), table.video_count());
        PartEntry { number, byte_len: self.byte_len, row_count, video_count, deletes: None, deleted_count: 0 }
    }
}

/// The running snapshot with the new part in the place of those that it stands for.
fn swapped_in(freeze: &Freeze, built: Option<Built>, running: &Snapshot) -> Result<Snapshot> {
    let mut current = running.clone();
    let old: Vec<LivePart> =
        freeze.rewritten.iter().filter_map(|&index| freeze.snapshot.parts.get(index).cloned()).collect();
    if let Some(Built { part, contents, .. }) = built {
        let position = current.parts.iter().position(|part| part.is_one_of(&old)).unwrap_or(current.parts.len());
        let gone = no_longer_live(&contents, &current, &old)?;
        current.parts.insert(position, part.without(gone)?);
    }
    current.parts.retain(|part| !part.is_one_of(&old));
    current.deleted_in_memory -= freeze.snapshot.deleted_in_memory;
    Ok(current)
}

/// Which of a new part's videos, by their numbers there, were deleted or replaced since the freeze: no part of `old`, for
/// which the new one stands, holds them alive any more.
fn no_longer_live(contents: &[Content], current: &Snapshot, old: &[LivePart]) -> Result<Vec<u32>> {
    let mut gone = Vec::new();
    for (video, content) in (0_u32..).zip(contents) {
        let mut is_live = false;
        for part in current.parts.iter().filter(|part| part.is_one_of(old)) {
            is_live |= part.find(&content.video.id)?.is_some();
        }
        if !is_live {
            gone.push(video);
        }
    }
    Ok(gone)
}

/// The parts that a checkpoint of this scope rewrites, by their places in the snapshot: always those in memory.
fn chosen(snapshot: &Snapshot, scope: Scope, most_parts: usize) -> BTreeSet<usize> {
    let parts = || snapshot.parts.iter().enumerate();
    let mut chosen: BTreeSet<usize> =
        parts().filter(|(_, part)| part.home == Home::Memory).map(|(index, _)| index).collect();
    match scope {
        Scope::Memory => {}
        Scope::Merge => chosen.extend(worth_merging(&snapshot.parts, most_parts)),
        Scope::Everything => {
            let has_deleted = parts().any(|(_, part)| part.deleted_count() > 0);
            if snapshot.parts.len() > 1 || has_deleted {
                chosen.extend(0..snapshot.parts.len());
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::video::{Video, VideoId};
    use crate::library::Library;
    use crate::options::Access;
    use crate::storage::meanwhile::Meanwhile;
    use crate::storage::memory::MemoryStorage;

    /// Merged with what came meanwhile, all that a checkpoint had just written was taken for replaced: it lay dead in its
    /// part, and was written once more.
    #[test]
    fn what_a_checkpoint_is_writing_is_not_merged_in_memory() -> Result<()> {
        fn put(library: &Library, name: &str) -> Result<()> {
            library.put(vec![(Video::named(VideoId::new(name)?), Vec::new())])
        }
        let disk = Meanwhile::new(MemoryStorage::new(), names::PARTS);
        let library = Arc::new(Library::open_in(Arc::new(disk.clone()), Access::Create)?);
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            put(&library, name)?;
        }
        let other = Arc::downgrade(&library);
        disk.set(move || {
            for name in ["h", "i", "j"] {
                assert!(other.upgrade().is_some_and(|library| put(&library, name).is_ok()));
            }
        });
        library.commit()?;
        let info = library.info()?;
        assert_eq!((info.videos, info.parts_in_memory, info.deleted_videos), (10, 3, 0));
        Ok(())
    }
}
