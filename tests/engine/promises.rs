//! The promises that quantify over libraries and queries, each a property.

use std::collections::{BTreeMap, BTreeSet};

use pixr::catalog::channel::Channel;
use pixr::library::Library;
use pixr::search::hit::{Hit, SearchResult};
use pixr::search::query::{Facets, Query};
use pixr::{Error, search};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::films::{Film, empty, film, films, put, query};

fn answer(library: &Library, query: &Query) -> Result<SearchResult, TestCaseError> {
    library.search(query).map_err(|error| TestCaseError::fail(format!("{error}")))
}

fn cases() -> ProptestConfig {
    let slow = std::env::var_os("PIXR_SLOW_TESTS").is_some();
    ProptestConfig { cases: if slow { 2000 } else { 48 }, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    /// Promise 1: however the videos are split into parts, and whatever was deleted or replaced on the way, the hits are
    /// the same to the last bit.
    #[test]
    fn any_split_into_parts_gives_the_same_hits(
        all in films(14),
        gone in prop::collection::vec(film(), 0..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        fitted: bool,
        query in query(),
    ) {
        let whole = empty(fitted);
        put(&whole, &all);
        let split = empty(fitted);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len() + 1)).collect();
        places.extend([0, all.len()]);
        places.sort_unstable();
        for (number, pair) in places.windows(2).enumerate() {
            let doomed: Vec<Film> =
                gone.iter().enumerate().map(|(at, film)| Film { id: format!("gone-{at}"), ..film.clone() }).collect();
            put(&split, &doomed);
            // A first version of each video, replaced below.
            let early: Vec<Film> = all[pair[0]..pair[1]]
                .iter()
                .zip(gone.iter().cycle())
                .map(|(film, other)| Film { id: film.id.clone(), ..other.clone() })
                .collect();
            put(&split, &early);
            put(&split, &all[pair[0]..pair[1]]);
            if number % 2 == 0 {
                split.commit().unwrap();
            }
        }
        if !gone.is_empty() {
            let ids = (0..gone.len()).map(|at| crate::films::id(&format!("gone-{at}"))).collect();
            split.delete(ids).unwrap();
        }
        let (one, other) = (answer(&whole, &query)?, answer(&split, &query)?);
        prop_assert_eq!(&one.hits, &other.hits);
        prop_assert_eq!(one.total, other.total);
        split.compact().unwrap();
        prop_assert_eq!(&one.hits, &answer(&split, &query)?.hits);
    }

    /// Promise 1: limit, facets and filters change which hits are shown, never a score.
    #[test]
    fn scores_do_not_depend_on_limit_or_filter(all in films(14), fitted: bool, query in query(), limit in 1_u32..6) {
        let library = empty(fitted);
        put(&library, &all);
        let full = answer(&library, &query)?;
        let short = answer(&library, &Query { limit, ..query.clone() })?;
        prop_assert_eq!(&full.hits[..full.hits.len().min(limit as usize)], &short.hits);
        prop_assert_eq!(full.total, short.total);
        let filtered = answer(&library, &Query { filter: serde_json::json!({"tags": ["diy"]}), ..query })?;
        let expected: Vec<&Hit> =
            full.hits.iter().filter(|hit| hit.video.tags.iter().any(|tag| tag == "diy")).collect();
        prop_assert_eq!(filtered.hits.iter().collect::<Vec<_>>(), expected);
    }

    /// Promise 1: hits come in a total order.
    #[test]
    fn hits_come_by_score_then_id(all in films(14), fitted: bool, query in query()) {
        let library = empty(fitted);
        put(&library, &all);
        let hits = answer(&library, &query)?.hits;
        for pair in hits.windows(2) {
            let order = pair[1].score.total_cmp(&pair[0].score).then_with(|| pair[0].video.id.cmp(&pair[1].video.id));
            prop_assert!(order.is_lt(), "{} {} before {} {}", pair[0].score, pair[0].video.id, pair[1].score, pair[1].video.id);
        }
    }

    /// Promise 2: contributions add up to the score, of every moment of every hit.
    #[test]
    fn contributions_add_up_to_the_score(all in films(14), fitted: bool, query in query()) {
        let library = empty(fitted);
        put(&library, &all);
        for hit in answer(&library, &query)?.hits {
            prop_assert_eq!(hit.moments.first().map(|moment| moment.score), Some(hit.score));
            for moment in &hit.moments {
                let sum: f32 = moment.matches.iter().map(|one| one.contribution).sum();
                prop_assert!((sum - moment.score).abs() < 1e-5, "{sum} is not {}", moment.score);
                prop_assert!(moment.start <= moment.peak && moment.peak <= moment.end);
                for one in &moment.matches {
                    prop_assert!(one.confidence > 0.0 && one.confidence <= 1.0 && one.weight > 0.0);
                    prop_assert!(one.cosine.is_some() || one.lexical.is_some());
                }
            }
        }
    }

    /// Promise 3: total and facets count the videos that the query returns without a limit, also where it has one.
    #[test]
    fn facets_count_what_is_returned_without_a_limit(
        all in films(20), fitted: bool, query in query(), filtered: bool, limit in 1_u32..6,
    ) {
        let library = empty(fitted);
        put(&library, &all);
        let filter = if filtered { serde_json::json!({"tags": ["diy", "music"]}) } else { query.filter.clone() };
        let query = Query { facets: Facets::All, filter, ..query };
        let result = answer(&library, &query)?;
        prop_assert_eq!(result.total, result.hits.len() as u64);
        for name in ["durations", "quality", "created", "creator"] {
            prop_assert_eq!(result.facets[name].values().sum::<u64>(), result.total, "{}", name);
        }
        let (mut qualities, mut tags) = (BTreeMap::new(), BTreeMap::new());
        for hit in &result.hits {
            *qualities.entry(hit.video.quality.clone().unwrap_or_default()).or_insert(0) += 1;
            for tag in hit.video.tags.iter().collect::<BTreeSet<_>>() {
                *tags.entry(tag.clone()).or_insert(0) += 1;
            }
        }
        prop_assert_eq!(&result.facets["quality"], &qualities);
        prop_assert_eq!(&result.facets["tags"], &tags);
        let short = answer(&library, &Query { limit, ..query })?;
        prop_assert_eq!((short.total, short.facets), (result.total, result.facets));
    }

    /// Promise 4: the union of pages is the full list of the snapshot that the first page saw, whatever is written
    /// between pages.
    #[test]
    fn pages_union_to_the_full_list_under_writes(
        all in films(20),
        later in prop::collection::vec(film(), 1..6),
        fitted: bool,
        query in query(),
        limit in 1_u32..5,
    ) {
        let library = empty(fitted);
        put(&library, &all);
        let full = answer(&library, &query)?;
        let mut seen = Vec::new();
        let mut cursor = None;
        for (number, film) in later.iter().cycle().enumerate() {
            let page = answer(&library, &Query { limit, cursor: cursor.clone(), ..query.clone() })?;
            prop_assert_eq!(page.total, full.total);
            seen.extend(page.hits);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
            match number % 3 {
                0 => put(&library, &[Film { id: format!("later-{number}"), ..film.clone() }]),
                1 => library.delete(vec![seen[0].video.id.clone()]).or_else(|error| match error {
                    Error::VideoNotFound { .. } => Ok(()),
                    other => Err(other),
                }).unwrap(),
                _ => drop(library.compact().unwrap()),
            }
        }
        prop_assert_eq!(seen, full.hits);
    }

    /// Promise 5: under a filter, hits are those of a library that holds nothing but the allowed videos, but for the word
    /// statistics, which are the whole library's.
    #[test]
    fn a_filter_does_not_cost_recall(all in films(20), fitted: bool, query in query()) {
        let mut query = query;
        query.text.clear();
        query.clauses.iter_mut().for_each(|clause| clause.text.clear());
        query.vectors.entry(Channel::Frame).or_insert_with(|| vec![1.0; crate::films::DIMENSION]);
        if query.fusion == search::fuse::Fusion::ReciprocalRank {
            query.fusion = search::fuse::Fusion::Probabilistic;
        }
        query.weights.clear();
        let (library, only) = (empty(fitted), empty(fitted));
        put(&library, &all);
        put(&only, &all.iter().filter(|film| film.duration > 50.0).cloned().collect::<Vec<_>>());
        let filter = serde_json::json!({"quality": "hd"});
        prop_assert_eq!(answer(&library, &Query { filter, ..query.clone() })?.hits, answer(&only, &query)?.hits);
    }

    /// Promise 6: what a write returned from is found by the next search, by its title, words and picture; what was
    /// deleted is not.
    #[test]
    fn what_was_written_is_found_at_once(all in films(8), fitted: bool) {
        let library = empty(fitted);
        let picture: Vec<f32> = (1..=crate::films::DIMENSION).map(|value| value as f32).collect();
        let asks = [
            Query { text: [(Channel::Metadata, "zeppelin".to_owned())].into(), ..Query::default() },
            Query { text: [(Channel::Speech, "airship".to_owned())].into(), ..Query::default() },
            Query { vectors: [(Channel::Frame, picture.clone())].into(), ..Query::default() },
        ];
        for film in &all {
            let mut segments = film.segments.clone();
            segments.push((90.0, 95.0, Some(picture.clone()), Some("an airship".to_owned())));
            let film = Film { title: "zeppelin".to_owned(), segments, ..film.clone() };
            put(&library, std::slice::from_ref(&film));
            for query in &asks {
                let hits = answer(&library, query)?.hits;
                prop_assert_eq!(hits.iter().map(|hit| hit.video.id.as_str()).collect::<Vec<_>>(), [film.id.as_str()]);
            }
            library.delete(vec![crate::films::id(&film.id)]).unwrap();
            for query in &asks {
                prop_assert!(answer(&library, query)?.hits.is_empty());
            }
        }
    }
}

/// Promise 9: a calibrated query about nothing in the library returns nothing.
#[test]
fn a_query_about_nothing_in_the_library_returns_nothing() {
    let library = empty(true);
    let film = Film {
        id: "a".to_owned(),
        title: "garden".to_owned(),
        tags: Vec::new(),
        duration: 20.0,
        segments: vec![(0.0, 5.0, Some(vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0]), Some("solar panel".to_owned()))],
    };
    put(&library, &[film]);
    let mut query = Query::default();
    query.vectors.insert(Channel::Frame, vec![0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    query.text.insert(Channel::Speech, "quarterly tax return".to_owned());
    let result = library.search(&query).unwrap();
    assert_eq!((result.hits.len(), result.total), (0, 0));
    query.vectors.insert(Channel::Frame, vec![1.0, 0.1, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(library.search(&query).unwrap().total, 1);
}
