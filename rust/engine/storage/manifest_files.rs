//! Which files on disk belong to a manifest.

use super::manifest::Manifest;
use super::names::{self, FileName, TEMPORARY_SUFFIX};
use super::seam::Storage;
use crate::error::Result;

impl Manifest {
    /// Files with names of ours that the manifest does not name: what a crash left, or what a later manifest stopped naming.
    ///
    /// Only the writer may ask, under the lock: to anyone else, a file that is being written looks the same. Files with
    /// other names are none of our business and are never listed.
    pub(crate) fn unreferenced(&self, storage: &dyn Storage) -> Result<Vec<String>> {
        let is_leftover = |name: &String| {
            let is_unfinished = name.strip_suffix(TEMPORARY_SUFFIX).and_then(FileName::parse).is_some();
            is_unfinished || FileName::parse(name).is_some_and(|file| !self.names(file))
        };
        Ok(names::entries(storage)?.into_iter().filter(is_leftover).collect())
    }

    /// Whether the file is one of the library with this manifest.
    pub(crate) fn names(&self, file: FileName) -> bool {
        match file {
            FileName::Manifest | FileName::Lock | FileName::Synced | FileName::Encoders => true,
            FileName::Log(number) => number >= self.first_log,
            FileName::Part(number) => self.parts.iter().any(|part| part.number == number),
            FileName::Deletes { part, number } => {
                self.parts.iter().any(|entry| entry.number == part && entry.deletes == Some(number))
            }
        }
    }

    /// The files without which a library with this manifest can't be opened.
    pub(crate) fn needed(&self) -> Vec<FileName> {
        let mut files = vec![FileName::Manifest, FileName::Log(self.first_log)];
        for entry in &self.parts {
            files.push(FileName::Part(entry.number));
            files.extend(entry.deletes.map(|number| FileName::Deletes { part: entry.number, number }));
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::PartEntry;
    use super::super::memory::MemoryStorage;
    use super::super::names::{create_directories, temporary};
    use super::*;

    #[test]
    fn leftovers_are_found_and_strangers_are_left_alone() -> Result<()> {
        let storage = MemoryStorage::new();
        create_directories(&storage)?;
        let part = |number, deletes| PartEntry {
            number,
            byte_len: 1,
            row_count: 1,
            video_count: 2,
            deletes,
            deleted_count: u32::from(deletes.is_some()),
        };
        let manifest =
            Manifest { first_log: 4, next_file: 9, parts: vec![part(2, None), part(3, Some(8))], ..Manifest::new()? };
        let deletes = |part, number| FileName::Deletes { part, number };
        let live = [
            FileName::Manifest,
            FileName::Lock,
            FileName::Synced,
            FileName::Encoders,
            FileName::Log(4),
            FileName::Log(5),
            FileName::Part(2),
            FileName::Part(3),
            deletes(3, 8),
        ];
        let dead = [FileName::Log(3), FileName::Part(1), deletes(2, 8), deletes(3, 7)];
        for name in live.into_iter().chain(dead) {
            storage.create(&name.to_string())?;
        }
        for stranger in ["README", "parts/notes.txt", "notes.tmp"] {
            storage.create(stranger)?;
        }
        let unfinished = [temporary(FileName::Manifest), temporary(FileName::Part(3))];
        for name in &unfinished {
            storage.create(name)?;
        }
        let mut expected: Vec<String> = dead.iter().map(ToString::to_string).chain(unfinished).collect();
        let mut found = manifest.unreferenced(&storage)?;
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
        Ok(())
    }
}
