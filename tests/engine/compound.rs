//! Questions related in time: each relation by hand, and the promises over random libraries.

use pixr::Error;
use pixr::catalog::channel::Channel;
use pixr::library::Library;
use pixr::search::hit::{Hit, HitMoment};
use pixr::search::query::{Compound, Except, Operand, Query};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::films::{Film, empty, films, put, query};

fn said(text: &str) -> Query {
    Query { text: [(Channel::Speech, text.to_owned())].into(), ..Query::default() }
}

fn shown(axis: usize) -> Query {
    let mut vector = vec![0.0; crate::films::DIMENSION];
    vector[axis] = 1.0;
    Query { vectors: [(Channel::Frame, vector)].into(), ..Query::default() }
}

fn part(query: Query) -> Operand {
    Operand::Ask(Box::new(query))
}

fn related(compound: Compound) -> Query {
    Query { compound: Some(Box::new(compound)), limit: 1000, ..Query::default() }
}

fn then(first: Query, second: Query, within_seconds: f64) -> Query {
    related(Compound::Then { first: part(first), second: part(second), within_seconds })
}

/// Shots of five seconds, each with a picture along an axis and maybe words.
fn film(id: &str, shots: &[(usize, &str)]) -> Film {
    let segments = shots.iter().enumerate().map(|(at, (axis, text))| {
        let mut vector = vec![0.0; crate::films::DIMENSION];
        vector[*axis] = 1.0;
        let start = 5.0 * at as f64;
        (start, start + 5.0, Some(vector), (!text.is_empty()).then(|| (*text).to_owned()))
    });
    let (title, duration) = (String::new(), 5.0 * shots.len() as f64);
    Film { id: id.to_owned(), title, tags: Vec::new(), duration, segments: segments.collect() }
}

fn library() -> Library {
    let library = empty(true);
    put(
        &library,
        &[
            film("forwards", &[(5, ""), (0, "roof"), (1, "ladder"), (5, ""), (5, ""), (5, "waltz")]),
            film("backwards", &[(1, "ladder"), (0, "roof"), (5, ""), (5, ""), (5, ""), (1, "solar")]),
        ],
    );
    library
}

fn found(library: &Library, query: &Query) -> Vec<(String, f64, f64)> {
    let hits = library.search(query).unwrap().hits;
    let spans = |hit: &Hit| -> Vec<_> {
        hit.moments.iter().map(|moment| (hit.video.id.to_string(), moment.start, moment.end)).collect()
    };
    hits.iter().flat_map(spans).collect()
}

fn sum(moment: &HitMoment) -> f32 {
    moment.matches.iter().map(|one| one.contribution).sum()
}

#[test]
fn then_finds_the_order_and_the_span_of_both() {
    let library = library();
    assert_eq!(found(&library, &then(shown(0), shown(1), 2.0)), [("forwards".to_owned(), 5.0, 15.0)]);
    assert_eq!(found(&library, &then(shown(1), shown(0), 2.0)), [("backwards".to_owned(), 0.0, 10.0)]);
    let far = found(&library, &then(shown(0), shown(1), 15.0));
    assert!(far.contains(&("backwards".to_owned(), 5.0, 30.0)), "{far:?}");
    assert_eq!(found(&library, &then(said("roof"), said("ladder"), 0.0)), [("forwards".to_owned(), 5.0, 15.0)]);
    assert!(found(&library, &then(shown(0), said("courtroom"), 100.0)).is_empty(), "one half is nothing by itself");
}

#[test]
fn a_score_is_the_product_and_every_match_says_which_part_it_answers() {
    let library = library();
    let of = |query: &Query| library.search(query).unwrap().hits[0].score;
    let hits = library.search(&then(shown(0), said("ladder"), 2.0)).unwrap().hits;
    let moment = &hits[0].moments[0];
    assert!((moment.score - of(&shown(0)) * of(&said("ladder"))).abs() < 1e-6);
    assert!((sum(moment) - moment.score).abs() < 1e-6);
    let parts: Vec<_> = moment.matches.iter().map(|one| (one.channel, one.part)).collect();
    assert_eq!(parts, [(Channel::Frame, Some(0)), (Channel::Speech, Some(1))]);
}

#[test]
fn while_finds_what_is_at_once_and_without_what_is_not() {
    let library = library();
    let both = related(Compound::While { first: part(shown(0)), second: part(said("roof")) });
    assert_eq!(found(&library, &both).len(), 2);
    let never = related(Compound::While { first: part(shown(0)), second: part(said("ladder")) });
    assert!(found(&library, &never).is_empty());
    let without = related(Compound::Without { first: part(shown(1)), second: part(said("ladder")) });
    assert_eq!(found(&library, &without), [("backwards".to_owned(), 25.0, 30.0)]);
}

#[test]
fn a_blend_weighs_what_is_wanted_and_takes_off_what_is_not() {
    let library = library();
    let blend = |parts: Vec<(Operand, f32)>| related(Compound::Blend { parts });
    let first = |query: &Query| library.search(query).unwrap().hits[0].clone();
    let plain = first(&blend(vec![(part(shown(1)), 1.0)]));
    assert!((plain.score - first(&shown(1)).score).abs() < 1e-6);
    let less = first(&blend(vec![(part(shown(1)), 1.0), (part(said("ladder")), -1.0)]));
    assert_eq!((less.video.id.as_str(), less.moments[0].start), ("backwards", 25.0), "the one without a ladder");
    let more = first(&blend(vec![(part(shown(1)), 1.0), (part(said("solar")), 0.5)]));
    assert_eq!((more.video.id.as_str(), more.moments[0].start), ("backwards", 25.0));
    let weak = first(&blend(vec![(part(shown(1)), 1.0), (part(said("ladder")), -0.3)]));
    let lost = weak.moments.iter().find(|moment| moment.start < 25.0).map(sum);
    assert!(lost.is_none_or(|sum| sum < plain.score));
}

#[test]
fn a_part_may_be_related_once_more_and_not_twice() {
    let library = library();
    let inner = |first: Operand| Operand::Compound(Box::new(Compound::While { first, second: part(said("roof")) }));
    let once = Compound::Then { first: inner(part(shown(0))), second: part(said("ladder")), within_seconds: 1.0 };
    let hits = library.search(&related(once)).unwrap().hits;
    assert_eq!((hits.len(), hits[0].video.id.as_str()), (1, "forwards"));
    assert!((sum(&hits[0].moments[0]) - hits[0].score).abs() < 1e-6);
    let twice = Compound::While { first: inner(inner(part(shown(0)))), second: part(said("ladder")) };
    assert!(
        matches!(library.search(&related(twice)), Err(Error::InvalidQuery { detail }) if detail.contains("not twice"))
    );
}

#[test]
fn a_compound_without_meaning_is_refused() {
    let library = library();
    let refused = |query: &Query, word: &str| matches!(library.search(query), Err(Error::InvalidQuery { detail }) if detail.contains(word));
    assert!(refused(&then(shown(0), shown(1), -1.0), "within_seconds"));
    assert!(refused(&then(shown(0), Query { limit: 3, ..shown(1) }, 1.0), "no more"));
    assert!(refused(&then(Query::default(), shown(1), 1.0), "asks for nothing"));
    assert!(refused(&Query { text: said("roof").text, ..then(shown(0), shown(1), 1.0) }, "compound"));
    for weight in [0.0, f32::NAN, -1.0, -2.0] {
        assert!(refused(&related(Compound::Blend { parts: vec![(part(shown(0)), weight)] }), "weight"), "{weight}");
    }
    assert!(refused(&related(Compound::Blend { parts: Vec::new() }), "0 parts"));
}

#[test]
fn only_what_happens_between_two_instants_counts() {
    let library = library();
    let ladder = said("ladder");
    assert_eq!(found(&library, &Query { between: Some([8.0, 30.0]), ..ladder.clone() }).len(), 1);
    assert!(found(&library, &Query { between: Some([15.0, 30.0]), ..ladder.clone() }).is_empty());
    let inside = found(&library, &Query { between: Some([12.0, 14.0]), ..ladder.clone() });
    assert_eq!(inside, [("forwards".to_owned(), 12.0, 14.0)]);
    let backwards = Query { between: Some([5.0, 1.0]), ..ladder };
    assert!(matches!(library.search(&backwards), Err(Error::InvalidQuery { detail }) if detail.contains("between")));
}

#[test]
fn more_like_a_moment_leaves_that_moment_out() {
    let library = library();
    let except = Some(Except { video: "forwards".to_owned(), start: 5.0, end: 10.0 });
    let spans = found(&library, &Query { except, ..shown(0) });
    assert_eq!(spans, [("backwards".to_owned(), 5.0, 10.0)]);
}

#[test]
fn diversity_leaves_out_moments_of_one_scene() {
    let library = empty(true);
    let shots = [(0, "roof"), (5, ""), (0, "roof"), (5, ""), (1, "roof")];
    put(&library, &[film("same", &shots)]);
    let all = Query { moments_per_hit: 10, ..said("roof") };
    assert_eq!(found(&library, &all).len(), 3);
    assert_eq!(found(&library, &Query { diversity: Some(0.05), ..all.clone() }).len(), 2, "one scene is shown twice");
    assert_eq!(found(&library, &Query { diversity: Some(1.0), ..all }).len(), 1);
}

fn compounds() -> impl Strategy<Value = Compound> {
    let ask = query().prop_map(|query| {
        let own = Query { text: query.text, vectors: query.vectors, ..Query::default() };
        Operand::Ask(Box::new(Query { clauses: query.clauses, alike: query.alike, weights: query.weights, ..own }))
    });
    let relate = |first: BoxedStrategy<Operand>, second: BoxedStrategy<Operand>| {
        (first, second, 0_u8..4, 0_u8..20).prop_map(|(first, second, relation, within)| match relation {
            0 => Compound::Then { first, second, within_seconds: f64::from(within) },
            1 => Compound::While { first, second },
            2 => Compound::Without { first, second },
            _ => Compound::Blend { parts: vec![(first, 1.0), (second, f32::from(within) / 10.0 - 0.95)] },
        })
    };
    let ask = ask.boxed();
    let inner = relate(ask.clone(), ask.clone()).prop_map(|compound| Operand::Compound(Box::new(compound)));
    let side = prop_oneof![2 => ask.clone(), 1 => inner].boxed();
    relate(side, ask)
}

fn hits(library: &Library, query: &Query) -> Result<Vec<Hit>, TestCaseError> {
    library.search(query).map(|answer| answer.hits).map_err(|error| TestCaseError::fail(format!("{error}")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("PIXR_SLOW_TESTS").is_some() { 2000 } else { 64 }))]

    #[test]
    fn what_is_promised_of_queries_is_promised_of_compounds(
        all in films(12), fitted: bool, compound in compounds(), limit in 1_u32..5, tenths in prop::option::of(0_u8..6),
    ) {
        let whole = empty(fitted);
        put(&whole, &all);
        let split = empty(fitted);
        for films in all.chunks(3) {
            put(&split, films);
            split.commit().unwrap();
        }
        let query = Query { min_score: tenths.map(|tenths| f32::from(tenths) / 10.0), ..related(compound) };
        let full = hits(&whole, &query)?;
        prop_assert_eq!(&full, &hits(&split, &query)?, "the parts that a library is cut into change nothing");
        for hit in &full {
            prop_assert!(hit.score >= query.min_score.unwrap_or(0.0) && !hit.moments.is_empty());
            prop_assert_eq!(hit.score, hit.moments[0].score);
            for moment in &hit.moments {
                prop_assert!((sum(moment) - moment.score).abs() < 1e-5, "{} {}", sum(moment), moment.score);
                prop_assert!(moment.start <= moment.peak && moment.peak <= moment.end.max(moment.start));
            }
        }
        let (mut pages, mut cursor) = (Vec::new(), None);
        loop {
            let page = whole.search(&Query { limit, cursor, ..query.clone() }).map_err(|error| TestCaseError::fail(format!("{error}")))?;
            prop_assert_eq!(page.total as usize, full.len());
            pages.extend(page.hits);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        prop_assert_eq!(pages, full);
    }
}
