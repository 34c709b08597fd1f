//! What the catalog room promises, over whole tables.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::facets::FacetCounts;
use super::filter::Filter;
use super::row_set::RowSet;
use super::table::VideoTable;
use super::video::{Span, Video, VideoId};
use crate::error::{Error, Result};
use crate::storage::section::{Section, SectionBytes};

fn video(value: Value) -> Video {
    serde_json::from_value(value).unwrap_or_else(|error| unreachable!("{error}"))
}

fn bytes(videos: &[Video], spans: &[Vec<Span>]) -> SectionBytes {
    let none: Vec<Span> = Vec::new();
    let of = |index: usize| spans.get(index).unwrap_or(&none).as_slice();
    let given: Vec<(&Video, &[Span])> = videos.iter().enumerate().map(|(at, video)| (video, of(at))).collect();
    let mut out = SectionBytes::new();
    VideoTable::build(&given, &mut out).unwrap_or_else(|error| unreachable!("{error}"));
    out
}

fn open(bytes: SectionBytes) -> Result<VideoTable> {
    let sections: BTreeMap<String, Section> =
        bytes.into_iter().map(|(name, bytes)| (name, Section::from_vec(bytes))).collect();
    VideoTable::open(&sections)
}

fn table(videos: &[Video], spans: &[Vec<Span>]) -> VideoTable {
    open(bytes(videos, spans)).unwrap_or_else(|error| unreachable!("{error}"))
}

fn films() -> Vec<Video> {
    vec![
        video(
            json!({"id": "roof", "duration": 300.0, "created": "2023-01-01", "quality": "HD", "tags": ["diy", "solar"],
            "creator": {"id": "usr_1"}, "metadata": {"rating": 4.5, "camera": {"model": "X"}, "live": true}}),
        ),
        video(json!({"id": "cat", "duration": 12.3, "created": "2022-12-31T23:30:00-01:00", "quality": "4k",
            "tags": ["diy"], "metadata": {"rating": [1, 9], "langs": ["en", "de"], "live": false}})),
        video(json!({"id": "zebra", "duration": 900.0, "metadata": {"rating": "high", "nothing": null}})),
    ]
}

fn matching(filter: &Value) -> Vec<u32> {
    let parsed = Filter::parse(filter).unwrap_or_else(|error| unreachable!("{error}"));
    let set = parsed.evaluate(&table(&films(), &[])).unwrap_or_else(|error| unreachable!("{error}"));
    set.iter().collect()
}

#[test]
fn filters_in_the_form_of_the_api_select_the_videos_they_describe() {
    for (filter, expected) in [
        (json!({}), vec![0, 1, 2]),
        (json!(null), vec![0, 1, 2]),
        (json!({"duration": {"min": 300, "max": 900}}), vec![0, 2]),
        (json!({"created": {"after": "2023-01-01"}}), vec![0, 1]),
        (json!({"created": {"before": "2023-01-01T00:30:00Z"}}), vec![0]),
        (json!({"quality": ["hd", "8k"]}), vec![0]),
        (json!({"quality": "4K"}), vec![1]),
        (json!({"tags": ["solar", "x"]}), vec![0]),
        (json!({"tags": {"all": ["diy", "solar"]}}), vec![0]),
        (json!({"tags": {"any": "diy"}}), vec![0, 1]),
        (json!({"creator": "usr_1"}), vec![0]),
        (json!({"id": ["zebra", "cat", "", "nobody"]}), vec![1, 2]),
        (json!({"metadata": {"rating": {"min": 4}}}), vec![0, 1]),
        (json!({"metadata": {"rating": [1, "high"]}}), vec![1, 2]),
        (json!({"metadata": {"camera.model": "X", "live": true}}), vec![0]),
        (json!({"metadata": {"langs": "de"}}), vec![1]),
        (json!({"metadata": {"live": {"exists": false}}}), vec![2]),
        (json!({"metadata": {"nothing": {"exists": true}}}), vec![]),
        (json!({"not": {"tags": "diy"}}), vec![2]),
        (json!({"or": [{"id": "cat"}, {"duration": {"min": 900}}]}), vec![1, 2]),
        (json!({"and": [{"tags": "diy"}, {"not": {"id": "cat"}}], "quality": null}), vec![0]),
        (json!({"or": []}), vec![]),
    ] {
        assert_eq!(matching(&filter), expected, "{filter}");
    }
}

/// Ids of posts are such numbers: a search for one of them also found others that differ in the last digits.
#[test]
fn whole_numbers_beyond_those_of_floats_are_compared_exactly() -> Result<()> {
    let film = |id: &str, post: Value| video(json!({"id": id, "metadata": {"post": post}}));
    let films = [
        film("even", json!(9_007_199_254_740_992_u64)),
        film("odd", json!(9_007_199_254_740_993_u64)),
        film("in a list", json!([1, 9_007_199_254_740_993_u64])),
        film("large", json!(u64::MAX)),
        film("low", json!(i64::MIN)),
        film("nested", json!({"id": -9_007_199_254_740_993_i64})),
        film("float", json!(1e300)),
    ];
    for (filter, expected) in [
        (json!({"metadata": {"post": 9_007_199_254_740_993_u64}}), vec![1, 2]),
        (json!({"metadata": {"post": [9_007_199_254_740_992_u64, u64::MAX]}}), vec![0, 3]),
        (json!({"metadata": {"post": u64::MAX - 1}}), vec![]),
        (json!({"metadata": {"post": i64::MIN}}), vec![4]),
        (json!({"metadata": {"post.id": [-9_007_199_254_740_993_i64, "x"]}}), vec![5]),
        (json!({"metadata": {"post": 1e300}}), vec![6]),
    ] {
        let got: Vec<u32> = Filter::parse(&filter)?.evaluate(&table(&films, &[]))?.iter().collect();
        assert_eq!(got, expected, "{filter}");
    }
    Ok(())
}

#[test]
fn a_filter_that_can_not_be_read_names_what_is_wrong() {
    let mut deep = json!({});
    for _ in 0..40 {
        deep = json!({"not": deep});
    }
    for (filter, named) in [
        (json!({"colour": "red"}), "filters.colour"),
        (json!({"or": [{}, {"durations": 1}]}), "filters.or[1].durations"),
        (json!({"duration": {"gte": 1}}), "filters.duration.gte"),
        (json!({"duration": {"min": "1"}}), "filters.duration.min"),
        (json!({"duration": {"min": 2, "max": 1}}), "min 2 is above max 1"),
        (json!({"duration": {}}), "filters.duration"),
        (json!({"created": {"after": "yesterday"}}), "filters.created.after"),
        (json!({"quality": [1]}), "filters.quality"),
        (json!({"tags": {"none": ["x"]}}), "filters.tags.none"),
        (json!({"metadata": {"rating": {"minimum": 1}}}), "filters.metadata.rating.minimum"),
        (json!({"metadata": {"rating": [[1]]}}), "filters.metadata.rating"),
        (json!(["x"]), "expected an object"),
        (deep, "nested deeper"),
        (json!({"id": vec!["x"; 70_000]}), "values"),
        (json!({"or": vec![json!({}); 2000]}), "conditions"),
    ] {
        match Filter::parse(&filter) {
            Err(Error::InvalidFilter { detail }) => assert!(detail.contains(named), "{detail} lacks {named}"),
            other => unreachable!("{other:?} for {named}"),
        }
    }
}

#[test]
fn a_table_gives_back_what_it_was_given() {
    let span = |start: f64| Span { start, end: start + 1.5 };
    let spans = vec![vec![span(0.0), span(1.5)], vec![], vec![span(0.25)]];
    let (videos, table) = (films(), table(&films(), &spans));
    assert_eq!((table.video_count(), table.row_count()), (3, 3));
    for (number, video) in (0..).zip(&videos) {
        assert_eq!(table.video(number).ok().as_ref(), Some(video));
        assert_eq!(table.id(number).ok(), Some(video.id.as_str()));
        assert_eq!(table.find(&video.id).ok(), Some(Some(number)));
    }
    assert_eq!([0, 1, 2].map(|video| table.rows(video).ok()), [Some(0..2), Some(2..2), Some(2..3)]);
    assert_eq!([0, 1, 2].map(|row| table.video_of(row).ok()), [Some(0), Some(0), Some(2)]);
    assert_eq!(table.span(2).ok(), Some(span(0.25)));
    assert_eq!(VideoId::new("nobody").and_then(|id| table.find(&id)).ok(), Some(None));
    assert!(table.video(3).is_err() && table.span(3).is_err() && table.video_of(3).is_err());
    assert_eq!(open(bytes(&[], &[])).map(|table| table.video_count()).ok(), Some(0));
}

#[test]
fn videos_that_can_not_be_stored_are_refused_by_field() {
    let mut nested = json!(1);
    for _ in 0..40 {
        nested = json!([nested]);
    }
    for (value, field) in [
        (json!({"id": "a", "duration": -1.0}), "duration"),
        (json!({"id": "a", "created": "2023-02-30"}), "created"),
        (json!({"id": "a", "tags": [""]}), "tags"),
        (json!({"id": "a", "quality": "x".repeat(2000)}), "quality"),
        (json!({"id": "a", "metadata": {"deep": nested}}), "metadata.deep"),
        (json!({"id": "a", "metadata": {"long": "x".repeat(2_000_000)}}), "metadata"),
    ] {
        match video(value).validate() {
            Err(Error::InvalidVideo { detail, .. }) => assert!(detail.starts_with(field), "{detail}"),
            other => unreachable!("{other:?} for {field}"),
        }
    }
    let mut endless = video(json!({"id": "a"}));
    endless.duration = f64::NAN;
    assert!(endless.validate().is_err());
    assert!(films().iter().all(|film| film.validate().is_ok()));
}

#[test]
fn a_video_twice_and_a_reversed_span_are_refused() {
    let film = video(json!({"id": "a"}));
    let mut out = SectionBytes::new();
    let twice = VideoTable::build(&[(&film, &[]), (&film, &[])], &mut out);
    assert_eq!(twice.map_err(|error| error.code()), Err("invalid_video"));
    for span in [Span { start: 2.0, end: 1.0 }, Span { start: -1.0, end: 1.0 }, Span { start: 0.0, end: f64::NAN }] {
        let reversed = VideoTable::build(&[(&film, &[span])], &mut out);
        assert_eq!(reversed.map_err(|error| error.code()), Err("invalid_span"));
    }
}

#[test]
fn damaged_tables_are_errors_and_never_a_panic() {
    let whole = bytes(&films(), &[vec![Span { start: 0.0, end: 1.0 }; 2], vec![], vec![]]);
    let mut refused = 0;
    for section in 0..whole.len() {
        let len = whole.get(section).map_or(0, |(_, bytes)| bytes.len());
        for at in 0..len {
            for cut in [true, false] {
                let mut damaged = whole.clone();
                if let Some((_, bytes)) = damaged.get_mut(section) {
                    if cut {
                        bytes.truncate(at);
                    } else if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 0xaa;
                    }
                }
                refused += u32::from(touch(damaged).is_err());
            }
        }
    }
    assert!(refused > 500, "{refused}");
}

fn touch(bytes: SectionBytes) -> Result<()> {
    let table = open(bytes)?;
    for video in 0..table.video_count().min(10) {
        table.video(video)?;
        table.rows(video)?;
    }
    for row in 0..table.row_count().min(10) {
        table.span(row)?;
        table.video_of(row)?;
    }
    table.find(&VideoId::new("zebra")?)?;
    Filter::parse(&json!({"tags": "diy", "metadata": {"live": true}}))?.evaluate(&table)?;
    FacetCounts::default().add(&table, &RowSet::full(table.video_count()))
}

prop_compose! {
    fn any_video()(
        duration in prop_oneof![Just(300.0), Just(900.0), 0.0..2000.0_f64],
        created in prop::option::of(0_i64..60),
        quality in prop::option::of("hd|HD|4k"),
        tags in prop::collection::vec("a|b|c", 0..4),
        creator in prop::option::of("u1|u2"),
        live in prop::option::of(any::<bool>()),
    ) -> Value {
        let created = created.map(|year| format!("{}-06-01", 1970 + year));
        json!({"duration": duration, "created": created, "quality": quality, "tags": tags,
            "creator": creator.map(|id| json!({"id": id})), "metadata": {"live": live}})
    }
}

fn any_filter() -> impl Strategy<Value = Value> {
    let bound = || prop::sample::select(vec![0.0, 300.0, 600.0, 900.0]);
    let names = |pattern| prop::collection::vec(pattern, 0..3);
    let leaf = prop_oneof![
        bound().prop_map(|min| json!({"duration": {"min": min}})),
        (bound(), 0.0..900.0_f64).prop_map(|(min, more)| json!({"duration": {"min": min, "max": min + more}})),
        (1970..2030).prop_map(|year| json!({"created": {"after": format!("{year}-01-01")}})),
        names("a|b|c|d").prop_map(|tags| json!({"tags": tags})),
        names("a|b|c").prop_map(|tags| json!({"tags": {"all": tags}})),
        names("hd|4K").prop_map(|qualities| json!({"quality": qualities})),
        "u1|u2|u3".prop_map(|creator| json!({"creator": creator})),
        any::<bool>().prop_map(|live| json!({"metadata": {"live": live}})),
        "u1|u2".prop_map(|creator| json!({"creator": creator, "tags": "a"})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|all| json!({"and": all})),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|any| json!({"or": any})),
            inner.prop_map(|not| json!({"not": not})),
        ]
    })
}

/// Whether a filter selects a video, read field by field.
fn is_selected(filter: &Value, video: &Value) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    let is_tagged = |tag: &Value| list(&video["tags"]).contains(tag);
    let duration = video["duration"].as_f64().unwrap_or_default();
    let of = |(key, asked): (&String, &Value)| match key.as_str() {
        "and" => list(asked).iter().all(|one| is_selected(one, video)),
        "or" => list(asked).iter().any(|one| is_selected(one, video)),
        "not" => !is_selected(asked, video),
        "duration" => {
            asked["min"].as_f64().is_none_or(|min| duration >= min)
                && asked["max"].as_f64().is_none_or(|max| duration <= max)
        }
        "created" => video["created"].as_str().zip(asked["after"].as_str()).is_some_and(|(at, after)| at >= after),
        "tags" if asked.is_object() => list(&asked["all"]).iter().all(is_tagged),
        "tags" => list(asked).iter().any(is_tagged),
        "quality" => {
            let folded = |value: &Value| value.as_str().map(str::to_lowercase);
            let quality = folded(&video["quality"]);
            list(asked).iter().any(|one| quality.is_some() && folded(one) == quality)
        }
        "creator" => video["creator"]["id"] == *asked,
        _ => video["metadata"]["live"] == asked["live"],
    };
    filter.as_object().is_some_and(|fields| fields.iter().all(of))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Single-valued facets sum to the number of videos, a tag counts each video once, and counts over parts are the
    /// counts over the whole.
    #[test]
    fn facets_sum_to_the_number_of_videos_however_parts_are_cut(
        videos in prop::collection::vec((any_video(), any::<bool>()), 0..30), cut in 0_usize..30,
    ) {
        let chosen: Vec<bool> = videos.iter().map(|(_, chosen)| *chosen).collect();
        let films: Vec<Video> = videos.into_iter().enumerate().map(|(at, (mut value, _))| {
            if let Some(fields) = value.as_object_mut() {
                fields.insert("id".to_owned(), json!(format!("v{at}")));
            }
            video(value)
        }).collect();
        let count = |films: &[Video], chosen: &[bool], into: &mut FacetCounts| {
            let mut set = RowSet::empty(films.len() as u32);
            chosen.iter().zip(0..).filter(|(chosen, _)| **chosen).for_each(|(_, video)| set.insert(video));
            assert!(into.add(&table(films, &[]), &set).is_ok());
        };
        let keys = ["live".to_owned()];
        let mut whole = FacetCounts::with_metadata(&keys);
        count(&films, &chosen, &mut whole);
        let cut = cut.min(films.len());
        let mut of_both = FacetCounts::with_metadata(&keys);
        count(films.split_at(cut).0, chosen.split_at(cut).0, &mut of_both);
        count(films.split_at(cut).1, chosen.split_at(cut).1, &mut of_both);
        prop_assert_eq!(&of_both, &whole);
        let total = chosen.iter().filter(|chosen| **chosen).count() as u64;
        prop_assert_eq!(whole.total, total);
        for counts in [&whole.durations, &whole.quality, &whole.created, &whole.creator] {
            prop_assert_eq!(counts.values().sum::<u64>(), total);
        }
        prop_assert!(whole.tags.values().all(|count| *count <= total));
        let by_name = whole.clone().into_map();
        prop_assert_eq!(by_name.get("tags"), Some(&whole.tags));
    }

    /// Any filter selects what reading it video by video selects.
    #[test]
    fn a_filter_selects_what_it_says(videos in prop::collection::vec(any_video(), 0..30), filter in any_filter()) {
        let named = videos.into_iter().enumerate().map(|(at, mut value)| {
            if let Some(fields) = value.as_object_mut() {
                fields.insert("id".to_owned(), json!(format!("v{at}")));
            }
            value
        });
        let named: Vec<Value> = named.collect();
        let films: Vec<Video> = named.iter().cloned().map(video).collect();
        let got: Vec<u32> = Filter::parse(&filter)?.evaluate(&table(&films, &[]))?.iter().collect();
        let all = named.iter().zip(0..);
        let expected: Vec<u32> = all.filter(|(value, _)| is_selected(&filter, value)).map(|(_, at)| at).collect();
        prop_assert_eq!(got, expected, "{}", filter);
    }

    /// However many rows the videos have, and whether rows are asked for one by one or several at once.
    #[test]
    fn a_row_belongs_to_the_video_that_it_was_given_with(
        counts in prop::collection::vec(0_usize..4, 1..20), step in 1_usize..4,
    ) {
        let films: Vec<Video> = (0..counts.len()).map(|at| video(json!({"id": format!("v{at}")}))).collect();
        let spans: Vec<Vec<Span>> = counts.iter().map(|count| vec![Span { start: 1.0, end: 2.0 }; *count]).collect();
        let table = table(&films, &spans);
        let (mut row, mut with_videos) = (0, Vec::new());
        for (video, count) in (0..).zip(&counts) {
            prop_assert_eq!(table.rows(video).ok(), Some(row..row + *count as u32));
            for _ in 0..*count {
                prop_assert_eq!(table.video_of(row).ok(), Some(video));
                with_videos.push((row, video));
                row += 1;
            }
        }
        let some = |rows: &[(u32, u32)]| table.with_videos(rows.iter().step_by(step).map(|(row, _)| *row));
        prop_assert_eq!(some(&with_videos).ok(), Some(with_videos.iter().copied().step_by(step).collect()));
        prop_assert!(table.with_videos([row]).is_err());
        prop_assert_eq!(table.row_count(), row);
    }
}
