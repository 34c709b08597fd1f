//! A calibration read from tables: never less than what it gives, for a few nanoseconds.
//!
//! A curve is an exponential or a power, and videos are bounded by hundreds of thousands of rows. So each curve is
//! evaluated once at the upper end of every step, and a raw score has the confidence of its step. Steps of cosines divide
//! the range in which the curve rises, which may be a twentieth of all that a cosine can be.

use crate::search::calibrate::{Calibration, smallest_reaching};

const COSINE_STEPS: usize = 512;
const RATIO_STEPS: usize = 256;
/// Covers the rounding of what is computed here in f32.
const ROUNDING: f32 = 1e-4;
/// Covers the rounding of a cosine's step.
const COSINE_ROUNDING: f32 = 1e-6;
/// Above the cosine that has this share of the most a cosine can have, one step is enough.
const RISEN: f32 = 0.99;

/// One calibration.
pub(super) struct Steps {
    /// By cosine; the first entry is for a row without a vector, the second for cosines that are no evidence alone, the last
    /// for those that are above where the curve rises.
    cosine: Vec<f32>,
    /// The least cosine that is evidence alone, and how many steps there are to 1.
    first_cosine: f32,
    steps_to_one: f32,
    /// The confidences of those without words, from the step of cosines that are no evidence alone.
    alone: Box<[f32; COSINE_STEPS]>,
    /// By ratio of BM25 scores in [0, 1]; the first entry is for a row without words.
    ratio: Vec<f32>,
    agreement: f32,
    floor: f32,
}

/// Where a raw score lies; 0 is none.
pub(super) type Step = u16;

impl Steps {
    pub(super) fn new(calibration: &Calibration, has_vector: bool, has_words: bool) -> Self {
        let table = |is_asked: bool, steps: usize, curve: &dyn Fn(f32) -> f32| {
            let ends = (1..=if is_asked { steps } else { 0 }).map(|step| curve(step as f32 / steps as f32));
            std::iter::once(0.0).chain(ends).collect::<Vec<f32>>()
        };
        let mut steps = Self {
            alone: Box::new([0.0; COSINE_STEPS]),
            cosine: vec![0.0],
            first_cosine: 1.0,
            steps_to_one: 0.0,
            ratio: table(has_words, RATIO_STEPS, &|share| calibration.of_ratio(share)),
            agreement: calibration.agreement,
            floor: calibration.floor * (1.0 - ROUNDING),
        };
        if has_vector {
            steps.divide(calibration);
        }
        steps
    }

    /// Fills the tables of cosines.
    fn divide(&mut self, calibration: &Calibration) {
        let most = calibration.of_cosine(1.0);
        let first = calibration.cosine_floor(calibration.least()).clamp(-1.0, 1.0);
        let risen =
            smallest_reaching(first, 1.0, RISEN * most, |cosine| calibration.of_cosine(cosine)).clamp(first, 1.0);
        let count = COSINE_STEPS - 2;
        let width = ((risen - first) / count as f32).max(COSINE_ROUNDING);
        (self.first_cosine, self.steps_to_one) = (first, 1.0 / width);
        let ends = (0..=count).map(|step| calibration.of_cosine(first + width * step as f32 + COSINE_ROUNDING));
        self.cosine = std::iter::once(0.0).chain(ends).chain([most]).collect();
        *self.alone = std::array::from_fn(|at| if at == 0 { 0.0 } else { self.confidence(at as Step + 1, 0) });
    }

    /// The step of a cosine; minus infinity is none.
    #[inline]
    pub(super) fn of_cosine(&self, cosine: f32) -> Step {
        // A cast keeps to the range, and makes 0 of what is no number.
        Step::from(cosine > f32::NEG_INFINITY)
            + (((cosine - self.first_cosine) * self.steps_to_one + 1.0) as Step).min(COSINE_STEPS as Step - 1)
    }

    /// The step of a ratio of BM25 scores.
    #[inline]
    pub(super) fn of_ratio(ratio: f32) -> Step {
        1 + ((ratio * RATIO_STEPS as f32) as Step).min(RATIO_STEPS as Step - 1)
    }

    /// A confidence that a row with this cosine and no words does not exceed; minus infinity is none. Without a branch: exact
    /// answers ask it of every row.
    #[inline]
    pub(super) fn of_cosine_alone(&self, cosine: f32) -> f32 {
        let place = (cosine - self.first_cosine) * self.steps_to_one + 1.0;
        let step = place.max(0.0).min(COSINE_STEPS as f32 - 1.0) as Step;
        self.alone[usize::from(step) % COSINE_STEPS]
    }

    /// A confidence that no raw scores in these steps exceed.
    #[inline]
    pub(super) fn confidence(&self, cosine: Step, ratio: Step) -> f32 {
        let of = |table: &[f32], step: Step| table.get(usize::from(step)).copied().unwrap_or(1.0);
        let (one, other) = (of(&self.cosine, cosine), of(&self.ratio, ratio));
        let (greater, lesser) = if one > other { (one, other) } else { (other, one) };
        let combined = (greater + self.agreement * lesser * (1.0 - greater)) * (1.0 + ROUNDING);
        if combined >= self.floor { combined } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::calibrate::tests::calibrations;

    proptest! {
        #[test]
        fn steps_are_never_below_the_curves_and_not_far_above(
            calibration in calibrations(), cosine in -1.0_f32..=1.0, ratio in 0.0_f32..=1.0,
        ) {
            let steps = Steps::new(&calibration, true, true);
            let (at, of) = (steps.of_cosine(cosine), Steps::of_ratio(ratio));
            prop_assert!(steps.confidence(at, of) >= calibration.confidence(Some(cosine), Some(ratio)));
            prop_assert_eq!(steps.of_cosine_alone(cosine), if at < 2 { 0.0 } else { steps.confidence(at, 0) });
            prop_assert_eq!(steps.of_cosine_alone(f32::NEG_INFINITY), 0.0);
            // What has less than the least confidence is no evidence (`Term::least_cosine`).
            let alone = calibration.confidence(Some(cosine), None);
            prop_assert!(alone < calibration.least() || steps.of_cosine_alone(cosine) >= alone);
            prop_assert!(steps.confidence(0, of) >= calibration.confidence(None, Some(ratio)));
            prop_assert_eq!(steps.confidence(0, 0), 0.0);
            let is_risen = usize::from(at) == COSINE_STEPS;
            let next = cosine.max(steps.first_cosine) + 1.1 / steps.steps_to_one + 1e-5;
            let above = calibration.confidence(Some(if is_risen { 1.0 } else { next }), Some(ratio + 1.1 / RATIO_STEPS as f32));
            prop_assert!(steps.confidence(at, of) <= above.max(calibration.floor) * (1.0 + 3.0 * ROUNDING) + 1e-5);
        }
    }
}
