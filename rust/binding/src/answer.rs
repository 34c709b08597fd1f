//! A search's answer as the types of `pixr.types`, by `pixr.makers`: one call for each object, no text between.

use pixr::catalog::channel::Channel;
use pixr::catalog::video::Video;
use pixr::search::hit::{Hit, HitMatch, HitMoment, Relation, SearchResult, Timing, Way};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFloat, PyList, PyString, PyTuple};
use serde_json::Value;

/// `(items, total, total_relation, facets, next_cursor, snapshot, plan, seconds, counting_seconds)`.
pub(crate) type Answer<'py> = Bound<'py, PyTuple>;

/// What makes the objects, and the names that every match carries.
struct Types {
    hit: Py<PyAny>,
    moment: Py<PyAny>,
    matched: Py<PyAny>,
    video: Py<PyAny>,
    creator: Py<PyAny>,
    modes: Vec<Py<PyString>>,
    channels: Vec<Py<PyString>>,
}

static TYPES: PyOnceLock<Types> = PyOnceLock::new();

impl Types {
    fn get(py: Python<'_>) -> PyResult<&Self> {
        TYPES.get_or_try_init(py, || {
            let module = py.import("pixr.makers")?;
            let maker = |name: &str| module.getattr(name).map(Bound::unbind);
            Ok(Self {
                hit: maker("hit")?,
                moment: maker("moment")?,
                matched: maker("match")?,
                video: maker("video")?,
                creator: maker("creator")?,
                modes: Channel::ALL
                    .iter()
                    .map(|channel| PyString::intern(py, channel.mode().name()).unbind())
                    .collect(),
                channels: Channel::ALL.iter().map(|channel| PyString::intern(py, channel.name()).unbind()).collect(),
            })
        })
    }
}

/// The answer in Python's types. `clauses` and `parts` are those that the matches number.
pub(crate) fn to_python<'py>(
    py: Python<'py>,
    result: &SearchResult,
    clauses: &[Py<PyString>],
    parts: &[Py<PyString>],
) -> PyResult<Answer<'py>> {
    let maker = Maker { py, types: Types::get(py)?, clauses, parts };
    let items: Vec<_> = result.hits.iter().map(|hit| maker.hit(hit)).collect::<PyResult<_>>()?;
    let facets = PyDict::new(py);
    for (name, counts) in &result.facets {
        let values = PyDict::new(py);
        for (value, count) in counts {
            values.set_item(value, count)?;
        }
        facets.set_item(name, values)?;
    }
    let relation = match result.total_relation {
        Relation::Exact => "exact",
        Relation::Estimated => "estimated",
    };
    let plan = PyDict::new(py);
    for (channel, way) in &result.plan {
        let way = match way {
            Way::Exact => "exact",
            Way::Codes => "codes",
            Way::FilteredWalk => "filtered_walk",
            Way::Approximate => "approximate",
        };
        plan.set_item(maker.types.channels.get(channel.index()), PyString::intern(py, way))?;
    }
    let items = PyTuple::new(py, items)?;
    let relation = PyString::intern(py, relation);
    let Timing { seconds, counting_seconds } = result.timing;
    let cursor = result.next_cursor.as_deref();
    (items, result.total, relation, facets, cursor, result.snapshot, plan, seconds, counting_seconds).into_pyobject(py)
}

struct Maker<'py, 'a> {
    py: Python<'py>,
    types: &'a Types,
    clauses: &'a [Py<PyString>],
    parts: &'a [Py<PyString>],
}

impl<'py> Maker<'py, '_> {
    fn hit(&self, hit: &Hit) -> PyResult<Bound<'py, PyAny>> {
        let moments: Vec<_> = hit.moments.iter().map(|moment| self.moment(moment)).collect::<PyResult<_>>()?;
        let moments = PyTuple::new(self.py, moments)?;
        self.types.hit.bind(self.py).call1((self.video(&hit.video)?, decimal(hit.score), moments))
    }

    fn moment(&self, moment: &HitMoment) -> PyResult<Bound<'py, PyAny>> {
        let matches: Vec<_> = moment.matches.iter().map(|one| self.matched(one)).collect::<PyResult<_>>()?;
        let matches = PyTuple::new(self.py, matches)?;
        let moment = (moment.start, moment.end, moment.peak, decimal(moment.score), matches);
        self.types.moment.bind(self.py).call1(moment)
    }

    fn matched(&self, one: &HitMatch) -> PyResult<Bound<'py, PyAny>> {
        let index = one.channel.index();
        let highlights = one.snippet.iter().flat_map(|snippet| &snippet.highlights);
        let highlights: Vec<_> =
            highlights.map(|[start, end]| (start, end).into_pyobject(self.py)).collect::<PyResult<_>>()?;
        // The clauses of a related question are not told apart.
        let clause = one.clause.filter(|_| self.parts.is_empty()).and_then(|clause| self.clauses.get(clause as usize));
        let part = one.part.and_then(|part| self.parts.get(part as usize));
        let (py, none) = (self.py, || self.py.None().into_bound(self.py));
        let number = |number: f64| PyFloat::new(py, number).into_any();
        let known = |number: Option<f32>| number.map_or_else(none, |known| number_of(py, known));
        let name = |name: Option<&Py<PyString>>| name.map_or_else(none, |name| name.bind(py).clone().into_any());
        let text = one.snippet.as_ref().map(|snippet| PyString::new(py, &snippet.text).into_any());
        // More than pyo3's own tuples take.
        let fields = [
            number(one.start),
            number(one.end),
            name(self.types.modes.get(index)),
            name(self.types.channels.get(index)),
            number_of(py, one.confidence),
            number_of(py, one.weight),
            number_of(py, one.contribution),
            known(one.cosine),
            known(one.lexical),
            text.unwrap_or_else(none),
            PyTuple::new(py, highlights)?.into_any(),
            name(clause),
            name(part),
        ];
        self.types.matched.bind(py).call1(PyTuple::new(py, fields)?)
    }

    fn video(&self, video: &Video) -> PyResult<Bound<'py, PyAny>> {
        let creator = match &video.creator {
            Some(creator) => {
                let creator = (creator.id.as_str(), creator.name.as_str(), creator.verified);
                Some(self.types.creator.bind(self.py).call1(creator)?)
            }
            None => None,
        };
        let metadata = PyDict::new(self.py);
        for (key, value) in &video.metadata {
            metadata.set_item(key, self.json(value)?)?;
        }
        self.types.video.bind(self.py).call1((
            video.id.as_str(),
            video.title.as_str(),
            video.description.as_str(),
            PyTuple::new(self.py, &video.tags)?,
            video.duration,
            video.created.as_deref(),
            video.quality.as_deref(),
            creator,
            video.source.as_deref(),
            video.content_hash.as_deref(),
            metadata,
        ))
    }

    fn json(&self, value: &Value) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        Ok(match value {
            Value::Null => py.None().into_bound(py),
            Value::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => number.into_pyobject(py)?.into_any(),
                (None, Some(number)) => number.into_pyobject(py)?.into_any(),
                (None, None) => number.as_f64().into_pyobject(py)?.into_any(),
            },
            Value::String(text) => text.into_pyobject(py)?.into_any(),
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| self.json(item)).collect::<PyResult<_>>()?;
                PyList::new(py, items)?.into_any()
            }
            Value::Object(fields) => {
                let made = PyDict::new(py);
                for (key, value) in fields {
                    made.set_item(key, self.json(value)?)?;
                }
                made.into_any()
            }
        })
    }
}

fn number_of(py: Python<'_>, number: f32) -> Bound<'_, PyAny> {
    PyFloat::new(py, decimal(number)).into_any()
}

/// The f64 that is written as the f32 is, so that 0.8 stays 0.8: what the shapes of the HTTP API print.
fn decimal(number: f32) -> f64 {
    if number.trunc() == number {
        return f64::from(number);
    }
    let mut written = [0_u8; 32];
    let mut rest = written.as_mut_slice();
    let is_written = serde_json::to_writer(&mut rest, &number).is_ok();
    let length = 32 - rest.len();
    let text = written.get(..length).and_then(|written| std::str::from_utf8(written).ok());
    text.filter(|_| is_written).and_then(|text| text.parse().ok()).unwrap_or_else(|| f64::from(number))
}
