//! What is live: one small file, replaced atomically.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::fields::Fields;
use super::log_format::LOG_HEADER_BYTES;
use super::names::{self, FileName, MAX_NUMBER, TEMPORARY_SUFFIX};
use super::publish::publish;
use super::random::random_bytes;
use super::seam::{Storage, is_absent};
use super::{FORMAT, OLDEST_FORMAT, hex};
use crate::catalog::channel::Channel;
use crate::catalog::video::Space;
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"PIXRMANI";
/// Magic, format, checksum, length of the body.
const HEADER_BYTES: usize = 24;

/// One part that is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartEntry {
    /// The number in the file's name; never used again in this library.
    pub number: u64,
    /// Length of the file in bytes.
    pub byte_len: u64,
    /// Segments in the part.
    pub row_count: u32,
    /// Videos in the part, deleted ones too.
    pub video_count: u32,
    /// Number of the file that says which videos are gone; none if all are there.
    pub deletes: Option<u64>,
    /// How many videos are gone.
    pub deleted_count: u32,
}

/// Everything that opening a library has to know: which files are live, and what they hold in common.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// One more with each manifest that is stored.
    pub generation: u64,
    /// Names the library wherever it is copied to.
    #[serde(with = "hex")]
    pub library_id: [u8; 16],
    /// Signs cursors. Not shown by `Debug`.
    #[serde(with = "hex")]
    pub secret: [u8; 32],
    /// The number that the next part or deletes file gets.
    pub next_file: u64,
    /// Number of the first log to replay.
    pub first_log: u64,
    /// Every record up to this sequence is in the parts and deletes.
    pub applied_sequence: u64,
    /// Live parts, ascending by number.
    pub parts: Vec<PartEntry>,
    /// The space of each channel's vectors.
    pub spaces: BTreeMap<Channel, Space>,
    /// Calibration and the like: opaque here.
    pub settings: serde_json::Value,
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest")
            .field("generation", &self.generation)
            .field("next_file", &self.next_file)
            .field("first_log", &self.first_log)
            .field("applied_sequence", &self.applied_sequence)
            .field("parts", &self.parts)
            .field("spaces", &self.spaces)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Manifest {
    /// The manifest of a new, empty library: generation 0, first log 1, fresh id and secret.
    ///
    /// # Errors
    /// `io` if the system gives no random bytes.
    pub fn new() -> Result<Self> {
        Ok(Self {
            generation: 0,
            library_id: random_bytes()?,
            secret: random_bytes()?,
            next_file: 1,
            first_log: 1,
            applied_sequence: 0,
            parts: Vec::new(),
            spaces: BTreeMap::new(),
            settings: serde_json::Value::Null,
        })
    }

    /// Reads the manifest of the library in `storage`.
    ///
    /// # Errors
    /// `library_not_found` if there is no manifest and nothing but what a cut creation leaves; `not_a_library` if
    /// there is no manifest among other files, or a file of that name which is none; `format_unsupported`; `damaged`.
    pub fn load(storage: &dyn Storage) -> Result<Self> {
        match storage.load(&FileName::Manifest.to_string()) {
            Ok(bytes) => decode(storage, &bytes),
            Err(error) if is_absent(&error) => Err(without_manifest(storage)?),
            Err(error) => Err(error),
        }
    }

    /// Makes this the manifest: after `Ok` for good, after an error before the rename not at all.
    ///
    /// After an error it is not known which manifest a crash would leave: load it again before going on.
    ///
    /// # Errors
    /// `io`; `internal` if the manifest contradicts itself, in which case nothing was written.
    pub fn store(&self, storage: &dyn Storage) -> Result<()> {
        let bytes = self.encode()?;
        publish(storage, FileName::Manifest, [bytes.as_slice()])
    }

    fn encode(&self) -> Result<Vec<u8>> {
        let internal = |detail: String| Error::Internal { detail: format!("the manifest can't be stored: {detail}") };
        self.check().map_err(internal)?;
        let body = serde_json::to_vec_pretty(self).map_err(|error| internal(error.to_string()))?;
        // What can't be read back, such as settings nested too deep for the parser, must not replace what can.
        serde_json::from_slice::<Self>(&body).map_err(|error| internal(error.to_string()))?;
        let mut checked = FORMAT.to_le_bytes().to_vec();
        checked.extend_from_slice(&(body.len() as u64).to_le_bytes());
        checked.extend_from_slice(&body);
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&crc32c::crc32c(&checked).to_le_bytes());
        bytes.extend_from_slice(&checked);
        Ok(bytes)
    }

    /// Whether the entries agree with each other; what is wrong if not.
    fn check(&self) -> Result<(), String> {
        if self.next_file > MAX_NUMBER || self.first_log > MAX_NUMBER {
            return Err("file numbers have run out".to_owned());
        }
        let mut previous = None;
        for part in &self.parts {
            let number = part.number;
            if previous.is_some_and(|previous| previous >= number) {
                return Err(format!("part {number} is out of order"));
            }
            previous = Some(number);
            if number.max(part.deletes.unwrap_or(0)) >= self.next_file {
                return Err(format!("part {number} uses a number that is not below {}", self.next_file));
            }
            if part.deleted_count > part.video_count {
                return Err(format!(
                    "part {number} has {} videos, {} of them deleted",
                    part.video_count, part.deleted_count
                ));
            }
            if part.deletes.is_some() != (part.deleted_count > 0) {
                return Err(format!(
                    "part {number} has {} deleted videos but a file {:?}",
                    part.deleted_count, part.deletes
                ));
            }
        }
        Ok(())
    }
}

fn decode(storage: &dyn Storage, bytes: &[u8]) -> Result<Manifest> {
    let path = storage.path(&FileName::Manifest.to_string());
    let damaged = |detail: String| Error::damaged(&path, detail);
    let mut fields = Fields::new(bytes);
    let header = (|| Some((fields.bytes(8)?, fields.u32()?, fields.u32()?, fields.u64()?)))();
    let Some((magic, expected, format, body_len)) = header else {
        return Err(if bytes.starts_with(MAGIC) {
            damaged(format!("{} bytes, expected at least {HEADER_BYTES}", bytes.len()))
        } else {
            Error::NotALibrary { path: storage.root().to_owned() }
        });
    };
    // The checksum is computed as if the magic and the format were right: this tells a bit flipped there from a file
    // that someone else, or another version, wrote.
    let rest = bytes.get(HEADER_BYTES - 8..).unwrap_or_default();
    let got = crc32c::crc32c_append(crc32c::crc32c(&FORMAT.to_le_bytes()), rest);
    if magic != MAGIC {
        return Err(if got == expected {
            damaged("the first eight bytes are wrong".to_owned())
        } else {
            Error::NotALibrary { path: storage.root().to_owned() }
        });
    }
    if format != FORMAT {
        return Err(if got == expected {
            damaged(format!("the format number is {format}, expected {FORMAT}"))
        } else {
            Error::FormatUnsupported { path, got: format, oldest: OLDEST_FORMAT, newest: FORMAT }
        });
    }
    let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
    if body_len != body.len() as u64 {
        return Err(damaged(format!("the body has {} bytes, expected {body_len}", body.len())));
    }
    if got != expected {
        return Err(damaged(format!("checksum {got:08x}, expected {expected:08x}")));
    }
    let manifest: Manifest = serde_json::from_slice(body).map_err(|error| damaged(error.to_string()))?;
    manifest.check().map_err(damaged)?;
    Ok(manifest)
}

/// The error for a directory without a manifest. A creation that was cut short leaves only names of ours.
fn without_manifest(storage: &dyn Storage) -> Result<Error> {
    let path = storage.root().to_owned();
    let is_ours = |name: &String| {
        FileName::parse(name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(name)).is_some()
            || *name == names::SNAPSHOTS
            || names::DIRECTORIES.contains(&name.as_str())
    };
    if !storage.list("")?.iter().all(is_ours) {
        return Ok(Error::NotALibrary { path });
    }
    // Parts or records without a manifest are someone's data, not the beginning of a library.
    if storage.list(names::PARTS)?.is_empty() && !has_records(storage)? {
        return Ok(Error::LibraryNotFound { path });
    }
    let manifest = storage.path(&FileName::Manifest.to_string());
    Ok(Error::damaged(manifest, "the manifest is missing, parts or writes are there"))
}

/// Whether a log is there that was written to, or that is not the first.
fn has_records(storage: &dyn Storage) -> Result<bool> {
    for number in names::logs(storage)? {
        if number > 1 || storage.len(&FileName::Log(number).to_string())? > LOG_HEADER_BYTES as u64 {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryStorage;
    use super::*;

    fn full() -> Result<Manifest> {
        let part =
            PartEntry { number: 3, byte_len: 4096, row_count: 10, video_count: 2, deletes: Some(5), deleted_count: 1 };
        let space = Space { name: "minilm".to_owned(), version: "1".to_owned(), dimension: 384 };
        Ok(Manifest {
            generation: 7,
            next_file: u64::from(u32::MAX),
            applied_sequence: u64::MAX,
            parts: vec![part],
            spaces: BTreeMap::from([(Channel::Frame, space.clone()), (Channel::Speech, space)]),
            settings: serde_json::json!({"calibration": {"frame": {"slope": 12.5}}, "order": ["b", "a"]}),
            ..Manifest::new()?
        })
    }

    #[test]
    fn a_stored_manifest_loads_equal() -> Result<()> {
        let storage = MemoryStorage::new();
        for manifest in [Manifest::new()?, full()?] {
            manifest.store(&storage)?;
            assert_eq!(Manifest::load(&storage)?, manifest);
        }
        assert_eq!(storage.list("")?, ["MANIFEST"]);
        Ok(())
    }

    #[test]
    fn the_secret_is_not_printed() -> Result<()> {
        let manifest = Manifest { secret: [0xab; 32], ..full()? };
        let printed = format!("{manifest:?}");
        assert!(printed.contains("generation: 7"), "{printed}");
        assert!(!printed.contains("secret") && !printed.contains("171"), "{printed}");
        Ok(())
    }

    #[test]
    fn a_manifest_that_contradicts_itself_replaces_nothing() -> Result<()> {
        let storage = MemoryStorage::new();
        let good = full()?;
        good.store(&storage)?;
        let mut twice = good.clone();
        twice.parts.extend(good.parts.clone());
        let mut overdrawn = good.clone();
        overdrawn.next_file = 4;
        let mut nested = good.clone();
        for _ in 0..200 {
            nested.settings = serde_json::Value::Array(vec![nested.settings]);
        }
        for bad in [twice, overdrawn, nested] {
            assert_eq!(bad.store(&storage).map_err(|error| error.code()), Err("internal"));
        }
        assert_eq!(Manifest::load(&storage)?, good);
        Ok(())
    }

    fn code_for(files: &[(&str, &[u8])]) -> Result<Option<&'static str>> {
        let storage = MemoryStorage::new();
        super::super::names::create_directories(&storage)?;
        for (name, bytes) in files {
            storage.create(name)?.write_all(bytes)?;
        }
        Ok(Manifest::load(&storage).err().map(|error| error.code()))
    }

    #[test]
    fn nothing_strangers_and_other_versions_are_told_apart() -> Result<()> {
        assert_eq!(code_for(&[])?, Some("library_not_found"));
        let unfinished: [(&str, &[u8]); 4] =
            [("LOCK", b"1\n"), ("MANIFEST.tmp", b"PIX"), ("SYNCED.tmp", b""), ("wal/0000000000000001.log", b"")];
        assert_eq!(code_for(&unfinished)?, Some("library_not_found"));
        assert_eq!(code_for(&[("notes.txt", b"")])?, Some("not_a_library"));
        assert_eq!(code_for(&[("MANIFEST", b"")])?, Some("not_a_library"));
        assert_eq!(code_for(&[("MANIFEST", b"Manifest-Version: 1.0\nCreated-By: 17\n")])?, Some("not_a_library"));
        assert_eq!(code_for(&[("MANIFEST", b"PIXRMANI")])?, Some("damaged"));
        assert_eq!(code_for(&[("parts/0000000000000001.part", b"")])?, Some("damaged"));
        assert_eq!(code_for(&[("wal/0000000000000001.log", &[0; LOG_HEADER_BYTES + 1])])?, Some("damaged"));
        assert_eq!(code_for(&[("wal/0000000000000002.log", b"")])?, Some("damaged"));
        for flipped in 0..24 {
            let mut bytes = full()?.encode()?;
            bytes.iter_mut().skip(flipped).take(1).for_each(|byte| *byte ^= 1);
            assert_eq!(code_for(&[("MANIFEST", &bytes)])?, Some("damaged"), "byte {flipped}");
        }
        let mut later = full()?.encode()?;
        later.splice(8..16, [0, 0, 0, 0, 2, 0, 0, 0]);
        let storage = MemoryStorage::new();
        storage.create("MANIFEST")?.write_all(&later)?;
        let found = match Manifest::load(&storage) {
            Err(Error::FormatUnsupported { got, oldest, newest, .. }) => Some((got, oldest, newest)),
            _ => None,
        };
        assert_eq!(found, Some((2, 1, 1)));
        Ok(())
    }
}
