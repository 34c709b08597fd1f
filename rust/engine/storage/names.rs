//! Every name on disk, printed and read in one place.

use std::fmt;

use super::seam::Storage;
use crate::error::Result;

/// Directory of the logs.
pub const LOGS: &str = "wal";
/// Directory of the parts.
pub const PARTS: &str = "parts";
/// Directory of the bitmaps of deleted videos.
pub const DELETES: &str = "deletes";
/// The directories of a library.
pub const DIRECTORIES: [&str; 3] = [LOGS, PARTS, DELETES];
/// Directory of the named snapshots, each a library of its own.
pub const SNAPSHOTS: &str = "snapshots";
/// A file that marks a library as not whole yet while it is copied or repaired into its directory.
pub const UNFINISHED: &str = "UNFINISHED";
/// What the name of a file that is not finished ends with.
pub const TEMPORARY_SUFFIX: &str = ".tmp";
/// The largest number that a file name holds: sixteen digits.
pub const MAX_NUMBER: u64 = 9_999_999_999_999_999;

const MANIFEST: &str = "MANIFEST";
const LOCK: &str = "LOCK";
const SYNCED: &str = "SYNCED";
const ENCODERS: &str = "encoders.json";

/// A file of a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// `MANIFEST`: what is live.
    Manifest,
    /// `LOCK`: held by the writer, has its process id.
    Lock,
    /// `SYNCED`: how far the newest log had been synced.
    Synced,
    /// `encoders.json`: the models that the library was indexed with. The engine copies it and never reads it.
    Encoders,
    /// `wal/<number>.log`: writes in order.
    Log(u64),
    /// `parts/<number>.part`: an immutable set of videos with everything that is searched.
    Part(u64),
    /// `deletes/<part>-<number>.bitmap`: which videos of the part are gone.
    Deletes {
        /// The part's number.
        part: u64,
        /// The bitmap's own number; a later one replaces an earlier one.
        number: u64,
    },
}

impl FileName {
    /// Reads a name as [`fmt::Display`] prints it; `None` for anything else.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.split_once('/') {
            None if name == MANIFEST => Some(Self::Manifest),
            None if name == LOCK => Some(Self::Lock),
            None if name == SYNCED => Some(Self::Synced),
            None if name == ENCODERS => Some(Self::Encoders),
            Some((LOGS, file)) => parse_number(file.strip_suffix(".log")?).map(Self::Log),
            Some((PARTS, file)) => parse_number(file.strip_suffix(".part")?).map(Self::Part),
            Some((DELETES, file)) => {
                let (part, number) = file.strip_suffix(".bitmap")?.split_once('-')?;
                Some(Self::Deletes { part: parse_number(part)?, number: parse_number(number)? })
            }
            _ => None,
        }
    }

    /// The directory that the file lies in; `""` is the library's root.
    #[must_use]
    pub const fn directory(self) -> &'static str {
        match self {
            Self::Manifest | Self::Lock | Self::Synced | Self::Encoders => "",
            Self::Log(_) => LOGS,
            Self::Part(_) => PARTS,
            Self::Deletes { .. } => DELETES,
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest => f.write_str(MANIFEST),
            Self::Lock => f.write_str(LOCK),
            Self::Synced => f.write_str(SYNCED),
            Self::Encoders => f.write_str(ENCODERS),
            Self::Log(number) => write!(f, "{LOGS}/{number:016}.log"),
            Self::Part(number) => write!(f, "{PARTS}/{number:016}.part"),
            Self::Deletes { part, number } => write!(f, "{DELETES}/{part:016}-{number:016}.bitmap"),
        }
    }
}

/// The name that a file has until it is whole.
#[must_use]
pub fn temporary(name: FileName) -> String {
    format!("{name}{TEMPORARY_SUFFIX}")
}

/// Makes the directories of a new library, lastingly.
pub fn create_directories(storage: &dyn Storage) -> Result<()> {
    for dir in DIRECTORIES {
        storage.create_dir(dir)?;
    }
    storage.sync_dir("")
}

/// The numbers of the logs that are there, ascending.
pub(crate) fn logs(storage: &dyn Storage) -> Result<Vec<u64>> {
    let number = |name: String| match FileName::parse(&name) {
        Some(FileName::Log(number)) => Some(number),
        _ => None,
    };
    Ok(entries_of(storage, LOGS)?.filter_map(number).collect())
}

/// The names of everything in the root of a library and in its directories, files of others included.
pub(crate) fn entries(storage: &dyn Storage) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for dir in std::iter::once("").chain(DIRECTORIES) {
        names.extend(entries_of(storage, dir)?);
    }
    Ok(names)
}

/// The names of everything in one directory, each with its path from the root.
pub(crate) fn entries_of(storage: &dyn Storage, dir: &str) -> Result<impl Iterator<Item = String>> {
    let entries = storage.list(dir)?.into_iter();
    Ok(entries.map(move |entry| if dir.is_empty() { entry } else { format!("{dir}/{entry}") }))
}

fn parse_number(digits: &str) -> Option<u64> {
    (digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_they_are_printed() {
        let names = [
            (FileName::Manifest, "MANIFEST"),
            (FileName::Lock, "LOCK"),
            (FileName::Synced, "SYNCED"),
            (FileName::Log(7), "wal/0000000000000007.log"),
            (FileName::Part(MAX_NUMBER), "parts/9999999999999999.part"),
            (FileName::Deletes { part: 7, number: 12 }, "deletes/0000000000000007-0000000000000012.bitmap"),
        ];
        for (name, text) in names {
            assert_eq!(name.to_string(), text);
            assert_eq!(FileName::parse(text), Some(name));
        }
    }

    #[test]
    fn other_names_are_not_read() {
        for text in [
            "",
            "manifest",
            "MANIFEST.tmp",
            "wal/7.log",
            "wal/+000000000000007.log",
            "wal/00000000000000007.log",
            "wal/0000000000000007.part",
            "parts/000000000000000x.part",
            "deletes/0000000000000007.bitmap",
            "media/0000000000000007.part",
        ] {
            assert_eq!(FileName::parse(text), None, "{text:?}");
        }
    }
}
