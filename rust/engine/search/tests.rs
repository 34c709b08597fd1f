//! An answer that leaves out what can't be returned is that of scoring everything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use half::f16;
use proptest::prelude::*;

use super::calibrate::{Calibration, CosineCurve, Logistic, Saturation};
use super::execute::search_past;
use super::fuse::Fusion;
use super::hit::Relation;
use super::query::{Facets, Query, Total};
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::catalog::video::{Evidence, Segment, Space, Span, Video, VideoId};
use crate::error::Result;
use crate::films::{empty, films, put, query};
use crate::library::Library;
use crate::vector::{GraphMemory, QueryVector, read_ahead};

const DIMENSION: usize = 64;
const VIDEOS: usize = 220;
const ROWS_A_VIDEO: usize = 20;
const CLUSTERS: usize = 40;

fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }
}

/// A direction near one of the clusters.
fn direction(next: &mut impl FnMut() -> f32) -> Vec<f32> {
    let cluster = ((next() + 1.0) / 2.0 * CLUSTERS as f32) as u64;
    let mut centre = noise(1000 + cluster);
    (0..DIMENSION).map(|_| centre() + 0.6 * next()).collect()
}

fn words(next: &mut impl FnMut() -> f32) -> String {
    let word = |next: &mut dyn FnMut() -> f32| format!("word{}", (30.0 * (next() / 2.0 + 0.5).powi(2)) as u32);
    (0..5).map(|_| word(next)).collect::<Vec<_>>().join(" ")
}

/// Shares of what a picture may show, as a classifier gives them: some are likely, none is below zero.
fn shares(next: &mut impl FnMut() -> f32) -> Vec<f32> {
    direction(next).iter().map(|value| (4.0 * value).exp()).collect()
}

/// What is asked of shares: a few, and against all others.
fn of_shares(next: &mut impl FnMut() -> f32) -> Vec<f32> {
    let mut asked = vec![-0.01; DIMENSION];
    for weight in [1.0, 0.5] {
        asked[((next() + 1.0) / 2.0 * DIMENSION as f32) as usize % DIMENSION] = weight;
    }
    asked
}

/// Videos whose rows lie apart, and every third with rows that overlap; enough rows for codes, and for more than one
/// thread. Pictures are shares or directions.
fn library(is_fitted: bool, has_shares: bool) -> Result<Library> {
    library_in(1, is_fitted, has_shares)
}

/// The same videos in so many parts.
fn library_in(part_count: usize, is_fitted: bool, has_shares: bool) -> Result<Library> {
    library_of(VIDEOS, part_count, is_fitted, has_shares)
}

/// So many videos.
fn library_of(count: usize, part_count: usize, is_fitted: bool, has_shares: bool) -> Result<Library> {
    let library = Library::in_memory()?;
    let space = Space { name: "test".to_owned(), version: "1".to_owned(), dimension: DIMENSION as u32 };
    for channel in [Channel::Frame, Channel::Speech] {
        library.set_space(channel, space.clone())?;
    }
    if is_fitted {
        let vector = Some(CosineCurve::Logistic(Logistic { center: 0.6, slope: 9.0, top: 0.9 }));
        let lexical = Some(Saturation { half: 0.5, power: 2.0, top: 0.95 });
        let enough = Calibration { vector, lexical, agreement: 0.3, floor: 0.05, ..Calibration::default() };
        for (channel, sufficient) in [(Channel::Frame, 0.6), (Channel::Speech, 0.5), (Channel::Metadata, 0.7)] {
            library.set_calibration(channel, Calibration { sufficient, ..enough })?;
        }
    }
    let mut next = noise(5);
    let mut films = Vec::new();
    for number in 0..count {
        let length = if number % 3 == 0 { 11.0 } else { 4.0 };
        let mut segments = Vec::new();
        for row in 0..ROWS_A_VIDEO {
            let start = 4.0 * row as f64;
            let mut evidence = |channel, text| {
                let is_shares = has_shares && channel == Channel::Frame;
                let vector = if is_shares { shares(&mut next) } else { direction(&mut next) };
                let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
                let vector = Some(vector.iter().map(|value| f16::from_f32(value / length)).collect());
                Evidence { channel, vector, text, description: None }
            };
            let evidence = vec![evidence(Channel::Frame, None), evidence(Channel::Speech, None)];
            segments.push(Segment { span: Span { start, end: start + length }, evidence });
        }
        for segment in &mut segments {
            segment.evidence[1].text = (next() > -0.5).then(|| words(&mut next));
        }
        let id = VideoId::new(format!("video-{number:04}"))?;
        let video = Video { title: words(&mut next), duration: 90.0, ..Video::named(id) };
        let quality = Some(["hd", "sd"][number % 2].to_owned());
        films.push((Video { tags: vec![format!("tag{}", number % 3)], quality, ..video }, segments));
    }
    for films in films.chunks(count.div_ceil(part_count)) {
        library.put(films.to_vec())?;
    }
    Ok(library)
}

#[test]
fn bounds_from_codes_leave_out_nothing() -> Result<()> {
    for (is_fitted, has_shares) in [(false, false), (true, false), (false, true), (true, true)] {
        let library = library(is_fitted, has_shares)?;
        let snapshot = library.current()?;
        let part = snapshot.parts.first().map(|live| std::sync::Arc::clone(&live.part));
        let apart = part.as_ref().map_or(Ok(0), |part| part.videos_apart().map(RowSet::count))?;
        assert!(apart as usize > VIDEOS / 2 && (apart as usize) < VIDEOS, "{apart}");
        let mut next = noise(77);
        for (number, fusion) in (0..60).zip([Fusion::WeightedSum, Fusion::Probabilistic, Fusion::Max].iter().cycle()) {
            let pictured = if has_shares { of_shares(&mut next) } else { direction(&mut next) };
            let vectors = [(Channel::Frame, pictured), (Channel::Speech, direction(&mut next))];
            let text = [Channel::Speech, Channel::Metadata].map(|channel| (channel, words(&mut next)));
            let query = Query {
                vectors: vectors.into_iter().take(2 - number % 2).collect(),
                text: text.into_iter().skip(usize::from(number % 5 == 0)).collect(),
                fusion: *fusion,
                limit: 3,
                ..Query::default()
            };
            let answer = |exhaustive_rows| search_past(exhaustive_rows, &snapshot, &query, &[7; 32]);
            let (everything, bounded) = (answer(u64::MAX)?, answer(0)?);
            assert_eq!(bounded.hits, everything.hits, "{number}");
            assert_eq!((bounded.total, &bounded.next_cursor), (everything.total, &everything.next_cursor));
            let second = Query { cursor: everything.next_cursor.clone(), ..query.clone() };
            let answer = |exhaustive_rows| search_past(exhaustive_rows, &snapshot, &second, &[7; 32]);
            assert_eq!(answer(0)?.hits, answer(u64::MAX)?.hits);
            let near = Query { effort: Some(4000), ..query };
            let near = search_past(0, &snapshot, &near, &[7; 32])?;
            assert_eq!(near.hits, everything.hits);
        }
    }
    Ok(())
}

/// Where a filter leaves few videos, each is bounded by the codes of the graph alone.
#[test]
fn few_videos_among_many_are_answered_as_if_all_were_scored() -> Result<()> {
    const MANY: usize = 1700;
    for is_fitted in [false, true] {
        let library = library_of(MANY, 1, is_fitted, false)?;
        library.commit()?;
        let (snapshot, mut next) = (library.current()?, noise(47));
        let columns =
            || snapshot.parts.iter().flat_map(|live| [Channel::Frame, Channel::Speech].map(|of| live.part.vectors(of)));
        read_ahead(columns().flatten(), GraphMemory::of_process());
        let query = QueryVector::new("a query", &direction(&mut next))?;
        let has_close_codes =
            || columns().flatten().all(|column| column.estimator(&query).is_ok_and(|of| of.has_close_codes()));
        let begun = Instant::now();
        while !has_close_codes() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no graph is read");
            std::thread::yield_now();
        }
        let mut found = 0;
        for (number, step) in (0..24).zip([30, 45, 90].iter().cycle()) {
            let ids: Vec<String> = (number..MANY).step_by(*step).map(|number| format!("video-{number:04}")).collect();
            let vectors = [Channel::Frame, Channel::Speech].map(|channel| (channel, direction(&mut next)));
            let text = [Channel::Speech, Channel::Metadata].map(|channel| (channel, words(&mut next)));
            let (vectors, text, filter) = (vectors.into(), text.into(), serde_json::json!({ "id": ids }));
            let query = Query { vectors, text, filter, limit: 3, ..Query::default() };
            let [everything, bounded] = [u64::MAX, 0].map(|rows| search_past(rows, &snapshot, &query, &[7; 32]));
            let (everything, bounded) = (everything?, bounded?);
            assert_eq!((&bounded.hits, bounded.total), (&everything.hits, everything.total), "{number}");
            found += everything.hits.len();
        }
        assert!(found > 24, "{found} hits are too few to tell anything");
    }
    Ok(())
}

#[test]
fn of_more_videos_than_go_on_the_likeliest_do() -> Result<()> {
    const LIMIT: u32 = 5;
    let library = library(false, false)?;
    let (snapshot, mut next) = (library.current()?, noise(31));
    let (mut found, mut wanted) = (0, 0);
    for _ in 0..40 {
        let vectors = [Channel::Frame, Channel::Speech].map(|channel| (channel, direction(&mut next)));
        let text = [(Channel::Metadata, words(&mut next))];
        let query = Query { vectors: vectors.into(), text: text.into(), limit: LIMIT, ..Query::default() };
        let exact = search_past(0, &snapshot, &query, &[7; 32])?;
        let near = search_past(0, &snapshot, &Query { effort: Some(20), ..query }, &[7; 32])?;
        wanted += exact.hits.len();
        found += exact.hits.iter().filter(|hit| near.hits.contains(hit)).count();
    }
    assert!(wanted == 40 * LIMIT as usize && found * 100 >= wanted * 95, "{found} of {wanted}");
    Ok(())
}

/// Promises 1 and 3 on a library that is large enough for several threads, and for leaving out what can't be returned.
#[test]
fn neither_threads_nor_parts_nor_what_is_left_out_change_an_answer() -> Result<()> {
    let pools = [1, 3].map(|count| rayon::ThreadPoolBuilder::new().num_threads(count).build().expect("threads"));
    for (is_fitted, has_shares) in [(true, false), (false, true)] {
        let libraries = [library_in(1, is_fitted, has_shares)?, library_in(5, is_fitted, has_shares)?];
        let snapshots = [libraries[0].current()?, libraries[1].current()?];
        assert_eq!(snapshots.each_ref().map(|snapshot| snapshot.parts.len()), [1, 5]);
        let fusions = [Fusion::WeightedSum, Fusion::Probabilistic, Fusion::Max, Fusion::ReciprocalRank];
        let (mut next, mut found) = (noise(91), 0);
        for (number, fusion) in (0..16).zip(fusions.iter().cycle()) {
            let pictured = if has_shares { of_shares(&mut next) } else { direction(&mut next) };
            let vectors = [(Channel::Frame, pictured), (Channel::Speech, direction(&mut next))];
            let text = [Channel::Speech, Channel::Metadata].map(|channel| (channel, words(&mut next)));
            let tags =
                if number % 4 < 2 { serde_json::Value::Null } else { serde_json::json!({"tags": ["tag1", "tag2"]}) };
            let query = Query {
                vectors: vectors.into(),
                text: text.into(),
                fusion: *fusion,
                filter: tags,
                facets: Facets::All,
                min_score: (number % 3 == 0).then_some(0.3),
                ..Query::default()
            };
            let all = search_past(u64::MAX, &snapshots[0], &Query { limit: 1000, ..query.clone() }, &[7; 32])?;
            assert_eq!(all.total, all.hits.len() as u64);
            found += all.hits.len();
            for (snapshot, pool) in snapshots.iter().flat_map(|snapshot| pools.iter().map(move |pool| (snapshot, pool)))
            {
                for (exhaustive_rows, limit) in [(u64::MAX, 1000), (0, 1000), (u64::MAX, 4), (0, 4)] {
                    let query = Query { limit, ..query.clone() };
                    let answer = pool.install(|| search_past(exhaustive_rows, snapshot, &query, &[7; 32]))?;
                    let shown = all.hits.len().min(limit as usize);
                    assert_eq!(Some(&answer.hits[..]), all.hits.get(..shown), "{number} {fusion:?}");
                    assert_eq!((answer.total, &answer.facets), (all.total, &all.facets), "{number} {fusion:?}");
                }
            }
            for (name, of) in [("tags", tag as fn(&Video) -> &str), ("quality", quality)] {
                let mut counted = BTreeMap::new();
                all.hits.iter().for_each(|hit| *counted.entry(of(&hit.video).to_owned()).or_insert(0) += 1);
                assert_eq!(all.facets.get(name), Some(&counted), "{number} {name}");
            }
        }
        assert!(found > 16 * 4, "{found} hits are too few to tell anything");
    }
    Ok(())
}

fn tag(video: &Video) -> &str {
    video.tags.first().map_or("", String::as_str)
}

fn quality(video: &Video) -> &str {
    video.quality.as_deref().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What a large library leaves unscored could not have been returned.
    #[test]
    fn leaving_out_finds_what_scoring_everything_finds(
        all in films(30), fitted: bool, query in query(), limit in 1_u32..40,
    ) {
        let library = empty(fitted);
        for batch in all.chunks(7) {
            put(&library, batch);
        }
        let (snapshot, query) = (library.current()?, Query { limit, ..query });
        let answer = |exhaustive_rows| search_past(exhaustive_rows, &snapshot, &query, &[7; 32]);
        let (everything, left_out) = (answer(u64::MAX)?, answer(0)?);
        prop_assert_eq!(&left_out.hits, &everything.hits);
        prop_assert_eq!(left_out.total, everything.total);
        prop_assert_eq!(&left_out.next_cursor, &everything.next_cursor);
        for total in [Total::Exact, Total::Found] {
            let near = search_past(0, &snapshot, &Query { effort: Some(10_000), total, ..query.clone() }, &[7; 32])?;
            prop_assert_eq!(&near.hits, &everything.hits);
            if near.total_relation == Relation::Exact {
                prop_assert_eq!(near.total, everything.total);
            } else {
                prop_assert!(near.hits.len() as u64 <= near.total);
            }
            prop_assert_eq!(near.next_cursor.is_some(), everything.next_cursor.is_some());
        }
    }
}
