//! Chooses the neighbours of a node.

use super::super::kernels::Kernels;
use super::DEGREE;
use super::beam::Nodes;
use super::nibbles::{Levels, Nibbles};
use crate::error::Result;

/// A chosen neighbour covers a candidate that is closer to it, times this, than to the node, in squared distances.
const ALPHA: f32 = 1.1;
/// Rows whose cosine is above this are twins: codes of four bits hardly tell them apart.
const TWIN: f32 = 0.99;
/// Links that are kept for twins: with so many random ones each, hardly any twin is out of reach of the others.
const TWIN_LINKS: usize = 10;

/// What pruning reads, and room to work in.
#[derive(Debug)]
pub(super) struct Pruner<'a, N> {
    pub(super) nodes: &'a N,
    pub(super) nibbles: &'a Nibbles,
    pub(super) kernels: &'static Kernels,
    pub(super) levels: Levels,
}

impl<N: Nodes> Pruner<'_, N> {
    /// At most `DEGREE` neighbours of `node` out of candidates, best first by their estimates: those that no chosen one
    /// covers (`RobustPrune` of Vamana), so that links lead in all directions, then any of the others.
    ///
    /// Twins, such as the frames of a still scene, cover each other, so nearly all links would lead away from them, and
    /// the few that don't to the same few: the others would never be found. So `TWIN_LINKS` links are kept for twins,
    /// and any of them are taken, not the best.
    pub(super) fn choose(&mut self, node: u32, candidates: &[(u32, f32)]) -> Result<Vec<u32>> {
        let twins = candidates.iter().take_while(|(_, estimate)| *estimate > TWIN).count();
        let apart = DEGREE - twins.min(TWIN_LINKS);
        let mut chosen: Vec<u32> = Vec::with_capacity(DEGREE);
        let mut covered: Vec<(bool, u64, u32)> = Vec::new();
        for &(candidate, estimate) in candidates {
            if chosen.len() >= apart {
                break;
            }
            // The squared distance of unit vectors is 2 - 2 s.
            let bar = 1.0 - (1.0 - estimate) / ALPHA;
            self.nibbles.unpack(self.nodes.code(candidate)?, &mut self.levels);
            let mut is_covered = false;
            for &other in &chosen {
                if self.levels.estimate(self.kernels, self.nodes.code(other)?) > bar {
                    is_covered = true;
                    break;
                }
            }
            if is_covered {
                covered.push((estimate <= TWIN, mixed(node, candidate), candidate));
            } else {
                chosen.push(candidate);
            }
        }
        covered.sort_unstable();
        let room = DEGREE.saturating_sub(chosen.len());
        chosen.extend(covered.into_iter().map(|(_, _, candidate)| candidate).take(room));
        Ok(chosen)
    }

    /// `choose` among `links` of `node` in any order.
    pub(super) fn choose_again(&mut self, node: u32, links: &[u32]) -> Result<Vec<u32>> {
        self.nibbles.unpack(self.nodes.code(node)?, &mut self.levels);
        let mut scored = Vec::with_capacity(links.len());
        for &link in links {
            scored.push((link, self.levels.estimate(self.kernels, self.nodes.code(link)?)));
        }
        scored.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        self.choose(node, &scored)
    }
}

/// A number that looks random, always the same for a pair: the last steps of Steele, Lea and Flood's SplitMix64.
fn mixed(node: u32, candidate: u32) -> u64 {
    let word = (u64::from(node) << 32 | u64::from(candidate)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word ^ (word >> 27)
}
