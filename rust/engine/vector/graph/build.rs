//! Builds a graph: nodes are inserted in batches into a graph that stands still meanwhile.
//!
//! Vamana's insertion (Subramanya et al., NeurIPS 2019) in the batches of ParlayANN (Manohar et al., PPoPP 2024): every
//! node of a batch searches the graph of the batches before, in parallel; its neighbours are chosen among what it
//! found; then every chosen neighbour gets links back. Each step is a function of what was there before it, so equal
//! input gives equal bytes, whatever the number of threads.
//!
//! While building, a node may have up to `MOST_LINKS` neighbours, and only past that are they pruned to `DEGREE`; the
//! last step prunes all. Memory beside the result: 192 bytes a row.

use half::f16;
use rayon::prelude::*;

use super::super::kernels::{Kernels, prefetch};
use super::super::layout::RUN_BYTES;
use super::beam::{Beam, MOST_LINKS, NO_NODE, Nodes};
use super::nibbles::{FACTOR_BYTES, Levels, Nibbles, factors};
use super::prune::Pruner;
use super::{DEGREE, HEAD_BYTES, LINK_BYTES, VERSION, node_byte_len};
use crate::error::{Error, Result};

/// Best nodes that an insertion keeps while it searches, and chooses from.
const WIDTH: usize = 150;
/// A batch is at most one part in so many of all rows.
const BATCHES: usize = 50;

/// Neighbours of a node while building, little-endian; `NO_NODE` ends them.
type Links = [[u8; 4]; MOST_LINKS];
const NO_LINKS: Links = [NO_NODE.to_le_bytes(); MOST_LINKS];

/// A graph that grows.
struct Growing<'a> {
    nibbles: &'a Nibbles,
    kernels: &'static Kernels,
    dimension: usize,
    vectors: &'a [f16],
    /// The section; its lists of neighbours are written last.
    bytes: Vec<u8>,
    links: Vec<Links>,
    entry: u32,
}

impl Nodes for Growing<'_> {
    #[inline]
    fn code(&self, node: u32) -> Result<&[u8]> {
        let code_bytes = self.nibbles.byte_len();
        let start = HEAD_BYTES + node as usize * node_byte_len(code_bytes);
        self.bytes.get(start..start + code_bytes).ok_or_else(|| no_such_node(node))
    }

    #[inline]
    fn links(&self, node: u32) -> Result<&[u8]> {
        self.links.get(node as usize).map(|links| links.as_flattened()).ok_or_else(|| no_such_node(node))
    }

    #[inline]
    fn expect_links(&self, node: u32) {
        if let Some(links) = self.links.get(node as usize) {
            prefetch(links.as_flattened());
        }
    }
}

#[cold]
fn no_such_node(node: u32) -> Error {
    Error::Internal { detail: format!("a graph has no node {node}") }
}

/// The bytes of the section.
pub(super) fn build(
    nibbles: &Nibbles,
    kernels: &'static Kernels,
    dimension: usize,
    vectors: &[f16],
) -> Result<Vec<u8>> {
    let count = vectors.len() / dimension.max(1);
    let mut growing = Growing {
        nibbles,
        kernels,
        dimension,
        vectors,
        bytes: encode(nibbles, dimension, vectors),
        links: vec![NO_LINKS; count],
        entry: 0,
    };
    let mut order = shuffled(count as u32);
    // The row closest to the centre is the entry, and inserted first.
    let centrality = |node: u32| growing.code(node).map_or(f32::NEG_INFINITY, |code| factors(code).1);
    let central = (0_u32..).zip(&order).max_by(|(_, a), (_, b)| {
        let by_centrality = centrality(**a).total_cmp(&centrality(**b));
        by_centrality.then(b.cmp(a))
    });
    if let Some((place, &entry)) = central {
        growing.entry = entry;
        order.swap(0, place as usize);
    }
    let largest = (count / BATCHES).max(1);
    let mut rest = order.get(1..).unwrap_or_default();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at((count - rest.len()).min(largest).min(rest.len()));
        growing.insert(batch)?;
        rest = later;
    }
    growing.finish()
}

/// The section with codes, and nothing else yet.
fn encode(nibbles: &Nibbles, dimension: usize, vectors: &[f16]) -> Vec<u8> {
    let code_bytes = nibbles.byte_len();
    let node_bytes = node_byte_len(code_bytes);
    let mut bytes = vec![0; HEAD_BYTES + vectors.len() / dimension.max(1) * node_bytes];
    if let Some(nodes) = bytes.get_mut(HEAD_BYTES..) {
        let vectors = vectors.par_chunks_exact(dimension.max(1));
        nodes.par_chunks_exact_mut(node_bytes).zip(vectors).for_each(|(node, vector)| {
            let (code, _) = node.split_at_mut(code_bytes);
            nibbles.encode(vector, code);
        });
    }
    bytes
}

impl Growing<'_> {
    fn pruner(&self) -> Pruner<'_, Self> {
        Pruner { nodes: self, nibbles: self.nibbles, kernels: self.kernels, levels: Levels::default() }
    }

    /// The neighbours of a node.
    fn linked(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let links = self.links.get(node as usize).into_iter().flatten();
        links.map(|&link| u32::from_le_bytes(link)).take_while(|&link| link != NO_NODE)
    }

    fn insert(&mut self, batch: &[u32]) -> Result<()> {
        let room = || (Beam::default(), self.pruner());
        let chosen: Vec<Vec<u32>> = batch
            .par_iter()
            .map_init(room, |(beam, pruner), &node| {
                let vector = self.vectors.get(node as usize * self.dimension..).unwrap_or_default();
                let query = self.nibbles.query(vector.iter().take(self.dimension).map(|c| c.to_f32()));
                beam.search(self, self.kernels, &query, self.entry, WIDTH)?;
                pruner.choose(node, &beam.found().collect::<Vec<_>>())
            })
            .collect::<Result<_>>()?;
        let mut back: Vec<(u32, u32)> = Vec::with_capacity(batch.len() * DEGREE);
        for (&node, chosen) in batch.iter().zip(&chosen) {
            back.extend(chosen.iter().map(|&target| (target, node)));
            self.set(node, chosen);
        }
        back.par_sort_unstable();
        let groups: Vec<&[(u32, u32)]> = back.chunk_by(|a, b| a.0 == b.0).collect();
        let linked: Vec<(u32, Vec<u32>)> = groups
            .par_iter()
            .map_init(
                || self.pruner(),
                |pruner, group| {
                    let target = group.first().map_or(NO_NODE, |pair| pair.0);
                    let mut links: Vec<u32> = self.linked(target).chain(group.iter().map(|pair| pair.1)).collect();
                    if links.len() > MOST_LINKS {
                        links = pruner.choose_again(target, &links)?;
                    }
                    Ok((target, links))
                },
            )
            .collect::<Result<_>>()?;
        for (target, links) in &linked {
            self.set(*target, links);
        }
        Ok(())
    }

    fn set(&mut self, node: u32, links: &[u32]) {
        if let Some(slots) = self.links.get_mut(node as usize) {
            *slots = NO_LINKS;
            for (slot, link) in slots.iter_mut().zip(links) {
                *slot = link.to_le_bytes();
            }
        }
    }

    /// Prunes every list to `DEGREE`, writes them and the head.
    fn finish(mut self) -> Result<Vec<u8>> {
        let lists: Vec<Option<Vec<u32>>> = (0..self.links.len() as u32)
            .into_par_iter()
            .map_init(
                || self.pruner(),
                |pruner, node| {
                    let links: Vec<u32> = self.linked(node).collect();
                    (links.len() > DEGREE).then(|| pruner.choose_again(node, &links)).transpose()
                },
            )
            .collect::<Result<_>>()?;
        for (node, list) in (0..).zip(&lists) {
            if let Some(list) = list {
                self.set(node, list);
            }
        }
        let code_bytes = self.nibbles.byte_len();
        let mut bytes = self.bytes;
        let (head, nodes) = bytes.split_at_mut(HEAD_BYTES);
        let runs = ((code_bytes - FACTOR_BYTES) / RUN_BYTES) as u32;
        let fields = [VERSION, self.links.len() as u32, runs, self.entry].map(u32::to_le_bytes);
        head.iter_mut().zip(fields.as_flattened()).for_each(|(to, &from)| *to = from);
        for (node, links) in nodes.chunks_exact_mut(node_byte_len(code_bytes)).zip(&self.links) {
            let (_, slots) = node.split_at_mut(code_bytes);
            if let Some(links) = links.as_flattened().get(..LINK_BYTES) {
                slots.copy_from_slice(links);
            }
        }
        Ok(bytes)
    }
}

/// `0..count` in an order that looks random and is always the same (Fisher and Yates).
fn shuffled(count: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    let mut state = 0x7069_7872_u64;
    for last in (1..order.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let other = (u128::from(state) * (last as u128 + 1)) >> 64;
        order.swap(last, other as usize);
    }
    order
}
