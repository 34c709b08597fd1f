//! `pixr._engine.Library`: the engine's library with JSON, bytes and Arrow at its border.

use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use pixr::catalog::channel::Channel;
use pixr::catalog::video::{Space, Video, VideoId};
use pixr::operation::Respaced;
use pixr::search::calibrate::Calibration;
use pixr::{Error, batch};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use serde_json::Value;

use crate::answer::{self, Answer};
use crate::arrow::{Batch, import};
use crate::asked::{Asked, ByChannel, PartVectors};
use crate::errors::{forked, to_python};
use crate::options::parse_options;

/// While `open` waits for a lock, it looks this often whether Ctrl-C was pressed.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// One library directory. Every method lets go of the GIL while the engine works.
///
/// A forked process must not use the copy that it got: both processes would write to the same log, each over what the other
/// was told is safe, and the copy would wait for threads that exist only in the process that opened the library. So after
/// a fork every call is refused, except `close`, which then does nothing.
#[pyclass(frozen, module = "pixr._engine")]
pub(crate) struct Library {
    /// Shared by calls, exclusive for `close`.
    inner: Arc<RwLock<pixr::library::Library>>,
    /// The process that opened it.
    opener: u32,
}

impl Drop for Library {
    fn drop(&mut self) {
        if self.is_forked() {
            std::mem::forget(Arc::clone(&self.inner));
        }
    }
}

impl Library {
    fn new(library: pixr::library::Library) -> Self {
        Self { inner: Arc::new(RwLock::new(library)), opener: std::process::id() }
    }

    fn is_forked(&self) -> bool {
        self.opener != std::process::id()
    }

    fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&pixr::library::Library) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        if self.is_forked() {
            return Err(forked(self.opener));
        }
        py.detach(|| {
            let library = self.inner.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            work(&library)
        })
        .map_err(|error| to_python(&error))
    }
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Internal { detail: error.to_string() })
}

fn parse_video(json: &str) -> Result<Video, Error> {
    let detail = |error: serde_json::Error| {
        let value: Value = serde_json::from_str(json).unwrap_or_default();
        let video = value.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        Error::InvalidVideo { video, detail: error.to_string() }
    };
    serde_json::from_str(json).map_err(detail)
}

#[pymethods]
impl Library {
    /// Opens the library at `path`; `options` is a JSON object with `access` ("create", "write", "read"),
    /// `lock_timeout` (seconds), `sync` ("always", "group", "none"), `snapshot` (a name) and `limits`.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf, options: &str) -> PyResult<Self> {
        let mut options = parse_options(options).map_err(|error| to_python(&error))?;
        let (begun, patience) = (Instant::now(), options.lock_timeout);
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            options.lock_timeout = left.min(SIGNAL_INTERVAL);
            match py.detach(|| pixr::library::Library::open(&path, options.clone())) {
                Err(Error::LibraryLocked { .. }) if left > SIGNAL_INTERVAL => py.check_signals()?,
                outcome => {
                    let library = outcome.map_err(|error| to_python(&error))?;
                    return Ok(Self::new(library));
                }
            }
        }
    }

    /// A library in memory.
    #[staticmethod]
    fn in_memory(py: Python<'_>) -> PyResult<Self> {
        let library = py.detach(pixr::library::Library::in_memory).map_err(|error| to_python(&error))?;
        Ok(Self::new(library))
    }

    /// Replaces one video and all its segments. `segments` is a record batch of that video's rows, or None.
    #[pyo3(signature = (video, segments=None))]
    fn put(&self, py: Python<'_>, video: &str, segments: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let rows = segments.as_ref().map(import).transpose()?;
        self.run(py, |library| {
            let video = parse_video(video)?;
            let mut all = Vec::new();
            for (id, _, segments) in rows.as_ref().map_or(Ok(Vec::new()), batch::decode)? {
                if id != video.id {
                    let detail = format!("the batch has segments of {id}, expected {} only", video.id);
                    return Err(Error::InvalidBatch { detail });
                }
                all.extend(segments);
            }
            library.put(vec![(video, all)])
        })
    }

    /// Lays the rows of a batch over the library; `videos` are JSON objects for videos named in it. Returns the ids.
    #[pyo3(signature = (segments, videos=Vec::new()))]
    fn add_segments(&self, py: Python<'_>, segments: Bound<'_, PyAny>, videos: Vec<String>) -> PyResult<Vec<String>> {
        let rows = import(&segments)?;
        self.run(py, |library| {
            let given: Vec<Video> = videos.iter().map(|json| parse_video(json)).collect::<Result<_, _>>()?;
            library.add_segments(&rows, given)
        })
    }

    /// Replaces a video's metadata by this JSON object; its vectors on the channels `without_vectors` are then gone.
    #[pyo3(signature = (video, without_vectors=Vec::new()))]
    fn update(&self, py: Python<'_>, video: &str, without_vectors: Vec<String>) -> PyResult<()> {
        self.run(py, |library| {
            let channels = without_vectors.iter().map(|name| Channel::parse(name)).collect::<Result<Vec<_>, _>>()?;
            let video = parse_video(video)?;
            if channels.is_empty() { library.update(video) } else { library.update_without_vectors(video, &channels) }
        })
    }

    /// Deletes videos; all or none.
    fn delete(&self, py: Python<'_>, ids: Vec<String>) -> PyResult<()> {
        self.run(py, |library| library.delete(ids.into_iter().map(VideoId::new).collect::<Result<_, _>>()?))
    }

    /// Says which space a channel's vectors are of.
    fn set_space(&self, py: Python<'_>, channel: &str, name: String, version: String, dimension: u32) -> PyResult<()> {
        self.run(py, |library| library.set_space(Channel::parse(channel)?, Space { name, version, dimension }))
    }

    /// Sets a channel's calibration from a JSON object.
    fn set_calibration(&self, py: Python<'_>, channel: &str, calibration: &str) -> PyResult<()> {
        self.run(py, |library| {
            let calibration: Calibration = serde_json::from_str(calibration)
                .map_err(|error| Error::InvalidQuery { detail: format!("calibration: {error}") })?;
            library.set_calibration(Channel::parse(channel)?, calibration)
        })
    }

    /// Changes channels to other spaces: `channels` has (name, space's name, version, dimension, calibration as JSON) of
    /// each, `videos` the ids of all, `segments` their vectors on those channels, `number` the snapshot's that they are of.
    fn respace(
        &self,
        py: Python<'_>,
        channels: Vec<(String, String, String, u32, String)>,
        videos: Vec<String>,
        segments: Bound<'_, PyAny>,
        number: u64,
    ) -> PyResult<()> {
        let rows = import(&segments)?;
        self.run(py, |library| {
            let channels = channels
                .into_iter()
                .map(|(channel, name, version, dimension, calibration)| {
                    let calibration = serde_json::from_str(&calibration)
                        .map_err(|error| Error::InvalidQuery { detail: format!("calibration: {error}") })?;
                    let space = Space { name, version, dimension };
                    Ok(Respaced { channel: Channel::parse(&channel)?, space, calibration })
                })
                .collect::<Result<Vec<_>, Error>>()?;
            let videos = videos.into_iter().map(VideoId::new).collect::<Result<Vec<_>, _>>()?;
            library.respace(channels, videos, &rows, number)
        })
    }

    /// Searches. `query` is a JSON object, `vectors` maps channels to little-endian float32 bytes, `clause_vectors` has
    /// as much for each of the query's clauses, `part_vectors` both for each question of a compound; matches name them as
    /// `clauses` and `parts` do. Returns `(items, total, total_relation, facets, next_cursor, snapshot, plan, seconds,
    /// counting_seconds)`.
    #[pyo3(signature = (
        query, vectors, clause_vectors=Vec::new(), part_vectors=Vec::new(), clauses=Vec::new(), parts=Vec::new()
    ))]
    #[expect(clippy::too_many_arguments, reason = "Python gives each kind of value by itself")]
    fn search<'py>(
        &self,
        py: Python<'py>,
        query: &str,
        vectors: ByChannel<'_>,
        clause_vectors: Vec<ByChannel<'_>>,
        part_vectors: PartVectors<'_>,
        clauses: Vec<Py<PyString>>,
        parts: Vec<Py<PyString>>,
    ) -> PyResult<Answer<'py>> {
        let asked = Asked::new(query, vectors, clause_vectors, part_vectors);
        let result = self.run(py, |library| library.search(&asked.query()?))?;
        answer::to_python(py, &result, &clauses, &parts)
    }

    /// The same as JSON, with every number that the engine knows, for tools.
    #[pyo3(signature = (query, vectors, clause_vectors=Vec::new(), part_vectors=Vec::new()))]
    fn search_json(
        &self,
        py: Python<'_>,
        query: &str,
        vectors: ByChannel<'_>,
        clause_vectors: Vec<ByChannel<'_>>,
        part_vectors: PartVectors<'_>,
    ) -> PyResult<String> {
        let asked = Asked::new(query, vectors, clause_vectors, part_vectors);
        self.run(py, |library| to_json(&library.search(&asked.query()?)?))
    }

    /// The space of each channel that has vectors: `{channel: {"name", "version", "dimension"}}`.
    fn spaces<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let snapshot = self.run(py, pixr::library::Library::current)?;
        let spaces = PyDict::new(py);
        for (channel, space) in &snapshot.spaces {
            let fields = PyDict::new(py);
            fields.set_item("name", &space.name)?;
            fields.set_item("version", &space.version)?;
            fields.set_item("dimension", space.dimension)?;
            spaces.set_item(channel.name(), fields)?;
        }
        Ok(spaces)
    }

    /// A video's metadata as JSON.
    fn video(&self, py: Python<'_>, id: String) -> PyResult<String> {
        self.run(py, |library| to_json(&library.video(&VideoId::new(id)?)?))
    }

    /// The ids of all videos, ascending.
    fn video_ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.run(py, |library| Ok(library.video_ids()?.iter().map(ToString::to_string).collect()))
    }

    /// The segments and metadata of some videos as one record batch.
    fn segments(&self, py: Python<'_>, ids: Vec<String>) -> PyResult<Batch> {
        self.run(py, |library| {
            let ids = ids.into_iter().map(VideoId::new).collect::<Result<Vec<_>, _>>()?;
            library.export(&ids)
        })
        .map(Batch)
    }

    /// Counts and sizes as JSON.
    fn info(&self, py: Python<'_>) -> PyResult<String> {
        self.run(py, |library| to_json(&library.info()?))
    }

    /// Verifies every byte; the report as JSON.
    fn check(&self, py: Python<'_>) -> PyResult<String> {
        self.run(py, |library| to_json(&library.check()?))
    }

    /// Copies the library into the directory `target`; the receipt as JSON.
    fn backup(&self, py: Python<'_>, target: PathBuf) -> PyResult<String> {
        self.run(py, |library| to_json(&library.backup(target)?))
    }

    /// Makes a new library at `target` of the backup at `source`; the receipt as JSON.
    #[staticmethod]
    fn restore(py: Python<'_>, source: PathBuf, target: PathBuf) -> PyResult<String> {
        py.detach(|| to_json(&pixr::library::Library::restore(source, target)?)).map_err(|error| to_python(&error))
    }

    /// Saves what can be read of the library at `source` into a new one at `target`; the report as JSON.
    #[staticmethod]
    fn repair(py: Python<'_>, source: PathBuf, target: PathBuf) -> PyResult<String> {
        py.detach(|| to_json(&pixr::library::Library::repair(source, target)?)).map_err(|error| to_python(&error))
    }

    /// Takes a snapshot with a name; what it is as JSON.
    fn take_snapshot(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        self.run(py, |library| to_json(&library.take_snapshot(name)?))
    }

    /// The snapshots with a name, as JSON.
    fn snapshots(&self, py: Python<'_>) -> PyResult<String> {
        self.run(py, |library| to_json(&library.named_snapshots()?))
    }

    /// Deletes a named snapshot.
    fn delete_snapshot(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.run(py, |library| library.delete_snapshot(name))
    }

    /// Writes what is only in the log into parts; returns the snapshot's number.
    fn commit(&self, py: Python<'_>) -> PyResult<u64> {
        self.run(py, pixr::library::Library::commit)
    }

    /// Rewrites every part without what was deleted; the receipt as JSON.
    fn compact(&self, py: Python<'_>) -> PyResult<String> {
        self.run(py, |library| to_json(&library.compact()?))
    }

    /// Spaces and calibrations as JSON: `{"spaces": {channel: {name, version, dimension}}, "calibrations": {…}}`.
    fn settings(&self, py: Python<'_>) -> PyResult<String> {
        self.run(py, |library| {
            let snapshot = library.current()?;
            to_json(&serde_json::json!({"spaces": snapshot.spaces, "calibrations": snapshot.calibrations}))
        })
    }

    /// Commits and gives up the lock. Closing twice is allowed, and in a fork nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_forked() {
            return Ok(());
        }
        py.detach(|| self.inner.write().unwrap_or_else(std::sync::PoisonError::into_inner).close())
            .map_err(|error| to_python(&error))
    }
}
