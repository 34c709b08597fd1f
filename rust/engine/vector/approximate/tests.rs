//! Several columns, and columns whose graphs don't fit in memory, compared with `flat`.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use half::f16;

use super::*;
use crate::storage::disk::DiskStorage;
use crate::storage::names::create_directories;
use crate::storage::part_file::{open_part, write_part};
use crate::storage::section::SectionBytes;
use crate::vector::Index;
use crate::vector::tests::{clustered, halves, sections};

const DIMENSION: usize = 64;
/// Enough for a graph.
const ROWS: usize = 34_000;
const K: usize = 10;
/// Parts that are alike, and one whose vectors point away from theirs.
const PARTS: usize = 2;
const OPPOSITE: usize = 2;

/// The sections of part `number`, built once.
fn built(number: usize) -> Result<&'static SectionBytes> {
    static BUILT: [OnceLock<SectionBytes>; 3] = [const { OnceLock::new() }; 3];
    if let Some(bytes) = BUILT[number].get() {
        return Ok(bytes);
    }
    let mut vectors = halves(&clustered(ROWS, DIMENSION, [5, 6, 7][number]), DIMENSION)?;
    if number == OPPOSITE {
        vectors.iter_mut().for_each(|component| *component = f16::from_f32(-component.to_f32()));
    }
    let mut bytes = SectionBytes::new();
    let rows: Vec<u32> = (0..ROWS as u32).collect();
    VectorColumn::build("frame", DIMENSION, &rows, &vectors, Index::Graph, &mut bytes)?;
    Ok(BUILT[number].get_or_init(|| bytes))
}

fn graph_bytes() -> Result<u64> {
    Ok(built(0)?.iter().filter(|(name, _)| name == "frame.graph").map(|(_, bytes)| bytes.len() as u64).sum())
}

fn in_memory(number: usize) -> Result<VectorColumn> {
    let column = VectorColumn::open("frame", &sections(built(number)?.clone()))?;
    Ok(column.unwrap_or_else(|| panic!("the column was just built")))
}

/// Columns in files, which nobody has read yet.
fn in_files(numbers: impl Iterator<Item = usize>) -> Result<(tempfile::TempDir, Vec<VectorColumn>)> {
    let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let storage = DiskStorage::create(directory.path())?;
    create_directories(&storage)?;
    let open = |number: usize| {
        let byte_len = write_part(&storage, number as u64, built(number)?)?;
        let column = VectorColumn::open("frame", &open_part(&storage, number as u64, byte_len)?)?;
        Ok(column.unwrap_or_else(|| panic!("the column was just built")))
    };
    let columns = numbers.map(open).collect::<Result<_>>()?;
    Ok((directory, columns))
}

fn all(columns: &[VectorColumn]) -> Vec<Asked<'_>> {
    columns.iter().map(|column| Asked { column, allowed: None }).collect()
}

fn queries(count: usize) -> Result<Vec<QueryVector>> {
    clustered(count, DIMENSION, 77).chunks(DIMENSION).map(|query| QueryVector::new("query", query)).collect()
}

/// The true best rows of all columns.
fn truth(asked: &[Asked<'_>], query: &QueryVector) -> Result<BTreeSet<(usize, u32)>> {
    let mut best = Vec::new();
    for (at, one) in asked.iter().enumerate() {
        let found = one.column.flat_top_k(query, K, one.allowed)?;
        best.extend(found.into_iter().map(|(row, score)| (at, row, score)));
    }
    best.sort_unstable_by(|a, b| by_score(&(a.1, a.2), &(b.1, b.2)).then(a.0.cmp(&b.0)));
    Ok(best.into_iter().take(K).map(|(at, row, _)| (at, row)).collect())
}

/// The share of the true best rows that are found, and the most rows that a question scored.
fn recall(asked: &[Asked<'_>], effort: usize, memory: &Arc<GraphMemory>, path: Path) -> Result<(f64, usize)> {
    let (mut hits, mut most_scored) = (0, 0);
    let queries = queries(40)?;
    for query in &queries {
        let truth = truth(asked, query)?;
        let near = approximate_top_k(asked, query, K, effort, memory)?;
        assert!(near.work.iter().all(|work| work.path == path), "{:?}", near.work);
        assert_eq!(near.best.len(), K);
        for &(at, row, score) in &near.best {
            let mut exact = Vec::new();
            asked[at].column.score_rows(query, row..row + 1, &mut exact)?;
            assert_eq!(exact, [(row, score)], "scores are exact");
            assert!(asked[at].allowed.is_none_or(|allowed| allowed.contains(row)));
        }
        hits += near.best.iter().filter(|&&(at, row, _)| truth.contains(&(at, row))).count();
        most_scored = most_scored.max(near.work.iter().map(|work| work.scored_rows).sum());
    }
    Ok((hits as f64 / (K * queries.len()) as f64, most_scored))
}

#[test]
fn codes_find_nearly_all_where_no_graph_fits_and_score_a_bounded_number_of_rows() -> Result<()> {
    let none = GraphMemory::new(0);
    let (_directory, columns) = in_files(0..PARTS)?;
    let mut even = RowSet::empty(ROWS as u32);
    (0..ROWS as u32).step_by(2).for_each(|row| even.insert(row));
    let half: Vec<Asked<'_>> = columns.iter().map(|column| Asked { column, allowed: Some(&even) }).collect();
    for asked in [&all(&columns)[..1], &all(&columns), &half] {
        let (little, scored) = recall(asked, K, &none, Path::Codes)?;
        assert!(little > 0.9 && scored == K * CODED_COMPONENTS / DIMENSION, "{little} {scored}");
        let (much, scored) = recall(asked, 2 * K, &none, Path::Codes)?;
        assert!(much > 0.97 && scored == 2 * K * CODED_COMPONENTS / DIMENSION, "{much} {scored}");
    }
    Ok(())
}

#[test]
fn few_allowed_rows_are_scored_exactly_where_no_graph_fits() -> Result<()> {
    let (_directory, columns) = in_files(0..1)?;
    let mut few = RowSet::empty(ROWS as u32);
    (0..ROWS as u32).step_by(800).for_each(|row| few.insert(row));
    let asked = [Asked { column: &columns[0], allowed: Some(&few) }];
    let (recall, scored) = recall(&asked, K, &GraphMemory::new(0), Path::Allowed)?;
    assert!(recall == 1.0 && scored == few.count() as usize, "{recall} {scored}");
    Ok(())
}

#[test]
fn a_graph_is_walked_once_it_got_its_memory_and_was_read() -> Result<()> {
    let memory = GraphMemory::new(graph_bytes()? + 100);
    let (_directory, mut columns) = in_files(0..PARTS)?;
    let query = queries(1)?.remove(0);
    let paths = |columns: &[VectorColumn]| -> Result<Vec<Path>> {
        let near = approximate_top_k(&all(columns), &query, K, 20, &memory)?;
        Ok(near.work.into_iter().map(|work| work.path).collect())
    };
    let comes_to = |columns: &[VectorColumn], expected: &[Path]| -> Result<()> {
        let began = Instant::now();
        while paths(columns)? != expected {
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", paths(columns)?);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    };
    assert_eq!(paths(&columns)?, [Path::Codes, Path::Codes], "nothing was read");
    comes_to(&columns, &[Path::Graph, Path::Codes])?;
    drop(columns.remove(0));
    comes_to(&columns, &[Path::Graph])?;
    // What is in memory anyway needs none.
    assert_eq!(paths(&[in_memory(0)?])?, [Path::Graph]);
    Ok(())
}

#[test]
fn several_columns_share_one_effort() -> Result<()> {
    let memory = GraphMemory::new(0);
    let columns: Vec<VectorColumn> = (0..PARTS).map(in_memory).collect::<Result<_>>()?;
    let (one, _) = recall(&all(&columns)[..1], 40, &memory, Path::Graph)?;
    let (both, scored) = recall(&all(&columns), 40, &memory, Path::Graph)?;
    assert!(both > 0.93 && both > one - 0.03, "{both} of two, {one} of one");
    assert!(scored <= 40, "{scored} rows scored");
    let pools = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap_or_else(|error| panic!("{error}"))
    });
    for query in queries(20)? {
        let near = || approximate_top_k(&all(&columns), &query, K, 20, &memory);
        assert_eq!(pools[0].install(near)?, pools[1].install(near)?);
    }
    Ok(())
}

/// A whole query asks for as many rows as its effort. Under a filter every second walk once found too few of them, and the
/// search was exact.
#[test]
fn a_filtered_walk_finds_as_many_rows_as_the_effort() -> Result<()> {
    const EFFORT: usize = 50;
    let memory = GraphMemory::new(0);
    let columns: Vec<VectorColumn> = (0..PARTS).map(in_memory).collect::<Result<_>>()?;
    let mut even = RowSet::empty(ROWS as u32);
    (0..ROWS as u32).step_by(2).for_each(|row| even.insert(row));
    let half: Vec<Asked<'_>> = columns.iter().map(|column| Asked { column, allowed: Some(&even) }).collect();
    for asked in [&half[..1], &half] {
        let mut exact = 0;
        for query in queries(20)? {
            let near = approximate_top_k(asked, &query, EFFORT, EFFORT, &memory)?;
            assert_eq!(near.best.len(), EFFORT);
            exact += near.work.iter().filter(|work| work.path == Path::Exact).count();
        }
        assert!(exact <= 2, "{exact} of {} searches were exact", 20 * asked.len());
    }
    Ok(())
}

/// As when all videos about something were added together.
#[test]
fn a_column_that_holds_the_whole_answer_is_walked_with_all_of_the_effort() -> Result<()> {
    let memory = GraphMemory::new(0);
    let columns = [in_memory(OPPOSITE)?, in_memory(0)?];
    for query in queries(20)? {
        let alone = approximate_top_k(&all(&columns[1..]), &query, K, 40, &memory)?;
        let beside = approximate_top_k(&all(&columns), &query, K, 40, &memory)?;
        let shifted: Vec<(usize, u32, f32)> =
            alone.best.into_iter().map(|(at, row, score)| (at + 1, row, score)).collect();
        assert_eq!(beside.best, shifted);
    }
    Ok(())
}

#[test]
fn more_is_passed_by_than_is_found_and_all_of_it_is_allowed() -> Result<()> {
    const EFFORT: usize = 30;
    let columns: Vec<VectorColumn> = (0..PARTS).map(in_memory).collect::<Result<_>>()?;
    let (_directory, unread) = in_files(0..PARTS)?;
    let mut even = RowSet::empty(ROWS as u32);
    (0..ROWS as u32).step_by(2).for_each(|row| even.insert(row));
    let (memory, none) = (GraphMemory::new(u64::MAX), GraphMemory::new(0));
    for (columns, allowed, memory, expected) in [
        (&columns, None, &memory, Path::Graph),
        (&columns, Some(&even), &memory, Path::Graph),
        (&unread, Some(&even), &none, Path::Codes),
    ] {
        let asked: Vec<Asked<'_>> = columns.iter().map(|column| Asked { column, allowed }).collect();
        let mut otherwise = 0;
        for query in queries(10)? {
            let Passed { columns: passed, is_in_memory } = passed_by(&asked, &query, EFFORT, PASSED, memory)?;
            assert_eq!(is_in_memory, expected == Path::Graph);
            // Under a filter a walk may find too few, and codes help out.
            let is_walked = passed.iter().all(|(_, path)| *path == Path::Graph);
            otherwise += usize::from(is_walked != is_in_memory);
            let count = if !is_in_memory {
                EFFORT
            } else if is_walked {
                PASSED * EFFORT
            } else {
                coded_rows(&query, EFFORT)
            };
            assert_eq!(passed.iter().map(|(rows, _)| rows.len()).sum::<usize>(), count);
            let found = approximate_top_k(&asked, &query, K, EFFORT, memory)?;
            for (at, row, _) in found.best {
                assert!(passed[at].0.contains(&row), "{row} of {at}");
            }
            for (rows, _) in passed {
                assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len(), "each once");
                assert!(rows.iter().all(|&row| allowed.is_none_or(|allowed| allowed.contains(row))));
            }
        }
        assert!(otherwise <= 2, "{otherwise} went another way");
    }
    Ok(())
}
