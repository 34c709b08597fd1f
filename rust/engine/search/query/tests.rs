use serde_json::json;

use super::*;
use crate::error::Error;

fn roof() -> Query {
    Query {
        text: [(Channel::Speech, "solar panels".to_owned())].into(),
        vectors: [(Channel::Frame, vec![0.6, 0.8]), (Channel::Speech, vec![1.0, 0.0])].into(),
        ..Query::default()
    }
}

fn refused(query: &Query, field: &str) -> bool {
    matches!(query.validate(), Err(Error::InvalidQuery { detail }) if detail.contains(field))
}

#[test]
fn channels_follow_from_what_is_asked() {
    assert_eq!(roof().requested(), [Channel::Frame, Channel::Speech]);
    assert!(roof().validate().is_ok());
}

#[test]
fn every_wrong_field_is_named() {
    assert!(refused(&Query::default(), "text, vectors"));
    assert!(refused(&Query { channels: vec![Channel::Sound, Channel::Frame, Channel::Speech], ..roof() }, "sound"));
    assert!(refused(&Query { channels: vec![Channel::Frame], ..roof() }, "text: channel speech"));
    assert!(refused(&Query { text: [(Channel::Speech, "  ".to_owned())].into(), ..roof() }, "text: speech"));
    let long = "a".repeat(MAX_TEXT_BYTES + 1);
    assert!(refused(&Query { text: [(Channel::Speech, long)].into(), ..roof() }, "8193 bytes, at most 8192"));
    assert!(refused(&Query { weights: [(Channel::Sound, 1.0)].into(), ..roof() }, "weights: channel sound"));
    assert!(refused(&Query { min_score: Some(1.5), ..roof() }, "min_score"));
    assert!(refused(&Query { min_score: Some(f32::NAN), ..roof() }, "min_score"));
    let clause = |channel, text: &str| Clause { text: [(channel, text.to_owned())].into(), ..Clause::default() };
    assert!(refused(&Query { clauses: vec![clause(Channel::Sound, "rain")], ..roof() }, "channel sound"));
    assert!(refused(&Query { clauses: vec![clause(Channel::Speech, " ")], ..roof() }, "speech is empty"));
    assert!(refused(&Query { clauses: vec![clause(Channel::Speech, "rain"); 17], ..roof() }, "clauses: 17"));
    assert!(refused(&Query { effort: Some(0), ..roof() }, "effort"));
    assert!(refused(&Query { limit: 0, ..roof() }, "limit"));
    assert!(refused(&Query { limit: 1001, ..roof() }, "limit"));
    assert!(refused(&Query { moments_per_hit: 1001, ..roof() }, "moments_per_hit"));
    assert!(Query { moments_per_hit: 0, ..roof() }.validate().is_ok());
    assert!(refused(&Query { facets: Facets::Named(vec![String::new()]), ..roof() }, "facets"));
}

#[test]
fn vectors_without_a_direction_are_refused() {
    for vector in [vec![0.0, 0.0], vec![], vec![1.0, f32::NAN], vec![f32::INFINITY]] {
        let query = Query { vectors: [(Channel::Frame, vector)].into(), ..roof() };
        assert!(matches!(query.validate(), Err(Error::InvalidVector { what, .. }) if what.contains("frame")));
    }
}

#[test]
fn the_same_question_has_the_same_digest() -> Result<()> {
    let digest = Query { filter: json!({"a": 1, "b": [1, 2]}), ..roof() }.digest()?;
    let same = Query {
        filter: json!({"b": [1, 2], "a": 1}),
        channels: vec![Channel::Speech, Channel::Frame, Channel::Speech],
        weights: [(Channel::Frame, 3.0), (Channel::Speech, 3.0)].into(),
        limit: 7,
        cursor: Some("there".to_owned()),
        facets: Facets::All,
        ..roof()
    };
    assert_eq!(same.digest()?, digest);
    Ok(())
}

#[test]
fn every_other_question_has_another_digest() -> Result<()> {
    let others = [
        roof(),
        Query { text: [(Channel::Speech, "solar panel".to_owned())].into(), ..roof() },
        Query { text: BTreeMap::new(), ..roof() },
        Query { vectors: [(Channel::Frame, vec![0.8, 0.6]), (Channel::Speech, vec![1.0, 0.0])].into(), ..roof() },
        Query { weights: [(Channel::Frame, 0.5)].into(), ..roof() },
        Query { filter: json!({"a": 1}), ..roof() },
        Query { filter: json!({"a": [1]}), ..roof() },
        Query { min_score: Some(0.0), ..roof() },
        Query { fusion: Fusion::Max, ..roof() },
        Query { moments_per_hit: 1, ..roof() },
        Query { alike: [Channel::Frame].into(), ..roof() },
        Query { effort: Some(100), ..roof() },
        Query { clauses: vec![Clause { text: roof().text, ..Clause::default() }], ..roof() },
        Query { clauses: vec![Clause { vectors: roof().vectors, ..Clause::default() }], ..roof() },
    ];
    let digests = others.iter().map(Query::digest).collect::<Result<std::collections::HashSet<_>>>()?;
    assert_eq!(digests.len(), others.len());
    Ok(())
}

#[test]
fn queries_are_read_from_json_and_strange_fields_refused() -> Result<(), serde_json::Error> {
    let query: Query = serde_json::from_value(json!({
        "text": {"screen": "exit"}, "fusion": "rrf", "facets": {"named": ["quality"]},
    }))?;
    assert_eq!(query.requested(), [Channel::Screen]);
    assert_eq!((query.fusion, query.limit), (Fusion::ReciprocalRank, 20));
    assert_eq!(query.facets, Facets::Named(vec!["quality".to_owned()]));
    let wrong = serde_json::from_value::<Query>(json!({"text": {"screen": "exit"}, "limmit": 3}));
    assert!(wrong.is_err_and(|error| error.to_string().contains("limmit")));
    Ok(())
}
