//! Best-first search through a graph with a bounded list of the best nodes seen.
//!
//! The loop of Vamana (Subramanya et al., NeurIPS 2019) and of the lowest layer of HNSW: expand the best node that is
//! not expanded yet, estimate its neighbours that were not seen yet, keep the `width` best; stop when all of them are
//! expanded. Order is by estimate, then by node, so the answer is the same on every machine.
//!
//! Time goes into waiting for memory: the codes of all new neighbours are asked for before the first is compared, and
//! the neighbours of the node that is likely next while this one's are.

use super::super::kernels::{Kernels, prefetch, prefetch_one_of_many};
use super::nibbles::Levels;
use crate::error::Result;

/// Most neighbours that a node can have, also while a graph is being built: three lines.
pub(super) const MOST_LINKS: usize = 48;
/// Ends a list of neighbours that is not full.
pub(super) const NO_NODE: u32 = u32::MAX;
const EXPANDED: u64 = 1 << 31;
const NODE_BITS: u64 = EXPANDED - 1;
/// Slots of the table of seen nodes for each entry of the beam to begin with.
const SLOTS_AN_ENTRY: usize = 48;
const FEWEST_SLOTS: usize = 1024;

/// A graph to search. Nodes have numbers below 2³¹.
pub(super) trait Nodes {
    /// The code of a node with its factors.
    fn code(&self, node: u32) -> Result<&[u8]>;
    /// The neighbours of a node: little-endian u32, ended by `NO_NODE` or the end.
    fn links(&self, node: u32) -> Result<&[u8]>;
    /// Hints that the neighbours of a node will be asked for.
    fn expect_links(&self, node: u32) {
        if let Ok(links) = self.links(node) {
            prefetch(links);
        }
    }
}

/// A search's memory, kept for the next one.
#[derive(Debug, Default)]
pub(in super::super) struct Beam {
    /// Best first: estimate in the high half, then whether expanded, then the node.
    entries: Vec<u64>,
    seen: Seen,
    /// Every node that was compared, as the entries are, in the order in which the walk came by.
    compared: Vec<u64>,
}

impl Beam {
    /// Searches from `entry`; the beam then holds the `width` best nodes.
    pub(super) fn search(
        &mut self,
        nodes: &impl Nodes,
        kernels: &Kernels,
        query: &Levels,
        entry: u32,
        width: usize,
    ) -> Result<()> {
        self.entries.clear();
        self.seen.clear(width);
        self.seen.insert(entry);
        self.entries.push(key(query.estimate(kernels, nodes.code(entry)?), entry));
        self.compared.clone_from(&self.entries);
        let mut fresh: [(u32, &[u8]); MOST_LINKS] = [(0, &[]); MOST_LINKS];
        let mut cursor = 0;
        while let Some(best) = self.entries.get_mut(cursor) {
            if *best & EXPANDED != 0 {
                cursor += 1;
                continue;
            }
            let node = node_of(*best);
            *best |= EXPANDED;
            if let Some(&next) = self.entries.get(cursor + 1) {
                nodes.expect_links(node_of(next));
            }
            let mut count = 0;
            let (links, _) = nodes.links(node)?.as_chunks::<4>();
            for link in links.iter().map(|&link| u32::from_le_bytes(link)).take_while(|&link| link != NO_NODE) {
                if self.seen.insert(link)
                    && let Some(slot) = fresh.get_mut(count)
                {
                    let code = nodes.code(link)?;
                    prefetch_one_of_many(code);
                    *slot = (link, code);
                    count += 1;
                }
            }
            for &(link, code) in fresh.iter().take(count) {
                let key = key(query.estimate(kernels, code), link);
                self.compared.push(key);
                if self.entries.len() >= width {
                    if self.entries.last().is_some_and(|&worst| key | EXPANDED <= worst | EXPANDED) {
                        continue;
                    }
                    self.entries.pop();
                }
                let place = self.entries.partition_point(|&entry| entry | EXPANDED > key | EXPANDED);
                self.entries.insert(place, key);
                cursor = cursor.min(place);
            }
        }
        Ok(())
    }

    /// The nodes found with their estimates, best first.
    pub(in super::super) fn found(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.entries.iter().map(|&entry| (node_of(entry), estimate_of(entry)))
    }

    /// How many nodes were compared on the way.
    pub(in super::super) fn compared(&self) -> usize {
        self.compared.len()
    }

    /// The `most` best of those that were compared and are wanted, with their estimates, each once, in no order.
    pub(in super::super) fn best_compared(&self, most: usize, is_wanted: impl Fn(u32) -> bool) -> Vec<(u32, f32)> {
        let mut best: Vec<u64> = self.compared.iter().copied().filter(|&entry| is_wanted(node_of(entry))).collect();
        if best.len() > most {
            best.select_nth_unstable_by(most, |a, b| b.cmp(a));
            best.truncate(most);
        }
        best.into_iter().map(|entry| (node_of(entry), estimate_of(entry))).collect()
    }
}

/// Orders like the estimate, then by node, lower first.
#[inline]
fn key(estimate: f32, node: u32) -> u64 {
    let bits = estimate.to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | (NODE_BITS - u64::from(node)) & NODE_BITS
}

#[inline]
fn node_of(key: u64) -> u32 {
    (NODE_BITS - (key & NODE_BITS)) as u32
}

fn estimate_of(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

/// A set of nodes: a hash table with open addresses, at most half full.
#[derive(Debug, Default)]
struct Seen {
    slots: Vec<u32>,
    len: usize,
}

impl Seen {
    /// Empties the set and makes room for what a beam of `width` is likely to see.
    fn clear(&mut self, width: usize) {
        let slots = width.saturating_mul(SLOTS_AN_ENTRY).clamp(FEWEST_SLOTS, 1 << 20).next_power_of_two();
        self.slots.clear();
        self.slots.resize(slots, NO_NODE);
        self.len = 0;
    }

    /// Adds a node; whether it is new.
    #[inline]
    fn insert(&mut self, node: u32) -> bool {
        let mask = self.slots.len().wrapping_sub(1);
        // Knuth's multiplicative hashing.
        let mut place = (node.wrapping_mul(0x9e37_79b1) >> 7) as usize & mask;
        while let Some(slot) = self.slots.get_mut(place) {
            if *slot == NO_NODE {
                *slot = node;
                self.len += 1;
                if self.len * 2 > self.slots.len() {
                    self.grow();
                }
                return true;
            }
            if *slot == node {
                return false;
            }
            place = (place + 1) & mask;
        }
        false
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![NO_NODE; self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, larger);
        self.len = 0;
        for node in old.into_iter().filter(|&node| node != NO_NODE) {
            self.insert(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_estimate_then_node_and_come_back() {
        let in_order = [(0.5, 3), (0.5, 4), (0.25, 0), (0.0, 9), (-0.25, 1), (-0.5, NODE_BITS as u32)];
        let keys: Vec<u64> = in_order.iter().map(|&(estimate, node)| key(estimate, node)).collect();
        assert!(keys.is_sorted_by(|a, b| a > b));
        let back: Vec<(f32, u32)> = keys.iter().map(|&key| (estimate_of(key), node_of(key | EXPANDED))).collect();
        assert_eq!(back, in_order);
    }

    #[test]
    fn the_set_of_seen_nodes_grows_and_forgets_nothing() {
        let mut seen = Seen::default();
        for _ in 0..2 {
            seen.clear(1);
            assert!((0..5000).all(|node| seen.insert(node * 7)));
            assert!((0..5000).all(|node| !seen.insert(node * 7)));
        }
    }
}
