//! Turns the evidence of several channels at one instant into one score.
//!
//! Confidences share one scale (see `calibrate`), so they may be combined. A fused score lies in [0, 1], depends only on
//! the confidences and the query's weights, and never falls when a confidence rises. Every fusion also says what each
//! channel contributed; the contributions are not negative and add up to the score.
//!
//! A sum has one place for each thing that can be noticed by itself: pictures, metadata, words seen, and what is heard.
//! Speech and sound are two readings of one sound track, and little of it is both a sentence and a sound that was asked
//! for. So they share one place in the sum, where they combine by noisy-or: a sentence counts the same whether or not
//! sounds were labelled.
//!
//! Weights are relative: the greatest becomes 1. So `{frame: 2, speech: 1}` and `{frame: 1, speech: 0.5}` are the same
//! query, and a single channel's weight changes nothing. A weight of 0 takes the channel out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calibrate::{either, smallest_reaching};
use crate::catalog::channel::Channel;
use crate::error::{Error, Result};

/// One number a channel, by `Channel::index`; 0 where the channel has no evidence.
pub type PerChannel = [f32; Channel::ALL.len()];

/// How fast the worth of a rank falls (Cormack et al. 2009, "Reciprocal rank fusion").
const RANK_OFFSET: f64 = 60.0;

/// How the confidences of channels become one score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fusion {
    /// Noisy-or, `1 - Π (1 - weight * confidence)`: channels are independent witnesses, one sure one is enough.
    Probabilistic,
    /// `Σ weight * confidence / Σ weight` over the requested channels that the library holds: what is silent on a channel
    /// loses by it (Bruch et al. 2022, "An analysis of fusion functions for hybrid retrieval"). Speech and sound count as
    /// one channel with the greater of their weights.
    #[default]
    WeightedSum,
    /// The greatest `weight * confidence`.
    Max,
    /// `Σ weight * 61 / (60 + rank) / Σ weight`, with the rank of a segment among all evidence of its channel in the
    /// snapshot, before any filter, equal confidences sharing the better rank: so a score depends on snapshot and query
    /// alone, and being first everywhere scores 1.
    #[serde(rename = "rrf")]
    ReciprocalRank,
}

/// The weight of each requested channel, the greatest 1; 0 for those that were not asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    by_channel: PerChannel,
}

/// A fusion with its weights: all that a score needs besides the evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fuser {
    fusion: Fusion,
    weights: Weights,
    /// Of the places that sums are shared by.
    weight_sum: f64,
}

/// Where `channel` stands in a sum: speech and sound in one place.
const fn place(channel: Channel) -> usize {
    match channel {
        Channel::Sound => Channel::Speech.index(),
        Channel::Frame | Channel::Metadata | Channel::Screen | Channel::Speech => channel.index(),
    }
}

impl Weights {
    /// Weights of `channels`, 1 where `given` has none. `given` must be finite, not negative, not zero for all, and
    /// name requested channels only.
    pub fn new(channels: &[Channel], given: &BTreeMap<Channel, f32>) -> Result<Self> {
        let wrong = |detail: String| Err(Error::InvalidQuery { detail });
        let mut by_channel = PerChannel::default();
        for channel in channels {
            by_channel[channel.index()] = 1.0;
        }
        for (channel, &weight) in given {
            if !channels.contains(channel) {
                return wrong(format!("weights: channel {} is not among the requested channels", channel.name()));
            }
            if !(weight.is_finite() && weight >= 0.0) {
                return wrong(format!("weights: {} has {weight}, expected a number not below 0", channel.name()));
            }
            by_channel[channel.index()] = weight;
        }
        let greatest = by_channel.iter().copied().fold(0.0, f32::max);
        if greatest <= 0.0 {
            return wrong("weights: at least one channel needs a weight above 0".to_owned());
        }
        // Divided, not multiplied by the inverse, which overflows for the smallest numbers.
        Ok(Self { by_channel: by_channel.map(|weight| weight / greatest) })
    }

    /// The channel's weight in [0, 1].
    #[must_use]
    pub fn get(&self, channel: Channel) -> f32 {
        self.by_channel[channel.index()]
    }
}

impl Fuser {
    /// Scores by `fusion` under `weights`.
    #[must_use]
    pub fn new(fusion: Fusion, weights: Weights) -> Self {
        Self { fusion, weights, weight_sum: weight_sum(fusion, &weights, &Channel::ALL) }
    }

    /// The same, with only these channels in sums, so that others, which have no evidence anywhere, hold nothing down.
    #[must_use]
    pub fn over(self, channels: &[Channel]) -> Self {
        let weight_sum = weight_sum(self.fusion, &self.weights, channels);
        if weight_sum > 0.0 { Self { weight_sum, ..self } } else { self }
    }

    /// The fusion.
    #[must_use]
    pub fn fusion(&self) -> Fusion {
        self.fusion
    }

    /// The weights.
    #[must_use]
    pub fn weights(&self) -> Weights {
        self.weights
    }

    /// What fusion takes in for a segment: its confidence, or for reciprocal ranks the worth of its rank (1 is the
    /// best); 0 is no evidence. Never above 1.
    #[must_use]
    pub(crate) fn strength(&self, confidence: f32, rank: Option<u32>) -> f32 {
        if confidence.is_nan() || confidence <= 0.0 {
            return 0.0;
        }
        match (self.fusion, rank) {
            (Fusion::ReciprocalRank, Some(rank)) => {
                ((RANK_OFFSET + 1.0) / (RANK_OFFSET + f64::from(rank.max(1)))) as f32
            }
            (Fusion::ReciprocalRank, None) => 0.0,
            (Fusion::Probabilistic | Fusion::WeightedSum | Fusion::Max, _) => confidence.min(1.0),
        }
    }

    /// The score of one instant from the strengths of its channels.
    #[must_use]
    pub fn score(&self, strengths: &PerChannel) -> f32 {
        let worth = self.worth(strengths);
        let score = match self.fusion {
            Fusion::Probabilistic => worth.into_iter().fold(0.0, either),
            Fusion::WeightedSum => self.shared_place(worth).iter().sum::<f64>() / self.weight_sum,
            Fusion::ReciprocalRank => worth.iter().sum::<f64>() / self.weight_sum,
            Fusion::Max => worth.iter().copied().fold(0.0, f64::max),
        };
        score.clamp(0.0, 1.0) as f32
    }

    /// What each channel contributed to `score(strengths)`.
    ///
    /// Noisy-or is a sum of `-ln (1 - weight * confidence)` under a logarithm, so its score is shared in proportion to
    /// those. Under `Max` the winner takes all, the first of equal ones. The greatest contribution takes what rounding
    /// left over, so that none turns negative.
    #[must_use]
    pub fn contributions(&self, strengths: &PerChannel) -> PerChannel {
        self.share(self.score(strengths), strengths)
    }

    /// `contributions(strengths)`, where `score` is their score.
    pub(super) fn share(&self, score: f32, strengths: &PerChannel) -> PerChannel {
        let worth = self.worth(strengths);
        let shares = match self.fusion {
            Fusion::Probabilistic => worth.map(surprise),
            Fusion::WeightedSum => self.shared_place(worth),
            Fusion::ReciprocalRank => worth,
            Fusion::Max => {
                let winner = greatest(&worth);
                let mut shares = [0.0; Channel::ALL.len()];
                shares[winner] = worth[winner];
                shares
            }
        };
        let total = shares.iter().sum::<f64>();
        if total <= 0.0 {
            return PerChannel::default();
        }
        let mut contributions = shares.map(|share| (f64::from(score) * share / total) as f32);
        let sum: f64 = contributions.iter().copied().map(f64::from).sum();
        let rest = &mut contributions[greatest(&shares)];
        *rest = (f64::from(*rest) + f64::from(score) - sum) as f32;
        contributions
    }

    /// A confidence without which no fused score reaches `score`: where every channel stays below it, the fused score
    /// stays below `score`. Minus infinity where that excludes nothing (always for reciprocal ranks, whose scores don't
    /// follow from confidences); infinity where even certainty is not enough.
    #[must_use]
    pub(crate) fn required_confidence(&self, score: f32) -> f32 {
        if self.fusion == Fusion::ReciprocalRank {
            return f32::NEG_INFINITY;
        }
        smallest_reaching(0.0, 1.0, score, |confidence| self.score(&[confidence; Channel::ALL.len()]))
    }

    /// The fusion as bounds compute it. By ranks nothing is bounded: their scores don't follow from confidences.
    pub(super) fn blend(&self) -> Blend {
        let weights = self.weights.by_channel;
        match self.fusion {
            Fusion::WeightedSum => Blend::Sum { weights, scale: (1.0 / self.weight_sum) as f32 },
            Fusion::Probabilistic => Blend::NoisyOr { weights },
            Fusion::Max => Blend::Max { weights },
            Fusion::ReciprocalRank => Blend::Sum { weights: [f32::INFINITY; Channel::ALL.len()], scale: 1.0 },
        }
    }

    /// What each channel adds to a sum, with what speech and sound are worth together shared between them.
    fn shared_place(&self, worth: [f64; Channel::ALL.len()]) -> [f64; Channel::ALL.len()] {
        let heard = [Channel::Speech, Channel::Sound].map(Channel::index);
        let most = heard.iter().map(|&index| f64::from(self.weights.by_channel[index])).fold(0.0, f64::max);
        // Alone, either is worth exactly what it was: no rounding where there is nothing to share.
        if heard.iter().any(|&index| worth[index] <= 0.0) {
            return worth;
        }
        let parts = heard.map(|index| worth[index] / most);
        let together = most * either(parts[0], parts[1]);
        let surprises = parts.map(surprise);
        let mut shared = worth;
        for (index, part) in heard.into_iter().zip(surprises) {
            shared[index] = together * part / (surprises[0] + surprises[1]);
        }
        shared
    }

    fn worth(&self, strengths: &PerChannel) -> [f64; Channel::ALL.len()] {
        std::array::from_fn(|index| f64::from(self.weights.by_channel[index]) * f64::from(strengths[index]))
    }
}

/// A fusion of confidences in f32, channel by channel: what it gives is, but for rounding, not below the score.
#[derive(Debug, Clone, Copy)]
pub(super) enum Blend {
    /// Speech and sound are added up, as if they did not share a place.
    Sum {
        weights: PerChannel,
        scale: f32,
    },
    NoisyOr {
        weights: PerChannel,
    },
    Max {
        weights: PerChannel,
    },
}

impl Blend {
    /// The weight of a channel.
    pub(super) fn weight(&self, channel: Channel) -> f32 {
        let (Self::Sum { weights, .. } | Self::NoisyOr { weights } | Self::Max { weights }) = self;
        weights[channel.index()]
    }

    /// The score of confidences that are met together.
    pub(super) fn score(&self, confidences: &PerChannel) -> f32 {
        let timed = Channel::ALL.into_iter().filter(|channel| *channel != Channel::Metadata);
        let blended = timed.fold(0.0, |blended, channel| self.add(blended, channel, confidences[channel.index()]));
        self.with_metadata(blended, confidences[Channel::Metadata.index()])
    }

    /// The score of what was blended of the channels with a time, and the metadata.
    pub(super) fn with_metadata(&self, blended: f32, metadata: f32) -> f32 {
        let all = self.add(blended, Channel::Metadata, metadata);
        let score = if let Self::Sum { scale, .. } = self { all * scale } else { all };
        score.min(1.0)
    }

    /// One channel more.
    pub(super) fn add(&self, blended: f32, channel: Channel, confidence: f32) -> f32 {
        let worth = if confidence > 0.0 { self.weight(channel) * confidence } else { 0.0 };
        match self {
            Self::Sum { .. } => blended + worth,
            Self::NoisyOr { .. } => blended + worth * (1.0 - blended),
            Self::Max { .. } => blended.max(worth),
        }
    }
}

/// What the places of a sum weigh together that `channels` take, each as much as the weightiest channel in it. Ranks are
/// summed channel by channel.
fn weight_sum(fusion: Fusion, weights: &Weights, channels: &[Channel]) -> f64 {
    let mut by_place = [0.0_f64; Channel::ALL.len()];
    for &channel in channels {
        let place = if fusion == Fusion::ReciprocalRank { channel.index() } else { place(channel) };
        by_place[place] = by_place[place].max(f64::from(weights.get(channel)));
    }
    by_place.iter().sum()
}

/// `-ln (1 - worth)`, by which noisy-or becomes a sum. For certainty it would be infinite; the bound keeps shares finite and
/// in order.
fn surprise(worth: f64) -> f64 {
    -(-worth.min(1.0 - 1e-12)).ln_1p()
}

/// The index of the greatest number, the first of equal ones.
fn greatest(numbers: &[f64; Channel::ALL.len()]) -> usize {
    (1..numbers.len()).fold(0, |best, index| if numbers[index] > numbers[best] { index } else { best })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fuser(fusion: Fusion, weights: &[(Channel, f32)]) -> Result<Fuser> {
        let channels: Vec<_> = weights.iter().map(|&(channel, _)| channel).collect();
        Ok(Fuser::new(fusion, Weights::new(&channels, &weights.iter().copied().collect())?))
    }

    fn fusers() -> impl Strategy<Value = Fuser> {
        let fusion = prop_oneof![
            Just(Fusion::Probabilistic),
            Just(Fusion::WeightedSum),
            Just(Fusion::Max),
            Just(Fusion::ReciprocalRank),
        ];
        let weights = [0.0f32..5.0, 0.0f32..5.0, 0.0f32..5.0, 0.0f32..5.0, 0.1f32..5.0];
        (fusion, weights).prop_filter_map("all weights are zero", |(fusion, weights)| {
            fuser(fusion, &Channel::ALL.into_iter().zip(weights).collect::<Vec<_>>()).ok()
        })
    }

    fn strengths() -> impl Strategy<Value = PerChannel> {
        proptest::array::uniform5(prop_oneof![Just(0.0f32), Just(1.0f32), 0.0f32..=1.0, 1e-30f32..1e-9])
    }

    #[test]
    fn fusions_follow_their_formulas() -> Result<()> {
        let strengths = [0.5, 0.0, 0.0, 0.8, 0.0];
        let weights = [(Channel::Frame, 2.0), (Channel::Speech, 1.0), (Channel::Screen, 1.0)];
        for (fusion, expected) in
            [(Fusion::Probabilistic, 1.0 - 0.5 * 0.6), (Fusion::WeightedSum, (0.5 + 0.4) / 2.0), (Fusion::Max, 0.5)]
        {
            let score = fuser(fusion, &weights)?.score(&strengths);
            assert!((score - expected).abs() < 1e-6, "{fusion:?}: {score}");
        }
        let ranked = fuser(Fusion::ReciprocalRank, &weights)?;
        assert_eq!(ranked.strength(0.2, Some(1)), 1.0);
        assert!((ranked.strength(0.2, Some(62)) - 0.5).abs() < 1e-6);
        assert_eq!(ranked.strength(0.2, None), 0.0);
        Ok(())
    }

    /// A cosine far from what is asked has such a confidence: it was counted as a hit, and came on no page.
    #[test]
    fn what_is_tiny_does_not_vanish_beside_one() -> Result<()> {
        let channels = [(Channel::Screen, 1.0), (Channel::Speech, 1.0), (Channel::Sound, 1.0)];
        for fusion in [Fusion::Probabilistic, Fusion::WeightedSum, Fusion::Max] {
            let fuser = fuser(fusion, &channels)?;
            for tiny in [[0.0, 0.0, 0.0, 1e-20, 0.0], [0.0, 0.0, 0.0, 1e-20, 1e-20]] {
                let (score, blend) = (fuser.score(&tiny), fuser.blend().score(&tiny));
                assert!(score > 0.0 && blend * (1.0 + 1e-5) >= score, "{fusion:?}: {score}, {blend}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_sentence_counts_the_same_whether_or_not_sounds_are_held() -> Result<()> {
        let all = Channel::ALL.map(|channel| (channel, 1.0));
        let fuser = fuser(Fusion::WeightedSum, &all)?;
        let without = fuser.over(&[Channel::Frame, Channel::Speech]);
        let with = fuser.over(&[Channel::Frame, Channel::Speech, Channel::Sound]);
        let said = [0.0, 0.0, 0.0, 0.7, 0.0];
        assert_eq!(without.score(&said), 0.35);
        assert_eq!(with.score(&said), 0.35);
        assert_eq!(with.score(&[0.0, 0.0, 0.0, 0.0, 0.7]), 0.35);
        assert_eq!(fuser.over(&[Channel::Speech, Channel::Sound]).score(&said), 0.7);
        // Both together are worth their noisy-or, here of half the audio's weight for the sound.
        let halved = self::fuser(Fusion::WeightedSum, &[(Channel::Speech, 1.0), (Channel::Sound, 0.5)])?;
        assert!((halved.score(&[0.0, 0.0, 0.0, 0.6, 0.5]) - (1.0 - 0.4 * 0.75)).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn weights_are_relative() -> Result<()> {
        let weights = Weights::new(&[Channel::Frame, Channel::Speech], &[(Channel::Frame, 4.0)].into())?;
        assert_eq!((weights.get(Channel::Frame), weights.get(Channel::Speech)), (1.0, 0.25));
        assert_eq!(weights.get(Channel::Sound), 0.0);
        Ok(())
    }

    #[test]
    fn weights_without_meaning_are_refused() {
        for (given, word) in [
            ([(Channel::Frame, -1.0)], "frame"),
            ([(Channel::Frame, f32::NAN)], "frame"),
            ([(Channel::Frame, 0.0)], "above 0"),
            ([(Channel::Speech, 1.0)], "speech"),
        ] {
            let got = Weights::new(&[Channel::Frame], &given.into());
            assert!(matches!(got, Err(Error::InvalidQuery { detail }) if detail.contains(word)));
        }
    }

    #[test]
    fn fusions_are_named_as_users_write_them() -> Result<(), serde_json::Error> {
        assert_eq!(serde_json::from_str::<Fusion>("\"weighted_sum\"")?, Fusion::WeightedSum);
        assert_eq!(serde_json::to_string(&Fusion::ReciprocalRank)?, "\"rrf\"");
        Ok(())
    }

    proptest! {
        #[test]
        fn a_blend_is_not_below_the_score(fuser in fusers(), strengths in strengths()) {
            prop_assert!(fuser.blend().score(&strengths) * (1.0 + 1e-5) >= fuser.score(&strengths));
        }

        #[test]
        fn contributions_add_up_to_the_score(fuser in fusers(), strengths in strengths()) {
            let (score, parts) = (fuser.score(&strengths), fuser.contributions(&strengths));
            let sum: f64 = parts.iter().copied().map(f64::from).sum();
            prop_assert!((sum - f64::from(score)).abs() < 1e-6, "{sum} {score}");
            for (part, strength) in parts.into_iter().zip(strengths) {
                prop_assert!(part >= 0.0 && (strength > 0.0 || part == 0.0));
            }
        }

        #[test]
        fn a_score_never_falls_when_a_channel_rises(fuser in fusers(), strengths in strengths(), index in 0usize..5) {
            let mut raised = strengths;
            raised[index] = f32::midpoint(raised[index], 1.0);
            prop_assert!(fuser.score(&raised) >= fuser.score(&strengths));
            prop_assert!((0.0..=1.0).contains(&fuser.score(&strengths)));
        }

        #[test]
        fn without_the_required_confidence_the_score_is_out_of_reach(
            fuser in fusers(), strengths in strengths(), asked in 0.0f32..=1.0,
        ) {
            let got = fuser.score(&strengths);
            let strongest = strengths.into_iter().fold(0.0, f32::max);
            for score in [asked, got] {
                if got >= score {
                    prop_assert!(strongest >= fuser.required_confidence(score));
                }
            }
        }

        #[test]
        fn the_required_confidence_is_tight(fuser in fusers(), score in 0.01f32..0.99) {
            let required = fuser.required_confidence(score);
            if required.is_finite() {
                prop_assert!(fuser.score(&[(required + 1e-5).min(1.0); 5]) >= score);
            }
        }
    }
}
