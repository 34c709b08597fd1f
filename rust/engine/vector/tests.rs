//! The column as its users see it, compared with `flat`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use half::f16;
use proptest::prelude::*;

use super::*;
use crate::catalog::row_set::RowSet;
use crate::error::{Error, Result};
use crate::storage::section::{Section, SectionBytes, block_checksums};

const DIMENSION: usize = 96;

/// Directions around forty centres, the same for every seed: closer to what embeddings look like than plain noise.
pub(super) fn clustered(count: usize, dimension: usize, seed: u64) -> Vec<f32> {
    let noise = |seed: u64| {
        let mut state = seed | 1;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        }
    };
    let centres: Vec<f32> = std::iter::repeat_with(noise(99)).take(40 * dimension).collect();
    let mut next = noise(seed);
    let mut vectors = Vec::with_capacity(count * dimension);
    for _ in 0..count {
        let cluster = ((next() + 1.0) * 19.99) as usize;
        let spread = 0.2 + 0.6 * (next() + 1.0);
        vectors.extend(centres.iter().skip(cluster * dimension).take(dimension).map(|c| c + 0.3 + spread * next()));
    }
    vectors
}

pub(super) fn halves(vectors: &[f32], dimension: usize) -> Result<Vec<f16>> {
    Ok(vectors.chunks(dimension).map(|vector| normalise("test", vector)).collect::<Result<Vec<_>>>()?.concat())
}

fn column_of(dimension: usize, rows: &[u32], vectors: &[f32]) -> Result<VectorColumn> {
    let mut out = SectionBytes::new();
    VectorColumn::build("frame", dimension, rows, &halves(vectors, dimension)?, Index::Graph, &mut out)?;
    Ok(VectorColumn::open("frame", &sections(out))?.expect("the column was just built"))
}

pub(super) fn sections(bytes: SectionBytes) -> BTreeMap<String, Section> {
    bytes.into_iter().map(|(name, bytes)| (name, Section::from_vec(bytes))).collect()
}

/// 6,000 rows: codes, several rounds, a last block that is not full.
fn coded(rows: &[u32]) -> Result<VectorColumn> {
    column_of(DIMENSION, rows, &clustered(rows.len(), DIMENSION, 3))
}

fn queries(count: usize) -> Vec<QueryVector> {
    let components = clustered(count, DIMENSION, 77);
    components.chunks(DIMENSION).map(|q| QueryVector::new("query", q).expect("not zero")).collect()
}

#[test]
fn top_k_equals_the_plain_scan() -> Result<()> {
    let dense: Vec<u32> = (100..6105).collect();
    let sparse: Vec<u32> = (0..6005).map(|i| i * 3 + i % 2).collect();
    for rows in [dense, sparse] {
        let column = coded(&rows)?;
        for query in queries(4) {
            for k in [0, 1, 10, 100, 5000, 10_000] {
                assert_eq!(column.top_k(&query, k, None)?, column.flat_top_k(&query, k, None)?);
            }
        }
    }
    Ok(())
}

#[test]
fn codes_spare_most_rows() -> Result<()> {
    let column = column_of(384, &(0..6000).collect::<Vec<_>>(), &clustered(6000, 384, 3))?;
    let query = QueryVector::new("query", &clustered(1, 384, 77))?;
    let (found, work) = column.top_k_with_work(&query, 5, None)?;
    assert_eq!(found.len(), 5);
    assert_eq!(work.coded_rows, 6000);
    assert!(work.scored_rows < 1500, "{work:?}");
    Ok(())
}

#[test]
fn at_least_equals_the_plain_scan_at_every_floor() -> Result<()> {
    let column = coded(&(0..6005).collect::<Vec<_>>())?;
    for query in queries(3) {
        for floor in [-2.0, 0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 2.0] {
            assert_eq!(column.at_least(&query, floor, None)?, column.flat_at_least(&query, floor, None)?);
        }
    }
    Ok(())
}

#[test]
fn filters_of_any_selectivity_lose_nothing() -> Result<()> {
    for rows in [(7..6012).collect::<Vec<_>>(), (0..6005).map(|i| i * 2).collect()] {
        let column = coded(&rows)?;
        for stride in [1, 2, 7, 30, 300, 5000] {
            let mut allowed = RowSet::empty(13_000);
            (0..13_000).step_by(stride).for_each(|row| allowed.insert(row));
            allowed.insert_range(3000..3100);
            for query in queries(2) {
                let truth = column.flat_top_k(&query, 20, Some(&allowed))?;
                assert!(truth.iter().all(|&(row, _)| allowed.contains(row)));
                assert_eq!(column.top_k(&query, 20, Some(&allowed))?, truth);
                let truth = column.flat_at_least(&query, 0.6, Some(&allowed))?;
                assert_eq!(column.at_least(&query, 0.6, Some(&allowed))?, truth);
            }
        }
    }
    Ok(())
}

#[test]
fn answers_do_not_depend_on_threads() -> Result<()> {
    let rows: Vec<u32> = (0..38_000).collect();
    let vectors = clustered(rows.len(), 64, 5);
    let pools = [1, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads"));
    let query = QueryVector::new("query", &clustered(1, 64, 6))?;
    let mut answers = Vec::new();
    for pool in &pools {
        answers.push(pool.install(|| -> Result<_> {
            let mut bytes = SectionBytes::new();
            VectorColumn::build("frame", 64, &rows, &halves(&vectors, 64)?, Index::Graph, &mut bytes)?;
            let column = VectorColumn::open("frame", &sections(bytes.clone()))?.expect("built");
            Ok((bytes, column.top_k_with_work(&query, 10, None)?, column.at_least_with_work(&query, 0.7, None)?))
        })?);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    Ok(())
}

#[test]
fn a_score_does_not_depend_on_where_the_vector_lies() -> Result<()> {
    let vectors = clustered(3000, DIMENSION, 11);
    let query = &queries(1)[0];
    let whole = column_of(DIMENSION, &(0..3000).collect::<Vec<_>>(), &vectors)?;
    let alone = column_of(DIMENSION, &[9], &vectors[1234 * DIMENSION..][..DIMENSION])?;
    let mut scores = Vec::new();
    alone.score_rows(query, 0..10, &mut scores)?;
    whole.score_rows(query, 1234..1235, &mut scores)?;
    scores.extend(whole.top_k(query, 3000, None)?.into_iter().filter(|&(row, _)| row == 1234));
    assert_eq!(scores.iter().map(|&(row, _)| row).collect::<Vec<_>>(), [9, 1234, 1234]);
    assert!(scores.iter().all(|&(_, score)| score.to_bits() == scores[0].1.to_bits()));
    Ok(())
}

#[test]
fn equal_scores_are_ordered_by_row() -> Result<()> {
    let vectors = clustered(1, DIMENSION, 2).repeat(2500);
    let column = column_of(DIMENSION, &(0..2500).collect::<Vec<_>>(), &vectors)?;
    for query in queries(2) {
        let rows: Vec<u32> = column.top_k(&query, 4, None)?.into_iter().map(|(row, _)| row).collect();
        assert_eq!(rows, [0, 1, 2, 3]);
        assert_eq!(column.at_least(&query, -1.5, None)?.len(), 2500);
    }
    Ok(())
}

#[test]
fn a_small_or_narrow_column_has_no_codes_and_answers() -> Result<()> {
    for (dimension, count) in [(DIMENSION, 50), (3, 3000)] {
        let rows: Vec<u32> = (0..count).collect();
        let column = column_of(dimension, &rows, &clustered(rows.len(), dimension, 4))?;
        let query = QueryVector::new("query", &clustered(1, dimension, 8))?;
        assert_eq!(column.reach_count(&query, 0.0)?, None);
        assert_eq!(column.top_k(&query, 5, None)?, column.flat_top_k(&query, 5, None)?);
        assert_eq!(column.at_least(&query, 0.9, None)?, column.flat_at_least(&query, 0.9, None)?);
    }
    Ok(())
}

#[test]
fn stored_vectors_come_back() -> Result<()> {
    let vectors = clustered(4, 5, 1);
    let column = column_of(5, &[2, 3, 8, 13], &vectors)?;
    assert_eq!(column.vector(8)?, Some(normalise("row", &vectors[10..15])?));
    assert_eq!(column.vector(4)?, None);
    assert_eq!(column.rows()?.iter().collect::<Vec<_>>(), [2, 3, 8, 13]);
    let mut scores = Vec::new();
    column.score_rows(&QueryVector::new("query", &[1.0; 5])?, 3..13, &mut scores)?;
    assert_eq!(scores.iter().map(|&(row, _)| row).collect::<Vec<_>>(), [3, 8]);
    Ok(())
}

#[test]
fn a_query_of_another_dimension_is_refused() -> Result<()> {
    let column = column_of(5, &[0], &[1.0; 5])?;
    match column.top_k(&QueryVector::new("query", &[1.0; 4])?, 1, None) {
        Err(Error::DimensionMismatch { expected: 5, got: 4, .. }) => Ok(()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_rows_make_no_column() -> Result<()> {
    let mut out = SectionBytes::new();
    VectorColumn::build("frame", 4, &[], &[], Index::Graph, &mut out)?;
    assert!(out.is_empty());
    assert!(VectorColumn::open("frame", &sections(out))?.is_none());
    Ok(())
}

#[test]
fn a_cut_or_missing_section_is_damage() -> Result<()> {
    let rows: Vec<u32> = (0..2100).map(|i| i * 2).collect();
    let mut built = SectionBytes::new();
    VectorColumn::build("frame", 64, &rows, &halves(&clustered(2100, 64, 1), 64)?, Index::Graph, &mut built)?;
    assert_eq!(built.len(), 4);
    for index in 0..built.len() {
        let mut cut = built.clone();
        cut[index].1.pop();
        assert!(matches!(VectorColumn::open("frame", &sections(cut)), Err(Error::Damaged { .. })), "{index}");
        let mut missing = built.clone();
        let (name, _) = missing.remove(index);
        match VectorColumn::open("frame", &sections(missing)) {
            Ok(None) => assert_eq!(name, "frame.head"),
            Err(Error::Damaged { detail, .. }) => assert!(detail.contains(&name), "{detail}"),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

#[test]
fn a_flipped_byte_is_an_error_when_it_is_touched() -> Result<()> {
    let rows: Vec<u32> = (0..2100).map(|i| i * 2).collect();
    let mut built = SectionBytes::new();
    VectorColumn::build("frame", 64, &rows, &halves(&clustered(2100, 64, 1), 64)?, Index::Graph, &mut built)?;
    let query = QueryVector::new("query", &clustered(1, 64, 2))?;
    for damaged in 0..built.len() {
        let mut sections = BTreeMap::new();
        for (index, (name, bytes)) in built.iter().enumerate() {
            let (checks, mut bytes, len) = (block_checksums(bytes), bytes.clone(), bytes.len());
            bytes[len / 2] ^= u8::from(index == damaged);
            let section = Section::checked(Arc::new(bytes), 0..len, checks, Path::new("part"), name)?;
            sections.insert(name.clone(), section);
        }
        let answer = VectorColumn::open("frame", &sections).and_then(|column| match column {
            Some(column) => column.flat_top_k(&query, 1, None).and(column.top_k(&query, 1, None)),
            None => Ok(Vec::new()),
        });
        assert!(matches!(answer, Err(Error::Damaged { .. })), "section {damaged} gave {answer:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn top_k_equals_the_plain_scan_at_every_dimension(dimension in 1_usize..=4096, odd in 0_usize..70, seed: u64) {
        let count = column::FEWEST_CODED_ROWS + odd;
        let rows: Vec<u32> = (0..count as u32).collect();
        let column = column_of(dimension, &rows, &clustered(count, dimension, seed))?;
        let query = QueryVector::new("query", &clustered(1, dimension, seed ^ 1))?;
        prop_assert_eq!(column.reach_count(&query, 0.0)?.is_some(), dimension >= column::LOWEST_CODED_DIMENSION);
        prop_assert_eq!(column.top_k(&query, 7, None)?, column.flat_top_k(&query, 7, None)?);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_head_of_any_bytes_opens_or_is_refused(fields in prop::array::uniform6(0_u32..5), rest: [u8; 40]) {
        let mut bytes = SectionBytes::new();
        let mut head: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        head.extend(rest);
        bytes.push(("frame.head".into(), head));
        bytes.push(("frame.rows".into(), vec![0; 8]));
        bytes.push(("frame.f16".into(), vec![0; 8]));
        bytes.push(("frame.codes".into(), vec![0; 384]));
        if let Ok(Some(column)) = VectorColumn::open("frame", &sections(bytes)) {
            let query = QueryVector::new("query", &vec![1.0; column.dimension()])?;
            let _ = column.top_k(&query, 1, None);
            let _ = column.at_least(&query, 0.0, None);
            let _ = column.vector(1);
        }
    }
}
