//! One channel's vectors in one part: f16 rows, and codes to find them fast.
//!
//! Sections, all little-endian, under the prefix that the part gives:
//!
//! ```text
//! {prefix}.head   u32 version (1), u32 dimension d, u32 count n, u32 first row, u32 form of rows (0 run, 1 list),
//!                 u32 words of a code (0: no codes), u64 seed of the rotation, f32 mean squared length,
//!                 zeros to 64 bytes; with codes then the centre: d × f32
//! {prefix}.rows   list only: n × u32, ascending
//! {prefix}.f16    n × d × f16, unit length
//! {prefix}.codes  with codes only: see `codes`
//! {prefix}.graph  optional: see `graph`
//! {prefix}.vertical  optional, with codes only: see `vertical`
//! ```
//!
//! A run holds rows `first..first + n` and needs no list. Codes are left out below `FEWEST_CODED_ROWS` rows or
//! `LOWEST_CODED_DIMENSION` dimensions, where reading the vectors is as fast; the graph below `FEWEST_LINKED_ROWS` rows,
//! where reading the codes is. A column without the graph gives the same answers, exactly.
//!
//! Opening reads the head and compares lengths; it does not grow with the column. Lists are checked when first read,
//! blocks of the others when first touched.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::codes::{BLOCK_ROWS, Coder, block_byte_len, word_count};
use super::distance::cosine;
use super::graph::Graph;
use super::kernels::{Kernels, kernels, pieces_ahead, prefetch};
use super::query::QueryVector;
use super::rows::{Ranks, Rows};
use super::vertical::{self, Vertical, VerticalQuery};
use crate::catalog::row_set::RowSet;
use crate::cores;
use crate::error::{Error, Result};
use crate::storage::section::{Section, SectionBytes, Sections};

const VERSION: u32 = 1;
const HEAD_BYTES: usize = 64;
const FORM_RUN: u32 = 0;
const FORM_LIST: u32 = 1;
/// Any seed will do; one for all makes equal columns equal bytes.
const SEED: u64 = 0x7069_7872_0000_0001;
/// Fewer rows than this have no codes.
pub(super) const FEWEST_CODED_ROWS: usize = 2048;
/// Fewer rows than this, or rows without codes, have no graph. A fuzzer gets a small one, to try many.
pub(super) const FEWEST_LINKED_ROWS: usize = if cfg!(fuzzing) { FEWEST_CODED_ROWS } else { 32 * 1024 };
/// Vectors with fewer components have no codes.
pub(super) const LOWEST_CODED_DIMENSION: usize = 64;
/// Runs of vectors up to this long are read, longer ones are mapped.
const MOST_READ_BYTES: usize = 64 * 1024;
/// Columns up to this long may become resident: a copy costs more than scoring a vector.
const MOST_RESIDENT_BYTES: usize = 16 * 1024 * 1024;
/// Rows that one task takes at a time. Fixed, so that nothing depends on the number of threads.
pub(super) const CHUNK_ROWS: u32 = 16 * 1024;

/// What a column of enough rows gets beside its vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// Codes: quick to make.
    Codes,
    /// Codes and a graph: worth it for a column that stays.
    Graph,
}

/// How stored vectors of a file are reached. Mapped, they stay resident: scored here and there, all would be in time,
/// and they are two thirds of a column, which counts where it is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// A copy, by a call to the system: for few.
    Read,
    /// Likewise, of rows that the disk was asked for together: where they may not be in memory.
    Requested,
    /// In place: for many.
    Mapped,
}

/// One channel's vectors in one part. Clones share everything.
#[derive(Debug, Clone)]
pub struct VectorColumn {
    dimension: usize,
    count: u32,
    first_row: u32,
    list: Option<List>,
    f16: Section,
    codes: Option<Codes>,
    vertical: Option<Vertical>,
    graph: Option<Arc<Graph>>,
    kernels: &'static Kernels,
}

/// A column that is asked, and which of its rows may be found; all of them without a set.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The column.
    pub column: &'a VectorColumn,
    /// The rows.
    pub allowed: Option<&'a RowSet>,
}

#[derive(Debug, Clone)]
struct List {
    section: Section,
    /// Made when first asked for, and the list checked.
    ranks: Arc<OnceLock<Option<Ranks>>>,
}

/// The codes of a column and what reads them.
#[derive(Debug, Clone)]
pub(super) struct Codes {
    pub(super) section: Section,
    pub(super) coder: Arc<Coder>,
}

impl VectorColumn {
    /// Appends the sections of a column to `out`; nothing if there are no rows.
    ///
    /// `rows[i]`, ascending, is the row whose vector is `vectors[i * dimension..][..dimension]`, unit length as
    /// `normalise` makes it. Equal input gives equal bytes, whatever the number of threads. A graph takes about 0.2 ms of
    /// processor time a row; without one all searches are exact.
    ///
    /// # Errors
    /// `internal` if lengths disagree or rows do not ascend; `invalid_vector` if a component is not finite.
    pub fn build(
        prefix: &str,
        dimension: usize,
        rows: &[u32],
        vectors: &[f16],
        index: Index,
        out: &mut SectionBytes,
    ) -> Result<()> {
        let Some((&first, &last)) = rows.first().zip(rows.last()) else { return Ok(()) };
        let internal = |detail: String| Error::Internal { detail: format!("vector column {prefix}: {detail}") };
        if dimension == 0 || rows.len().checked_mul(dimension) != Some(vectors.len()) {
            let (rows, values) = (rows.len(), vectors.len());
            return Err(internal(format!("{rows} rows of {dimension} dimensions come with {values} components")));
        }
        if !rows.is_sorted_by(|a, b| a < b) {
            return Err(internal("the rows do not ascend".to_owned()));
        }
        if let Some(index) = vectors.iter().position(|component| !component.is_finite()) {
            let what = format!("row {} of {prefix}", rows.get(index / dimension).copied().unwrap_or_default());
            return Err(Error::InvalidVector {
                what,
                detail: format!("component {} is not finite", index % dimension),
            });
        }
        let too_many = |_| internal(format!("{} rows of {dimension} dimensions are too many", rows.len()));
        let count = u32::try_from(rows.len()).map_err(too_many)?;
        let is_run = last - first == count - 1;
        let coded = rows.len() >= FEWEST_CODED_ROWS && dimension >= LOWEST_CODED_DIMENSION;
        let words = if coded { word_count(dimension) } else { 0 };
        let has_graph = index == Index::Graph && rows.len() >= FEWEST_LINKED_ROWS;
        let Coded { centre, mean_square, sections } = match coded {
            true => cores::on_pool(|| Coded::new(prefix, dimension, vectors, has_graph))?,
            false => Coded { centre: Vec::new(), mean_square: 1.0, sections: Vec::new() },
        };

        let mut head = Vec::with_capacity(HEAD_BYTES + 4 * centre.len());
        let form = if is_run { FORM_RUN } else { FORM_LIST };
        let words = u32::try_from(words).map_err(too_many)?;
        for field in [VERSION, u32::try_from(dimension).map_err(too_many)?, count, first, form, words] {
            head.extend(field.to_le_bytes());
        }
        head.extend(SEED.to_le_bytes());
        head.extend(mean_square.to_le_bytes());
        head.resize(HEAD_BYTES, 0);
        head.extend(centre.iter().flat_map(|component| component.to_le_bytes()));
        out.push((format!("{prefix}.head"), head));
        if !is_run {
            out.push((format!("{prefix}.rows"), bytemuck::cast_slice(rows).to_vec()));
        }
        out.push((format!("{prefix}.f16"), bytemuck::cast_slice(vectors.reinterpret_cast()).to_vec()));
        out.extend(sections);
        Ok(())
    }

    /// Opens the column under `prefix`; `None` if there is none. Reads the head alone.
    ///
    /// # Errors
    /// `damaged` if the head makes no sense or a section is missing or has another length; `format_unsupported`.
    pub fn open(prefix: &str, sections: &dyn Sections) -> Result<Option<Self>> {
        let Some(head_section) = sections.get(&format!("{prefix}.head")) else { return Ok(None) };
        let path = head_section.path();
        let damaged = |detail: String| Error::damaged(&path, format!("vector column {prefix}: {detail}"));
        let head = head_section.all()?;
        let field = |index: usize| {
            let bytes = head.get(4 * index..).and_then(|rest| rest.first_chunk());
            bytes.copied().ok_or_else(|| damaged(format!("the head has {} bytes", head.len())))
        };
        let number = |index: usize| field(index).map(u32::from_le_bytes);
        let version = number(0)?;
        if version != VERSION {
            return Err(Error::FormatUnsupported { path, got: version, oldest: VERSION, newest: VERSION });
        }
        let (dimension, count, first_row) = (number(1)? as usize, number(2)?, number(3)?);
        let (form, words) = (number(4)?, number(5)? as usize);
        let seed = u64::from(number(6)?) | u64::from(number(7)?) << 32;
        let mean_square = field(8).map(f32::from_le_bytes)?;
        let section = |name: &str, byte_len: Option<usize>| {
            let name = format!("{prefix}.{name}");
            let section = sections.get(&name).ok_or_else(|| damaged(format!("section {name} is missing")))?;
            match byte_len {
                Some(expected) if expected == section.len() => Ok(section),
                _ => Err(damaged(format!("section {name} has {} bytes for {count} rows", section.len()))),
            }
        };
        if dimension == 0 || count == 0 || first_row.checked_add(count - 1).is_none() {
            return Err(damaged(format!("{count} rows of {dimension} dimensions from row {first_row}")));
        }
        if form > FORM_LIST || (words != 0 && words != word_count(dimension)) {
            return Err(damaged(format!("rows of form {form}, codes of {words} words")));
        }
        let list = if form == FORM_LIST {
            let section = section("rows", (count as usize).checked_mul(4))?;
            Some(List { section, ranks: Arc::default() })
        } else {
            None
        };
        let row_bytes = dimension.checked_mul(2);
        let f16 = section("f16", row_bytes.and_then(|bytes| bytes.checked_mul(count as usize)))?;
        let (mut graph, mut vertical) = (None, None);
        let codes = if words > 0 {
            let (components, rest) = head.get(HEAD_BYTES..).unwrap_or_default().as_chunks::<4>();
            let centre: Vec<f32> = components.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            let finite = mean_square.is_finite() && centre.iter().all(|component| component.is_finite());
            if centre.len() != dimension || !rest.is_empty() || !finite {
                return Err(damaged(format!("the centre has {} components", centre.len())));
            }
            let blocks = (count as usize).div_ceil(BLOCK_ROWS);
            let codes = section("codes", blocks.checked_mul(block_byte_len(words)))?;
            if let Some(section) = sections.get(&format!("{prefix}.graph")) {
                graph = Some(Arc::new(Graph::open(section, seed, &centre, count)?));
            }
            if sections.get(&format!("{prefix}.vertical")).is_some() {
                let section = section("vertical", vertical::byte_len(dimension, count as usize))?;
                vertical = Some(Vertical::new(section, dimension, count as usize));
            }
            Some(Codes { section: codes, coder: Arc::new(Coder::new(seed, centre, mean_square)) })
        } else {
            None
        };
        Ok(Some(Self { dimension, count, first_row, list, f16, codes, vertical, graph, kernels: kernels() }))
    }

    /// How many vectors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none; `build` makes no such column.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of components of each vector.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Which rows carry a vector.
    ///
    /// # Errors
    /// `damaged` if the list does not ascend.
    pub fn rows(&self) -> Result<Rows<'_>> {
        let Some(list) = &self.list else { return Ok(Rows::Run { first: self.first_row, len: self.count }) };
        let (rows, _) = list.section.all()?.as_chunks::<4>();
        let ranks = match list.ranks.get() {
            Some(ranks) => ranks,
            None => {
                let starts_right = rows.first().is_some_and(|&row| u32::from_le_bytes(row) == self.first_row);
                if !starts_right || !rows.is_sorted_by(|&a, &b| u32::from_le_bytes(a) < u32::from_le_bytes(b)) {
                    return Err(Error::damaged(list.section.path(), "the rows of a vector column do not ascend"));
                }
                list.ranks.get_or_init(|| Ranks::of(rows))
            }
        };
        Ok(Rows::List(rows, ranks.as_ref()))
    }

    /// The stored vector of `row`, if it carries one.
    ///
    /// # Errors
    /// `damaged` where a checksum says so.
    pub fn vector(&self, row: u32) -> Result<Option<Vec<f16>>> {
        let Some(position) = self.rows()?.position(row) else { return Ok(None) };
        let mut room = Vec::new();
        let (components, _) = self.stored(position..position + 1, Access::Read, &mut room)?.as_chunks::<2>();
        Ok(Some(components.iter().map(|&bytes| f16::from_le_bytes(bytes)).collect()))
    }

    /// Appends the exact cosine of every row of `rows` that carries a vector, ascending.
    ///
    /// # Errors
    /// `dimension_mismatch`; `damaged` where a checksum says so.
    pub fn score_rows(&self, query: &QueryVector, rows: Range<u32>, out: &mut Vec<(u32, f32)>) -> Result<()> {
        self.score_rows_by_each(&[query], rows, |_, row, score| out.push((row, score)))
    }

    /// Calls `found` with every row of `rows` that carries a vector, ascending, and for each query its place among
    /// them and the exact cosine. The vectors are read once.
    ///
    /// # Errors
    /// As `score_rows`.
    pub(crate) fn score_rows_by_each(
        &self,
        queries: &[&QueryVector],
        rows: Range<u32>,
        mut found: impl FnMut(usize, u32, f32),
    ) -> Result<()> {
        queries.iter().try_for_each(|query| self.check(query))?;
        let column_rows = self.rows()?;
        self.visit_run(column_rows.positions(rows), Access::Mapped, |position, vector| {
            let Some(row) = column_rows.row(position) else { return };
            for (index, query) in queries.iter().enumerate() {
                found(index, row, cosine(self.kernels, query, vector));
            }
        })
    }

    /// Calls `found` with every position of the run and its exact cosine, in order.
    pub(super) fn score_run(
        &self,
        query: &QueryVector,
        positions: Range<u32>,
        access: Access,
        mut found: impl FnMut(u32, f32),
    ) -> Result<()> {
        self.visit_run(positions, access, |position, vector| found(position, cosine(self.kernels, query, vector)))
    }

    /// Calls `found` with every position of the run and its stored vector, in order.
    fn visit_run(&self, positions: Range<u32>, access: Access, mut found: impl FnMut(u32, &[u8])) -> Result<()> {
        let mut room = Vec::new();
        let is_long = positions.len() * 2 * self.dimension > MOST_READ_BYTES;
        let access = if is_long { Access::Mapped } else { access };
        let stored = self.stored(positions.clone(), access, &mut room)?;
        for (position, vector) in positions.zip(pieces_ahead(stored, 2 * self.dimension)) {
            found(position, vector);
        }
        Ok(())
    }

    /// The bytes of the vectors at `positions`, in `room` if they are read.
    #[inline]
    pub(super) fn stored<'a>(
        &'a self,
        positions: Range<u32>,
        access: Access,
        room: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        let range = self.bytes_at(positions);
        match access {
            Access::Read | Access::Requested if self.f16.len() > MOST_RESIDENT_BYTES => self.f16.read(range, room),
            Access::Read | Access::Requested | Access::Mapped => self.f16.slice(range),
        }
    }

    /// Asks the disk for the vector at `position`, where it may have to come from there.
    pub(super) fn request(&self, position: u32, access: Access) {
        let range = self.bytes_at(position..position + 1);
        match access {
            Access::Requested => self.f16.request(range),
            Access::Read | Access::Mapped => self.f16.expect(range),
        }
    }

    /// Hints that the vector at `position` will be scored soon.
    #[inline]
    pub(super) fn expect(&self, position: u32, access: Access) {
        let range = self.bytes_at(position..position + 1);
        self.f16.expect(range.clone());
        if access == Access::Mapped || self.f16.is_in_memory() {
            self.f16.place_of(range).into_iter().for_each(prefetch);
        }
    }

    fn bytes_at(&self, positions: Range<u32>) -> Range<usize> {
        let row_bytes = 2 * self.dimension;
        positions.start as usize * row_bytes..positions.end as usize * row_bytes
    }

    /// `access`, but where the graph does not fit in memory: the vectors, which are more, are not there either.
    pub(super) fn access(&self, access: Access) -> Access {
        if self.graph().is_some_and(Graph::is_refused) { Access::Requested } else { access }
    }

    /// Refuses a query of another dimension.
    pub(super) fn check(&self, query: &QueryVector) -> Result<()> {
        let (expected, got) = (self.dimension, query.dimension());
        if expected == got {
            return Ok(());
        }
        Err(Error::DimensionMismatch { what: "the query vector".to_owned(), expected, got })
    }

    /// A query prepared to bound rows component by component, to within `tolerance`; none where that doesn't pay.
    pub(super) fn vertical(&self, query: &QueryVector, tolerance: f32) -> Result<Option<VerticalQuery<'_>>> {
        let Some(vertical) = &self.vertical else { return Ok(None) };
        vertical.query(query.components(), tolerance)
    }

    /// Whether the vectors are kept component by component as well.
    pub(super) fn has_vertical(&self) -> bool {
        self.vertical.is_some()
    }

    pub(super) fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    pub(super) fn graph(&self) -> Option<&Graph> {
        self.graph.as_deref()
    }

    pub(super) fn codes(&self) -> Option<&Codes> {
        self.codes.as_ref()
    }
}

/// What is made of many vectors beside themselves, by loops that rayon spreads.
struct Coded {
    centre: Vec<f32>,
    mean_square: f32,
    /// The graph, the codes and the components, as far as there are such.
    sections: SectionBytes,
}

impl Coded {
    fn new(prefix: &str, dimension: usize, vectors: &[f16], has_graph: bool) -> Result<Self> {
        let (centre, mean_square) = centre(dimension, vectors);
        let mut sections = SectionBytes::new();
        if has_graph {
            let graph = Graph::build(SEED, &centre, vectors, kernels())?;
            sections.extend(graph.map(|graph| (format!("{prefix}.graph"), graph)));
        }
        let coder = Coder::new(SEED, centre.clone(), mean_square);
        let blocks: Vec<Vec<u8>> =
            vectors.par_chunks(dimension * BLOCK_ROWS).map(|block| coder.encode_block(block)).collect();
        sections.push((format!("{prefix}.codes"), blocks.concat()));
        sections.extend(vertical::encode(dimension, vectors).map(|bytes| (format!("{prefix}.vertical"), bytes)));
        Ok(Self { centre, mean_square, sections })
    }
}

/// Mean vector and mean squared length, summed in a fixed order.
fn centre(dimension: usize, vectors: &[f16]) -> (Vec<f32>, f32) {
    let count = (vectors.len() / dimension) as f64;
    let partial: Vec<(Vec<f64>, f64)> = vectors
        .par_chunks(dimension * CHUNK_ROWS as usize)
        .map(|chunk| {
            let (mut sums, mut squares) = (vec![0.0; dimension], 0.0);
            for vector in chunk.chunks_exact(dimension) {
                for (sum, component) in sums.iter_mut().zip(vector) {
                    let component = component.to_f64();
                    *sum += component;
                    squares += component * component;
                }
            }
            (sums, squares)
        })
        .collect();
    let (mut sums, mut squares) = (vec![0.0; dimension], 0.0);
    for (part, square) in partial {
        for (sum, value) in sums.iter_mut().zip(part) {
            *sum += value;
        }
        squares += square;
    }
    (sums.into_iter().map(|sum| (sum / count) as f32).collect(), (squares / count) as f32)
}
