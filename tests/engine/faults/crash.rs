//! Power cuts at every step of a random workload, on the disk double of `power`.
//!
//! After each the library opens; holds what was last acknowledged, or that and the one deed in flight, whole; passes
//! `check`; and answers as a library in memory that was given just these videos in one step.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use pixr::Error;
use pixr::library::{Access, Library};
use pixr::search::hit::SearchResult;
use pixr::search::query::Query;
use pixr::storage::seam::Storage;
use proptest::prelude::RngExt;

use super::power::{Fate, Image, Platter, PowerDisk, Step};
use super::tally::{Profile, Tally, caught, first_seed, profile};
use super::workload::{Deed, Lot, Model, held, perform};
use crate::films::{id, prepare, put};
use crate::operations::film;

/// A deed with the steps of the disk before and after it, and what the library holds after it.
struct Done {
    began: usize,
    acknowledged: usize,
    after: Model,
}

/// What the model answers, asked once for each state.
struct Expected {
    contents: BTreeMap<String, pixr::operation::Content>,
    answers: Vec<Result<SearchResult, String>>,
}

fn answers(library: &Library, queries: &[Query]) -> Vec<Result<SearchResult, String>> {
    queries.iter().map(|query| library.search(query).map_err(|error| error.code().to_owned())).collect()
}

impl Expected {
    fn of(model: &Model, queries: &[Query]) -> Self {
        Self { contents: model.films.clone(), answers: answers(&model.library(), queries) }
    }
}

/// Hits and totals, without how long it took and which snapshot it was.
fn same(one: &Result<SearchResult, String>, other: &Result<SearchResult, String>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one.hits == other.hits && one.total == other.total && one.facets == other.facets,
        (Err(one), Err(other)) => one == other,
        _ => false,
    }
}

/// What is wrong with a library that a power cut left: `(kind, story)`.
type Wrong = (&'static str, String);

/// Whether `library` holds one of the `allowed` states and answers like it.
fn compare(library: &Library, allowed: &[&Expected], queries: &[Query]) -> Result<(), Wrong> {
    let report = library.check().map_err(|error| ("lost", format!("check: {error}")))?;
    if !report.damaged.is_empty() {
        return Err(("lost", format!("check: {:?}", report.damaged)));
    }
    let contents = held(library).map_err(|error| ("lost", format!("reading: {error}")))?;
    let Some(state) = allowed.iter().find(|state| state.contents == contents) else {
        let newest = &allowed[allowed.len() - 1].contents;
        let other = newest.iter().find(|(id, content)| contents.get(*id) != Some(content));
        let got = other.map(|(id, _)| contents.get(id));
        return Err(("lost", format!("holds {:?}; of the newest state {other:?} is {got:?}", contents.keys())));
    };
    let got = answers(library, queries);
    // A setting that was in flight leaves the videos and changes the answers, so any allowed state may be the one.
    let fits = |state: &Expected| {
        state.contents == contents && got.iter().zip(&state.answers).all(|(got, expected)| same(got, expected))
    };
    if !allowed.iter().any(|state| fits(state)) {
        let number = got.iter().zip(&state.answers).position(|(got, expected)| !same(got, expected)).unwrap_or(0);
        return Err(("wrong_answers", format!("{:?}\n got {:?}", queries[number], got[number])));
    }
    Ok(())
}

/// Opens what a power cut left, first to read and then to write, and compares.
fn verify(
    storage: &Arc<dyn Storage>,
    allowed: &[&Expected],
    may_be_absent: bool,
    queries: &[Query],
) -> Result<(), Wrong> {
    for access in [Access::Read, Access::Create] {
        match Library::open_in(Arc::clone(storage), access) {
            Ok(library) => compare(&library, allowed, queries)?,
            Err(Error::LibraryNotFound { .. }) if may_be_absent && access == Access::Read => {}
            Err(error) => return Err(("lost", format!("opening ({access:?}): {error}"))),
        }
    }
    Ok(())
}

fn digest(image: &Image, extra: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    (image, extra).hash(&mut hasher);
    hasher.finish()
}

/// Does `deeds` on a fresh double.
fn record(deeds: &[Deed]) -> (Vec<Step>, Vec<Done>) {
    let disk = PowerDisk::default();
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let (mut library, mut model, mut done) = (None, Model::default(), Vec::new());
    for deed in deeds {
        let began = disk.step_count();
        perform(&mut library, &storage, deed).unwrap();
        model = model.after(deed);
        done.push(Done { began, acknowledged: disk.step_count(), after: model.clone() });
    }
    (disk.steps(), done)
}

/// The fates tried at each step.
fn fates(profile: Profile, lot: &mut Lot) -> Vec<Fate> {
    let mut fates = vec![Fate::Lost, Fate::Kept, Fate::NamesOnly, Fate::BytesOnly];
    for block in [512, 4096] {
        fates.extend([Fate::Torn { block }, Fate::Stale { block }]);
    }
    if profile != Profile::Slow {
        // Two of the certain and one of the random ones at each step.
        let (one, other) = (lot.rng().random_range(0..4), lot.rng().random_range(4..8));
        fates = vec![fates[one], fates[other]];
    }
    fates
}

/// Cuts one workload at every step.
fn cut_everywhere(seed: u64, deeds: usize, tally: &mut Tally) {
    let mut lot = Lot::new(seed);
    let (steps, done) = record(&lot.deeds(deeds));
    let queries = lot.queries(3);
    let empty = Expected::of(&Model::default(), &queries);
    let states: Vec<Expected> = done.iter().map(|done| Expected::of(&done.after, &queries)).collect();
    let (mut platter, mut seen) = (Platter::default(), HashSet::new());
    for cut in 0..=steps.len() {
        if cut > 0 {
            platter.take(&steps[cut - 1]);
        }
        tally.add("crash_points", 1);
        let acknowledged = done.iter().take_while(|done| done.acknowledged <= cut).count();
        let mut allowed = vec![if acknowledged == 0 { &empty } else { &states[acknowledged - 1] }];
        allowed.extend(states.get(acknowledged).filter(|_| done[acknowledged].began <= cut));
        let fates = if platter.pending_count() == 0 { vec![Fate::Lost] } else { fates(profile(), &mut lot) };
        for fate in fates {
            let image = platter.after_cut(fate, lot.rng());
            if !seen.insert(digest(&image, acknowledged)) {
                continue;
            }
            tally.add("crash_images", 1);
            let storage: Arc<dyn Storage> = Arc::new(image.to_storage());
            let outcome = caught(|| verify(&storage, &allowed, acknowledged == 0, &queries));
            let told =
                |story: String| format!("seed {seed}, cut after step {cut} of {}, {fate:?}: {story}", steps.len());
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err((kind, story))) => tally.fail(kind, told(story)),
                Err(panic) => tally.fail("panics", told(panic)),
            }
            // Opening writes too: it is cut in its turn.
            if lot.rng().random_bool(if profile() == Profile::Slow { 0.05 } else { 0.02 }) {
                cut_the_opening(&image, &allowed, acknowledged == 0, &queries, &mut lot, tally);
            }
        }
    }
}

/// Cuts, at every step, the opening that follows a power cut.
fn cut_the_opening(
    image: &Image,
    allowed: &[&Expected],
    may_be_absent: bool,
    queries: &[Query],
    lot: &mut Lot,
    tally: &mut Tally,
) {
    let (disk, mut platter) = PowerDisk::over(image);
    let opened = caught(|| Library::open_in(Arc::new(disk.clone()), Access::Create).map(drop));
    if !matches!(opened, Ok(Ok(()))) {
        return; // told by the one who opened it first
    }
    let steps = disk.steps();
    for (cut, step) in steps.iter().enumerate() {
        platter.take(step);
        tally.add("crash_points", 1);
        for fate in fates(Profile::Test, lot) {
            tally.add("crash_images", 1);
            let image = platter.after_cut(fate, lot.rng());
            let storage: Arc<dyn Storage> = Arc::new(image.to_storage());
            let told =
                |story: String| format!("opening cut after step {} of {}, {fate:?}: {story}", cut + 1, steps.len());
            match caught(|| verify(&storage, allowed, may_be_absent, queries)) {
                Ok(Ok(())) => {}
                Ok(Err((kind, story))) => tally.fail(kind, told(story)),
                Err(panic) => tally.fail("panics", told(panic)),
            }
        }
    }
}

#[test]
fn after_a_power_cut_at_any_step_what_was_acknowledged_is_there_and_answers_alike() {
    let (workloads, deeds) = match profile() {
        Profile::Test => (2, 24),
        Profile::Fast => (6, 30),
        Profile::Slow => (24, 60),
    };
    let first = first_seed(1);
    let mut tally = Tally::default();
    for seed in first..first + workloads {
        cut_everywhere(seed, deeds, &mut tally);
    }
    tally.report("crash");
}

/// Removed names were not synced: a power cut after the receipt brought the bytes of deleted videos back.
#[test]
fn what_compact_removed_stays_away_after_a_power_cut() {
    let disk = PowerDisk::default();
    let library = Library::open_in(Arc::new(disk.clone()), Access::Create).unwrap();
    prepare(&library, false);
    put(&library, &[film("kept", "garden"), film("deleted", "solar")]);
    library.commit().unwrap();
    library.delete(vec![id("deleted")]).unwrap();
    library.compact().unwrap();
    let mut platter = Platter::default();
    disk.steps().iter().for_each(|step| platter.take(step));
    let left = platter.after_cut(Fate::Lost, Lot::new(1).rng()).to_storage();
    let count = |dir| left.list(dir).unwrap().len();
    assert_eq!((count("parts"), count("deletes"), count("wal")), (1, 0, 1));
}
