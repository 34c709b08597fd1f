//! Writes what is in memory into parts, merges parts, and swaps the manifest.
//!
//! A checkpoint freezes a snapshot: it closes the log there, builds new parts from the frozen snapshot while writers and
//! readers go on, and then publishes a manifest that says exactly what the frozen snapshot held. Later operations are in
//! later logs, so replay starts from just that state. The running snapshot gets the new parts with whatever was deleted
//! meanwhile taken out.

use std::collections::BTreeSet;
use std::sync::Arc;

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

impl Shared {
    /// Makes the manifest say what the library holds now.
    pub(crate) fn checkpoint(&self, scope: Scope) -> Result<()> {
        let _one_at_a_time = self.checkpoint.lock();
        let (frozen, number, first_log, rewritten) = {
            let mut guard = self.writer.lock();
            let writer = guard.as_mut().ok_or_else(|| self.not_writable())?;
            let frozen = Arc::clone(&self.snapshot.read());
            let rewritten = chosen(&frozen, scope, self.options.limits.parts);
            let clean = frozen.number == writer.manifest.applied_sequence;
            if clean && rewritten.is_empty() {
                return Ok(());
            }
            let first_log = writer.rotate(&*self.storage)?;
            *self.frozen.lock() = Some(Arc::clone(&frozen));
            (frozen, writer.take_file_number(), first_log, rewritten)
        };
        let written = self.write(&frozen, number, first_log, &rewritten);
        *self.frozen.lock() = None;
        written
    }

    /// Builds one part of those that are rewritten, and publishes it.
    fn write(&self, frozen: &Snapshot, number: u64, first_log: u64, rewritten: &BTreeSet<usize>) -> Result<()> {
        let contents = frozen.contents_of(rewritten)?;
        let built = if contents.is_empty() {
            None
        } else {
            let sections = self.apart(&contents, || Part::build(&contents, &frozen.spaces, Index::Graph))?;
            let byte_len = part_file::write_part(&*self.storage, number, &sections)?;
            drop(sections);
            let part = Part::open(part_file::open_part(&*self.storage, number, byte_len)?)?;
            Some((LivePart::new(Arc::new(part), Home::File(number)), byte_len))
        };
        self.publish(frozen, first_log, rewritten, &contents, built)
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

    /// Makes a manifest of what the frozen snapshot held, and puts the new part, if one was built, in the place of those
    /// that it stands for.
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
        let mut entries = self.entries_of_kept(frozen, rewritten, writer)?;
        let mut current = Snapshot::clone(&self.snapshot.read());
        let old: Vec<LivePart> = rewritten.iter().filter_map(|&index| frozen.parts.get(index).cloned()).collect();
        if let Some((part, byte_len)) = &built {
            entries.push(entry_of_new(part, *byte_len)?);
            let position = current.parts.iter().position(|part| part.is_one_of(&old)).unwrap_or(current.parts.len());
            let gone = no_longer_live(contents, &current, &old)?;
            current.parts.insert(position, part.without(gone)?);
        }
        current.parts.retain(|part| !part.is_one_of(&old));
        current.deleted_in_memory -= frozen.deleted_in_memory;
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
        self.remove_all(&writer.manifest.unreferenced(&*self.storage)?)
    }

    /// The manifest's entries of the parts in files that stay. Where videos of one were deleted since its entry was made, the
    /// deletes are written into a new file first.
    fn entries_of_kept(
        &self,
        frozen: &Snapshot,
        rewritten: &BTreeSet<usize>,
        writer: &mut Writer,
    ) -> Result<Vec<PartEntry>> {
        let mut entries = Vec::new();
        for (index, part) in frozen.parts.iter().enumerate() {
            if let Home::File(number) = part.home
                && !rewritten.contains(&index)
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

/// The manifest's entry of a part that was just built.
fn entry_of_new(part: &LivePart, byte_len: u64) -> Result<PartEntry> {
    let Home::File(number) = part.home else {
        return Err(Error::Internal { detail: "a built part is not in a file".to_owned() });
    };
    let table = part.part.table();
    let (row_count, video_count) = (table.row_count(), table.video_count());
    Ok(PartEntry { number, byte_len, row_count, video_count, deletes: None, deleted_count: 0 })
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
        Scope::Merge => chosen.extend(worth_merging(snapshot, most_parts)),
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
