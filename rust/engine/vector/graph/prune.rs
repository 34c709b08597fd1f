//! Chooses the neighbours of a node.

use super::super::kernels::Kernels;
use super::DEGREE;
use super::beam::Nodes;
use super::nibbles::{Levels, Nibbles};
use crate::error::Result;

/// A chosen neighbour covers a candidate that is closer to it, times this, than to the node, in squared distances.
const ALPHA: f32 = 1.1;

/// What pruning reads, and room to work in.
#[derive(Debug)]
pub(super) struct Pruner<'a, N> {
    pub(super) nodes: &'a N,
    pub(super) nibbles: &'a Nibbles,
    pub(super) kernels: &'static Kernels,
    pub(super) levels: Levels,
}

impl<N: Nodes> Pruner<'_, N> {
    /// At most `DEGREE` of the candidates, best first by their estimates: first those that no chosen one covers
    /// (`RobustPrune` of Vamana), so that links lead in all directions; then the best of the others, so that many rows
    /// with one vector stay connected.
    pub(super) fn choose(&mut self, candidates: &[(u32, f32)]) -> Result<Vec<u32>> {
        let mut chosen: Vec<u32> = Vec::with_capacity(DEGREE);
        let mut covered: Vec<u32> = Vec::new();
        for &(candidate, estimate) in candidates {
            if chosen.len() >= DEGREE {
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
            if is_covered { &mut covered } else { &mut chosen }.push(candidate);
        }
        let room = DEGREE.saturating_sub(chosen.len());
        chosen.extend(covered.into_iter().take(room));
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
        self.choose(&scored)
    }
}
