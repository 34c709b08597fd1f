//! A graph over the rows of a column, for approximate search.
//!
//! One layer, as in Vamana (Subramanya et al., NeurIPS 2019): every row is a node with at most `DEGREE` neighbours, some
//! near and some further off, and a greedy walk from one entry comes close to any query. Nodes are compared by 4-bit
//! codes (`nibbles`), a quarter of the stored vector; what the walk (`beam`) finds is scored exactly by the caller.
//! `build` makes the graph and `prune` chooses its neighbours.
//!
//! Section `{prefix}.graph`, little-endian, `C = ceil(d / 128)`:
//!
//! ```text
//! u32 version (1), u32 count n, u32 runs of a code C, u32 entry, zeros to 64 bytes
//! n × node, node i for position i of the column:
//!     C × 64 bytes, f32 a, f32 b     the code, see `nibbles`
//!     30 × u32                       neighbours, `u32::MAX` past the last
//! ```
//!
//! A node is a multiple of 64 bytes; a comparison reads the lines of its code, and the last of them holds the first
//! neighbours too. For 384 dimensions a node has 320 bytes.
//!
//! Opening reads the head. Neighbours are checked when they are followed: one that does not exist is `damaged`.

mod beam;
mod build;
pub(super) mod nibbles;
mod prune;

use std::ops::Range;
use std::sync::Arc;

use half::f16;

pub(super) use beam::Beam;
use beam::Nodes;
use nibbles::{FACTOR_BYTES, Levels, Nibbles};

use super::layout::{RUN_BYTES, RUN_COMPONENTS};

use super::graph_memory::GraphMemory;
use super::kernels::{Kernels, prefetch_one_of_many};
use super::residency::Residency;
use crate::error::{Error, Result};
use crate::storage::section::Section;

const VERSION: u32 = 1;
const HEAD_BYTES: usize = 64;
/// Neighbours of a node: they and the factors of the code fill two lines.
const DEGREE: usize = 30;
/// So many nodes are asked of memory before they are compared.
const NODES_AHEAD: usize = 24;
const LINK_BYTES: usize = 4 * DEGREE;
/// Keys of the beam leave 31 bits for a node.
const MOST_NODES: usize = 1 << 31;

/// A graph in a section.
#[derive(Debug)]
pub(super) struct Graph {
    section: Section,
    nibbles: Nibbles,
    count: u32,
    entry: u32,
    code_bytes: usize,
    residency: Arc<Residency>,
}

/// Bytes of a node.
fn node_byte_len(code_bytes: usize) -> usize {
    code_bytes + LINK_BYTES
}

impl Graph {
    /// The bytes of the section for unit-length `vectors` of `dimension` components around `centre`; `None` if there are
    /// more than a graph can hold.
    ///
    /// # Errors
    /// `internal` if lengths disagree.
    pub(super) fn build(
        seed: u64,
        centre: &[f32],
        vectors: &[f16],
        kernels: &'static Kernels,
    ) -> Result<Option<Vec<u8>>> {
        let count = vectors.len() / centre.len().max(1);
        if count > MOST_NODES {
            return Ok(None);
        }
        let nibbles = Nibbles::new(seed, centre.to_vec());
        build::build(&nibbles, kernels, centre.len(), vectors).map(Some)
    }

    /// Opens the graph of a column of `count` rows around `centre`. Reads the head alone.
    ///
    /// # Errors
    /// `damaged` if the head makes no sense or the section has another length; `format_unsupported`.
    pub(super) fn open(section: Section, seed: u64, centre: &[f32], count: u32) -> Result<Self> {
        let damaged = |detail: String| Error::damaged(section.path(), format!("graph: {detail}"));
        if section.len() < HEAD_BYTES {
            return Err(damaged(format!("it has {} bytes", section.len())));
        }
        let (fields, _) = section.slice(0..HEAD_BYTES)?.as_chunks::<4>();
        let field = |index: usize| fields.get(index).map_or(0, |&bytes| u32::from_le_bytes(bytes));
        let (version, nodes, runs, entry) = (field(0), field(1), field(2), field(3));
        if version != VERSION {
            let path = section.path();
            return Err(Error::FormatUnsupported { path, got: version, oldest: VERSION, newest: VERSION });
        }
        let code_bytes = runs as usize * RUN_BYTES + FACTOR_BYTES;
        let expected = (count as usize).checked_mul(node_byte_len(code_bytes)).and_then(|n| n.checked_add(HEAD_BYTES));
        let runs_fit = runs as usize == centre.len().div_ceil(RUN_COMPONENTS);
        if nodes != count || count as usize > MOST_NODES || entry >= count || !runs_fit {
            return Err(damaged(format!("{nodes} nodes with codes of {runs} runs, entry {entry}, for {count} rows")));
        }
        if expected != Some(section.len()) {
            return Err(damaged(format!("it has {} bytes for {count} nodes", section.len())));
        }
        let nibbles = Nibbles::new(seed, centre.to_vec());
        let residency = if section.is_in_memory() { Residency::in_memory() } else { Residency::of_file() };
        Ok(Self { section, nibbles, count, entry, code_bytes, residency })
    }

    /// Prepares a unit-length query.
    pub(super) fn query(&self, components: &[f32]) -> Levels {
        self.nibbles.query(components.iter().copied())
    }

    /// A greedy walk that keeps `width` nodes.
    ///
    /// # Errors
    /// `damaged` where a checksum says so or a neighbour does not exist.
    pub(super) fn walk(&self, kernels: &Kernels, query: &Levels, width: usize) -> Result<Beam> {
        let mut beam = Beam::default();
        match self.settled() {
            Some(nodes) => beam.search(&nodes, kernels, query, self.entry, width)?,
            None => beam.search(self, kernels, query, self.entry, width)?,
        }
        Ok(beam)
    }

    /// The estimated cosines of `query` with the vectors of a run of nodes, in order.
    ///
    /// # Errors
    /// `damaged` where a checksum says so or a node does not exist.
    pub(super) fn estimates<'a>(
        &'a self,
        kernels: &'a Kernels,
        query: &'a Levels,
        nodes: Range<u32>,
    ) -> Result<impl Iterator<Item = f32> + 'a> {
        if nodes.end > self.count {
            return Err(self.no_such_node(nodes.end - 1));
        }
        let node_bytes = node_byte_len(self.code_bytes);
        let at = |node: u32| HEAD_BYTES + node as usize * node_bytes;
        let run = self.section.slice(at(nodes.start)..at(nodes.end.max(nodes.start)))?;
        let code_bytes = self.code_bytes;
        let estimate = move |(index, node): (usize, &'a [u8])| {
            if let Some(ahead) = run.get((index + NODES_AHEAD) * node_bytes..).and_then(|ahead| ahead.get(..code_bytes))
            {
                prefetch_one_of_many(ahead);
            }
            query.estimate(kernels, node.split_at(code_bytes).0)
        };
        Ok(run.chunks_exact(node_bytes).enumerate().map(estimate))
    }

    /// The estimated cosines of `query` with the vectors of some nodes, in order.
    ///
    /// # Errors
    /// `damaged` where a checksum says so or a node does not exist.
    pub(super) fn estimates_of(&self, kernels: &Kernels, query: &Levels, nodes: &[u32]) -> Result<Vec<f32>> {
        let (mut estimates, settled) = (Vec::with_capacity(nodes.len()), self.settled());
        let code = |node| settled.as_ref().map_or_else(|| self.code(node), |nodes| nodes.code(node));
        for (at, &node) in nodes.iter().enumerate() {
            if let Some(&next) = nodes.get(at + NODES_AHEAD) {
                prefetch_one_of_many(code(next)?);
            }
            estimates.push(query.estimate(kernels, code(node)?));
        }
        Ok(estimates)
    }

    /// Whether the graph may be walked: one of a file not before it got its bytes of `memory` and was read for the first
    /// time.
    pub(super) fn is_ready(&self, memory: &Arc<GraphMemory>) -> bool {
        self.residency.is_ready(memory, self.section.len() as u64, || self.section.is_verified())
    }

    /// Whether the graph is too large for the memory that it may fill.
    pub(super) fn is_refused(&self) -> bool {
        self.residency.is_refused()
    }

    /// Begins to read the graph in the background, if it may stay and that was not begun before.
    pub(super) fn read_ahead(&self, memory: &Arc<GraphMemory>) {
        let Some(reading) = self.residency.begin_reading(memory, self.section.len() as u64) else { return };
        let section = self.section.clone();
        let read = move || {
            // What is damaged is told to the search that comes upon it.
            let _ = section.settle();
            drop(reading);
        };
        // Where there is no thread to be had, the reading is dropped with what it should have done, and walks read.
        let _ = std::thread::Builder::new().name("pixr-read".to_owned()).spawn(read);
    }

    /// Whether every byte of it was verified, and so was in memory.
    pub(super) fn is_settled(&self) -> bool {
        self.section.is_verified()
    }

    /// The nodes, once every byte of them was verified.
    fn settled(&self) -> Option<Settled<'_>> {
        let (_, nodes) = self.section.settled()?.split_at_checked(HEAD_BYTES)?;
        Some(Settled { graph: self, nodes })
    }

    #[inline]
    fn part(&self, node: u32, from: usize, to: usize) -> Result<&[u8]> {
        if node >= self.count {
            return Err(self.no_such_node(node));
        }
        let start = HEAD_BYTES + node as usize * node_byte_len(self.code_bytes);
        self.section.slice(start + from..start + to)
    }

    #[cold]
    fn no_such_node(&self, node: u32) -> Error {
        Error::damaged(self.section.path(), format!("a graph of {} nodes links to node {node}", self.count))
    }
}

/// The nodes of a graph whose bytes need no check any more.
struct Settled<'a> {
    graph: &'a Graph,
    nodes: &'a [u8],
}

impl<'a> Settled<'a> {
    #[inline]
    fn part(&self, node: u32, from: usize, to: usize) -> Result<&'a [u8]> {
        let start = node as usize * node_byte_len(self.graph.code_bytes);
        self.nodes.get(start + from..start + to).ok_or_else(|| self.graph.no_such_node(node))
    }
}

impl Nodes for Settled<'_> {
    #[inline]
    fn code(&self, node: u32) -> Result<&[u8]> {
        self.part(node, 0, self.graph.code_bytes)
    }

    #[inline]
    fn links(&self, node: u32) -> Result<&[u8]> {
        self.part(node, self.graph.code_bytes, node_byte_len(self.graph.code_bytes))
    }
}

impl Nodes for Graph {
    #[inline]
    fn code(&self, node: u32) -> Result<&[u8]> {
        self.part(node, 0, self.code_bytes)
    }

    #[inline]
    fn links(&self, node: u32) -> Result<&[u8]> {
        self.part(node, self.code_bytes, node_byte_len(self.code_bytes))
    }
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a test fails by panicking")]
mod tests;
