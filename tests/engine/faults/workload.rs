//! Random deeds for a library, and a plain model of what it holds after each.

use std::collections::BTreeMap;
use std::sync::Arc;

use pixr::Result;
use pixr::catalog::channel::Channel;
use pixr::library::{Access, Library};
use pixr::operation::Content;
use pixr::search::calibrate::{Calibration, CosineCurve, Logistic, Saturation};
use pixr::search::query::Query;
use pixr::storage::seam::Storage;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::films::{DIMENSION, Film, film, id, space};

/// One thing that a user does to a library.
#[derive(Debug, Clone)]
pub enum Deed {
    SetSpace,
    Calibrate(Channel),
    Put(Vec<Film>),
    /// Takes the film's metadata for the video of that id.
    Update(Film),
    /// Lays the film's segments over the video of that id.
    Overlay(Film),
    Delete(Vec<String>),
    Commit,
    Compact,
    /// Closes the library and opens it again.
    Reopen,
}

/// What a library should hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    pub has_space: bool,
    pub calibrated: Vec<Channel>,
    pub films: BTreeMap<String, Content>,
}

/// How the channels are fitted.
pub fn calibration(channel: Channel) -> Calibration {
    let enough = Calibration { floor: 0.02, sufficient: 0.1, ..Calibration::default() };
    match channel {
        Channel::Frame => Calibration {
            vector: Some(CosineCurve::Logistic(Logistic { center: 0.5, slope: 8.0, top: 1.0 })),
            ..enough
        },
        _ => Calibration { lexical: Some(Saturation { half: 0.5, power: 2.0, top: 0.95 }), ..enough },
    }
}

impl Model {
    /// What is held after `deed`.
    pub fn after(&self, deed: &Deed) -> Self {
        let mut next = self.clone();
        match deed {
            Deed::SetSpace => next.has_space = true,
            Deed::Calibrate(channel) => next.calibrated.push(*channel),
            Deed::Put(films) => next.films.extend(
                films.iter().map(|film| (film.id.clone(), Content::checked(film.video(), film.segments()).unwrap())),
            ),
            Deed::Update(film) => {
                let segments = next.films.remove(&film.id).unwrap().segments;
                next.films.insert(film.id.clone(), Content::checked(film.video(), segments).unwrap());
            }
            Deed::Overlay(film) => {
                let Content { mut video, mut segments } = next.films.remove(&film.id).unwrap();
                segments.extend(film.segments());
                let end = segments.iter().map(|segment| segment.span.end).fold(0.0, f64::max);
                video.duration = video.duration.max(end);
                next.films.insert(film.id.clone(), Content::checked(video, segments).unwrap());
            }
            Deed::Delete(ids) => ids.iter().for_each(|id| drop(next.films.remove(id))),
            Deed::Commit | Deed::Compact | Deed::Reopen => {}
        }
        next
    }

    /// A library in memory that was given just this, in one step.
    pub fn library(&self) -> Library {
        let library = Library::in_memory().unwrap();
        if self.has_space {
            library.set_space(Channel::Frame, space()).unwrap();
        }
        for channel in &self.calibrated {
            library.set_calibration(*channel, calibration(*channel)).unwrap();
        }
        if !self.films.is_empty() {
            let films = self.films.values().map(|film| (film.video.clone(), film.segments.clone()));
            library.put(films.collect()).unwrap();
        }
        library
    }
}

/// Does one deed; opens the library if it is not open.
pub fn perform(library: &mut Option<Library>, storage: &Arc<dyn Storage>, deed: &Deed) -> Result<()> {
    if matches!(deed, Deed::Reopen)
        && let Some(mut open) = library.take()
    {
        open.close()?;
    }
    let library = match library {
        Some(library) => library,
        None => library.insert(Library::open_in(Arc::clone(storage), Access::Create)?),
    };
    match deed {
        Deed::SetSpace => library.set_space(Channel::Frame, space()),
        Deed::Calibrate(channel) => library.set_calibration(*channel, calibration(*channel)),
        Deed::Put(films) => library.put(films.iter().map(|film| (film.video(), film.segments())).collect()),
        Deed::Update(film) => library.update(film.video()),
        Deed::Overlay(film) => library.overlay(vec![(id(&film.id), None, film.segments())]),
        Deed::Delete(ids) => library.delete(ids.iter().map(|name| id(name)).collect()),
        Deed::Commit => library.commit().map(drop),
        Deed::Compact => library.compact().map(drop),
        Deed::Reopen => Ok(()),
    }
}

/// Everything that a library holds, by id.
pub fn held(library: &Library) -> Result<BTreeMap<String, Content>> {
    let ids = library.video_ids()?;
    ids.iter().map(|id| Ok((id.to_string(), library.content(id)?))).collect()
}

/// A source of random films, queries and choices that `seed` decides.
pub struct Lot {
    runner: TestRunner,
}

impl Lot {
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self { runner: TestRunner::new_with_rng(Config::default(), rng) }
    }

    pub fn draw<T>(&mut self, strategy: &impl Strategy<Value = T>) -> T {
        strategy.new_tree(&mut self.runner).unwrap().current()
    }

    pub fn rng(&mut self) -> &mut TestRng {
        self.runner.rng()
    }

    fn film(&mut self, name: String) -> Film {
        Film { id: name, ..self.draw(&film()) }
    }

    fn some_id(&mut self, model: &Model) -> Option<String> {
        let count = model.films.len();
        (count > 0).then(|| model.films.keys().nth(self.rng().random_range(0..count)).cloned())?
    }

    /// A deed that `model` allows.
    pub fn deed(&mut self, model: &Model) -> Deed {
        let existing = self.some_id(model);
        match (self.rng().random_range(0..100), existing) {
            (0..40, _) | (_, None) => {
                let count = if self.rng().random_bool(0.1) { 12 } else { self.rng().random_range(1..4) };
                let names: std::collections::BTreeSet<u32> =
                    (0..count).map(|_| self.rng().random_range(0..24)).collect();
                Deed::Put(names.into_iter().map(|name| self.film(format!("film-{name:02}"))).collect())
            }
            (40..52, Some(name)) => Deed::Update(self.film(name)),
            (52..64, Some(name)) => Deed::Overlay(self.film(name)),
            (64..80, Some(name)) => Deed::Delete(vec![name]),
            (80..92, _) => Deed::Commit,
            (92..97, _) => Deed::Compact,
            _ => Deed::Reopen,
        }
    }

    /// The deeds of one workload: a new library, fitted, and `count` more.
    pub fn deeds(&mut self, count: usize) -> Vec<Deed> {
        let mut deeds = vec![Deed::Reopen, Deed::SetSpace, Deed::Calibrate(Channel::Frame)];
        deeds.push(Deed::Calibrate(Channel::Metadata));
        let mut model = deeds.iter().fold(Model::default(), |model, deed| model.after(deed));
        for _ in 0..count {
            let deed = self.deed(&model);
            model = model.after(&deed);
            deeds.push(deed);
        }
        deeds
    }

    /// A few queries that a library with a space can answer.
    pub fn queries(&mut self, count: usize) -> Vec<Query> {
        let mut queries: Vec<Query> = (0..count).map(|_| self.draw(&crate::films::query())).collect();
        queries.push(Query {
            text: [(Channel::Metadata, "solar".to_owned()), (Channel::Speech, "roof ladder".to_owned())].into(),
            vectors: [(Channel::Frame, vec![1.0; DIMENSION])].into(),
            limit: 1000,
            ..Query::default()
        });
        queries
    }
}
