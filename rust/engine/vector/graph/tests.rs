use std::collections::BTreeSet;

use proptest::prelude::*;

use super::nibbles::STANDARD_ERROR;
use super::*;
use crate::catalog::row_set::RowSet;
use crate::error::Error;
use crate::storage::section::SectionBytes;
use crate::vector::tests::{clustered, halves, sections};
use crate::vector::{Closeness, Index, Path, QueryVector, VectorColumn};

const DIMENSION: usize = 64;
/// Enough for a graph.
const ROWS: u32 = 34_000;
const K: usize = 10;

fn built(count: u32) -> Result<SectionBytes> {
    let mut out = SectionBytes::new();
    let rows: Vec<u32> = (0..count).collect();
    let vectors = halves(&clustered(count as usize, DIMENSION, 5), DIMENSION)?;
    VectorColumn::build("frame", DIMENSION, &rows, &vectors, Index::Graph, &mut out)?;
    Ok(out)
}

fn open(bytes: SectionBytes) -> Result<VectorColumn> {
    Ok(VectorColumn::open("frame", &sections(bytes))?.unwrap_or_else(|| panic!("the column was just built")))
}

fn queries(count: usize) -> Result<Vec<QueryVector>> {
    clustered(count, DIMENSION, 77).chunks(DIMENSION).map(|query| QueryVector::new("query", query)).collect()
}

/// The share of the true best rows that are found.
fn recall(column: &VectorColumn, effort: usize, allowed: Option<&RowSet>) -> Result<f64> {
    let (mut hits, mut all) = (0, 0);
    for query in queries(40)? {
        let truth: BTreeSet<u32> = column.flat_top_k(&query, K, allowed)?.into_iter().map(|(row, _)| row).collect();
        let found = column.approximate_top_k(&query, K, effort, allowed)?;
        assert_eq!(found.len(), truth.len());
        for (row, score) in &found {
            let mut exact = Vec::new();
            column.score_rows(&query, *row..*row + 1, &mut exact)?;
            assert_eq!(exact, [(*row, *score)], "scores are exact");
            assert!(allowed.is_none_or(|allowed| allowed.contains(*row)));
        }
        hits += found.iter().filter(|(row, _)| truth.contains(row)).count();
        all += truth.len();
    }
    Ok(hits as f64 / all as f64)
}

#[test]
fn a_walk_finds_nearly_all_and_more_effort_finds_more() -> Result<()> {
    let column = open(built(ROWS)?)?;
    let (little, much) = (recall(&column, 20, None)?, recall(&column, 120, None)?);
    assert!(little > 0.8 && much > 0.97 && much >= little, "{little} {much}");
    let query = queries(1)?.remove(0);
    let (_, work) = column.approximate_top_k_with_work(&query, K, 40, None)?;
    assert_eq!(work.path, Path::Graph);
    assert!(work.coded_rows < 6000 && work.scored_rows <= 40, "{work:?}");
    Ok(())
}

#[test]
fn codes_bound_every_row_from_above_and_closely() -> Result<()> {
    let linked = open(built(ROWS)?)?;
    let plain = open(built(3000)?)?;
    for query in queries(20)? {
        let (codes, vectors) = (linked.estimator(&query)?, plain.estimator(&query)?);
        for (closeness, within) in [(Closeness::Rough, 0.5), (Closeness::Close, 0.1)] {
            let (mut count, mut above) = (0_u32, 0.0);
            let (mut bounds, mut close) = (Vec::new(), Vec::new());
            for start in (0..ROWS).step_by(331) {
                let rows = start..(start + 33).min(ROWS);
                let mut exact = Vec::new();
                linked.score_rows(&query, rows.clone(), &mut exact)?;
                codes.most(closeness, rows.clone(), &mut bounds)?;
                assert_eq!(bounds.len(), exact.len());
                for (&(row, score), &most) in exact.iter().zip(&bounds) {
                    assert!(most >= score, "row {row}: {score} above {most}");
                    count += 1;
                    above += most - score;
                }
                // What reaches a floor is bounded as closely as can be, the rest stays.
                codes.most(Closeness::Rough, rows.clone(), &mut bounds)?;
                let (floor, rough) = (bounds[0], bounds.clone());
                codes.most(Closeness::Close, rows.clone(), &mut close)?;
                let reach = codes.sharpen(rows, floor, &mut bounds)?;
                for (((sharp, rough), close), &(row, score)) in bounds.iter().zip(&rough).zip(&close).zip(&exact) {
                    assert_eq!(*sharp, if *rough >= floor { rough.min(*close) } else { *rough });
                    let least = reach.least(*sharp);
                    let is_close = *rough >= floor;
                    assert!(!is_close || (least <= score && score - least < 0.2), "row {row}: {score} below {least}");
                }
            }
            assert!(above / (count as f32) < within, "{above} in {count}");
            codes.most(closeness, ROWS..ROWS + 9, &mut bounds)?;
            assert_eq!(bounds, [f32::NEG_INFINITY; 9]);
        }
        let (mut exact, mut got) = (Vec::new(), Vec::new());
        plain.score_rows(&query, 5..40, &mut exact)?;
        vectors.most(Closeness::Close, 5..40, &mut got)?;
        assert!(exact.iter().map(|(_, score)| score).eq(&got), "without a graph, exactly");
        // Here and there, in runs, and past the end.
        let rows = [0, 1, 2, 7, 900, 901, 2000, ROWS - 1, ROWS, ROWS + 8];
        // An approximate answer goes by two standard errors of the codes in place of five.
        let closer = 3.0 * STANDARD_ERROR / (DIMENSION as f32).sqrt();
        for (estimator, closer) in [(&codes, closer), (&vectors, 0.0)] {
            let (mut each, mut one) = (Vec::new(), Vec::new());
            estimator.most_of(Closeness::Likely, &rows, &mut each)?;
            let (mut close, mut run) = (Vec::new(), Vec::new());
            estimator.most_of(Closeness::Close, &rows, &mut close)?;
            assert_eq!((each.len(), close.len()), (rows.len(), rows.len()));
            for ((&row, &likely), &close) in rows.iter().zip(&each).zip(&close) {
                estimator.most(Closeness::Close, row..row + 1, &mut one)?;
                estimator.most(Closeness::Likely, row..row + 1, &mut run)?;
                assert_eq!((&one, &run), (&vec![close], &vec![likely]), "row {row}");
                let is_held = one[0].is_finite();
                assert_eq!(likely.is_finite(), is_held, "row {row}");
                assert!(!is_held || (one[0] - likely - closer).abs() < 1e-6, "row {row}: {likely} for {one:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_filter_costs_no_recall_whatever_it_leaves() -> Result<()> {
    let column = open(built(ROWS)?)?;
    for step in [2, 10, 100, 1000] {
        let mut allowed = RowSet::empty(ROWS);
        (0..ROWS).step_by(step).for_each(|row| allowed.insert(row));
        let recall = recall(&column, 60, Some(&allowed))?;
        assert!(recall > 0.95, "one in {step}: {recall}");
    }
    assert!(column.approximate_top_k(&queries(1)?.remove(0), K, 60, Some(&RowSet::empty(ROWS)))?.is_empty());
    Ok(())
}

/// Frames of still scenes once linked to the same few of their kind: of the fifty best of a hundred alike, a walk found
/// twenty-nine.
#[test]
fn rows_with_one_vector_are_all_found() -> Result<()> {
    const TWINS: usize = 100;
    let (others, scenes) = (30_000, 40);
    let mut vectors = clustered(others, DIMENSION, 5);
    let scenes = clustered(scenes, DIMENSION, 6);
    scenes.chunks(DIMENSION).for_each(|scene| vectors.extend(scene.repeat(TWINS)));
    let rows: Vec<u32> = (0..(vectors.len() / DIMENSION) as u32).collect();
    let mut out = SectionBytes::new();
    VectorColumn::build("frame", DIMENSION, &rows, &halves(&vectors, DIMENSION)?, Index::Graph, &mut out)?;
    let column = open(out)?;
    let mut found = 0;
    for scene in scenes.chunks(DIMENSION) {
        let best = column.approximate_top_k(&QueryVector::new("query", scene)?, 50, 60, None)?;
        found += best.iter().filter(|(_, score)| *score > 0.999).count();
    }
    assert!(found >= 39 * 50, "{found} of {}", 40 * 50);
    Ok(())
}

#[test]
fn a_column_that_does_not_stay_has_no_graph() -> Result<()> {
    let rows: Vec<u32> = (0..ROWS).collect();
    let vectors = halves(&clustered(rows.len(), DIMENSION, 5), DIMENSION)?;
    let mut out = SectionBytes::new();
    VectorColumn::build("frame", DIMENSION, &rows, &vectors, Index::Codes, &mut out)?;
    assert!(out.iter().all(|(name, _)| name != "frame.graph"));
    let (_, work) = open(out)?.approximate_top_k_with_work(&queries(1)?.remove(0), K, 20, None)?;
    assert_eq!(work.path, Path::Exact);
    Ok(())
}

#[test]
fn equal_input_gives_equal_bytes_each_time_and_on_any_number_of_threads() -> Result<()> {
    let vectors = halves(&clustered(6000, DIMENSION, 5), DIMENSION)?;
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap_or_else(|error| panic!("{error}"))
            .install(|| Graph::build(7, &[0.01; DIMENSION], &vectors, crate::vector::kernels::kernels()))
    };
    let once = on(1)?;
    let nodes = 6000 * node_byte_len(Nibbles::new(7, vec![0.01; DIMENSION]).byte_len());
    assert!(once.as_ref().is_some_and(|graph| graph.len() >= nodes));
    assert!(on(1)? == once && on(3)? == once);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The standard error is about 0.11 |r| |q - c| / √D; padding shares it with components that are always zero.
    #[test]
    fn estimates_are_close_at_every_dimension(dimension in 1_usize..=4096, seed: u64) {
        let vectors = clustered(8, dimension, seed);
        let mut centre = vec![0.0; dimension];
        vectors.chunks(dimension).for_each(|vector| centre.iter_mut().zip(vector).for_each(|(c, v)| *c += v / 80.0));
        let nibbles = Nibbles::new(seed, centre);
        let unit = halves(&vectors, dimension)?;
        let mut code = vec![0; nibbles.byte_len()];
        for pair in unit.chunks_exact(2 * dimension) {
            let (query, stored) = pair.split_at(dimension);
            nibbles.encode(stored, &mut code);
            let levels = nibbles.query(query.iter().map(|component| component.to_f32()));
            let truth: f32 = query.iter().zip(stored).map(|(q, s)| q.to_f32() * s.to_f32()).sum();
            let padded = dimension.next_multiple_of(RUN_COMPONENTS) as f32;
            for kernels in crate::vector::kernels::available() {
                let estimate = levels.estimate(&kernels, &code);
                let bound = 0.02 + 6.0 * 0.11 * 4.0 / padded.sqrt();
                prop_assert!((estimate - truth).abs() < bound, "{} of {truth} at {dimension}", estimate);
            }
        }
    }
}

#[test]
fn small_columns_have_no_graph_and_are_searched_exactly() -> Result<()> {
    let column = open(built(5000)?)?;
    for query in queries(5)? {
        let (found, work) = column.approximate_top_k_with_work(&query, K, 20, None)?;
        assert_eq!((found, work.path), (column.top_k(&query, K, None)?, Path::Exact));
    }
    Ok(())
}

#[test]
fn a_graph_that_makes_no_sense_is_an_error() -> Result<()> {
    let whole = built(ROWS)?;
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        bytes.iter_mut().filter(|(name, _)| name == "frame.graph").for_each(|(_, bytes)| change(bytes));
        open(bytes)
    };
    let is_damage = |error: &Error| matches!(error, Error::Damaged { .. });
    for at in [4, 8, 12] {
        let wrong = with(&|bytes| bytes[at..at + 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes()));
        assert!(wrong.is_err_and(|error| is_damage(&error)), "head at {at}");
    }
    let future = with(&|bytes| bytes[0] = 9);
    assert!(future.is_err_and(|error| matches!(error, Error::FormatUnsupported { .. })));
    assert!(with(&|bytes| bytes.truncate(bytes.len() - 1)).is_err_and(|error| is_damage(&error)));
    // Every link of every node names a row that does not exist.
    let code_bytes = RUN_BYTES + FACTOR_BYTES;
    let astray = with(&|bytes| {
        for node in bytes[HEAD_BYTES..].chunks_exact_mut(node_byte_len(code_bytes)) {
            node[code_bytes..].fill(0x70);
        }
    })?;
    let error = astray.approximate_top_k(&queries(1)?.remove(0), K, 40, None);
    assert!(error.is_err_and(|error| is_damage(&error)));
    Ok(())
}
