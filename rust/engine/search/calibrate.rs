//! Maps raw scores to confidences that share one scale.
//!
//! A cosine of 0.3 means much in one space and nothing in another, and a BM25 score means nothing without its query.
//! A `Calibration` belongs to one channel in one space and maps either to a confidence in [0, 1]: the logistic of a
//! cosine, and a saturating curve of the ratio of a BM25 score to the best score that the query could have. Where no
//! parameters were fitted, the curves are straight lines ((1 + cosine) / 2 and the ratio itself), and `is_fitted` says
//! so: such confidences order evidence but must not be read as probabilities.
//!
//! A confidence below `floor` is exactly zero: no evidence.
//!
//! A segment with words and meaning (speech) has two confidences from one text. They are not independent, so noisy-or
//! would count the same words twice; the greater alone would forget that two weak signs agree. They combine as
//! `greater + agreement * lesser * (1 - greater)`: `agreement` 0 is the maximum, 1 is noisy-or, and it is fitted as the
//! rest. Unfitted it is 0.
//!
//! Both curves and the combination never fall as a raw score rises. That makes the inverse (`cosine_floor`,
//! `lexical_floor`) safe for pruning: no segment below the floors can reach the confidence.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// `1 / (1 + exp(-slope * (cosine - center)))`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logistic {
    /// The cosine whose confidence is one half.
    pub center: f32,
    /// Steepness, above zero; the derivative at the centre is a quarter of it.
    pub slope: f32,
}

/// `top * (1 + half^power) * ratio^power / (ratio^power + half^power)`: zero at 0, `top` at 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saturation {
    /// Where the curve bends: the ratio whose confidence is half of what an unbounded ratio would have; above zero.
    pub half: f32,
    /// 1 is concave throughout; above 1 small ratios, a stray common word, count for less. Above zero.
    pub power: f32,
    /// The confidence of the best score that the query can have, in (0, 1].
    pub top: f32,
}

/// How one channel's raw scores become confidences. The default is the unfitted one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calibration {
    /// For cosines; `None` where nothing was fitted for the space.
    pub vector: Option<Logistic>,
    /// For the ratio of a BM25 score to the query's best possible one; `None` where nothing was fitted.
    pub lexical: Option<Saturation>,
    /// How far words and meaning of one segment are independent: 0 takes the greater, 1 is noisy-or.
    pub agreement: f32,
    /// Confidences below are no evidence.
    pub floor: f32,
}

/// What a channel is asked for, which decides how far a raw score can be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// A vector or words.
    One,
    /// A vector and words, of which either may be strengthened by the other.
    Both,
}

impl Logistic {
    fn confidence(self, cosine: f32) -> f32 {
        let distance = f64::from(self.slope) * (f64::from(cosine) - f64::from(self.center));
        (1.0 / (1.0 + (-distance).exp())) as f32
    }
}

impl Saturation {
    fn confidence(self, ratio: f32) -> f32 {
        let power = f64::from(self.power);
        let (bent, half) = (f64::from(ratio).powf(power), f64::from(self.half).powf(power));
        let share = if bent + half > 0.0 { (1.0 + half) * bent / (bent + half) } else { 0.0 };
        (f64::from(self.top) * share) as f32
    }
}

impl Calibration {
    /// Checks parameters that come from a file or a caller; `what` names them in the error.
    pub fn validate(&self, what: &str) -> Result<()> {
        let wrong = |detail: String| Err(Error::InvalidQuery { detail: format!("calibration of {what}: {detail}") });
        if let Some(Logistic { center, slope }) = self.vector
            && !(center.is_finite() && slope.is_finite() && slope > 0.0)
        {
            return wrong(format!("center {center} and slope {slope} must be finite, slope above zero"));
        }
        if let Some(Saturation { half, power, top }) = self.lexical
            && !((1e-3..=1e3).contains(&half) && (0.1..=10.0).contains(&power) && top > 0.0 && top <= 1.0)
        {
            return wrong(format!(
                "half {half}, power {power}, top {top}: expected 0.001..1000, 0.1..10, above 0 to 1"
            ));
        }
        for (name, value) in [("agreement", self.agreement), ("floor", self.floor)] {
            if !(0.0..=1.0).contains(&value) {
                return wrong(format!("{name} is {value}, expected 0 to 1"));
            }
        }
        Ok(())
    }

    /// Whether every curve that the channel is asked through was fitted on data.
    #[must_use]
    pub fn is_fitted(&self, has_vector: bool, has_text: bool) -> bool {
        (!has_vector || self.vector.is_some()) && (!has_text || self.lexical.is_some())
    }

    /// The confidence of a segment, in [0, 1]; 0 means no evidence. `cosine` in [-1, 1], `lexical_ratio` in [0, 1],
    /// both clamped; NaN counts as absent.
    #[must_use]
    pub fn confidence(&self, cosine: Option<f32>, lexical_ratio: Option<f32>) -> f32 {
        let vector = cosine.map_or(0.0, |cosine| self.of_cosine(cosine));
        let lexical = lexical_ratio.map_or(0.0, |ratio| self.of_ratio(ratio));
        let combined = self.combine(vector, lexical);
        if combined >= self.floor { combined } else { 0.0 }
    }

    /// The least confidence that counts as evidence: `floor`, or the smallest number above zero.
    #[must_use]
    pub fn least(&self) -> f32 {
        self.floor.max(f32::MIN_POSITIVE)
    }

    /// No segment with a lower cosine reaches `confidence`, unless (with `Kinds::Both`) its words reach
    /// `lexical_floor` of the same. Infinite where no cosine does; minus infinity for a confidence of 0, which all reach.
    #[must_use]
    pub fn cosine_floor(&self, confidence: f32, kinds: Kinds) -> f32 {
        let needed = self.needed(confidence, kinds);
        smallest_reaching(-1.0, 1.0, needed, |cosine| self.of_cosine(cosine))
    }

    /// No segment with a lower ratio of BM25 scores reaches `confidence`, unless (with `Kinds::Both`) its cosine
    /// reaches `cosine_floor` of the same. Infinite where no ratio does; minus infinity for a confidence of 0.
    #[must_use]
    pub fn lexical_floor(&self, confidence: f32, kinds: Kinds) -> f32 {
        let needed = self.needed(confidence, kinds);
        smallest_reaching(0.0, 1.0, needed, |ratio| self.of_ratio(ratio))
    }

    /// The least confidence that the stronger kind of evidence must have for the segment to reach `confidence`.
    fn needed(&self, confidence: f32, kinds: Kinds) -> f32 {
        if confidence <= 0.0 {
            return 0.0;
        }
        // What is below the floor is zero, so whatever reaches anything reaches the floor.
        let confidence = confidence.max(self.floor);
        match kinds {
            Kinds::One => confidence,
            Kinds::Both => smallest_reaching(0.0, 1.0, confidence, |both| self.combine(both, both)),
        }
    }

    fn of_cosine(&self, cosine: f32) -> f32 {
        if cosine.is_nan() {
            return 0.0;
        }
        let cosine = cosine.clamp(-1.0, 1.0);
        self.vector.map_or_else(|| f32::midpoint(1.0, cosine), |curve| curve.confidence(cosine)).clamp(0.0, 1.0)
    }

    fn of_ratio(&self, ratio: f32) -> f32 {
        if ratio.is_nan() {
            return 0.0;
        }
        let ratio = ratio.clamp(0.0, 1.0);
        self.lexical.map_or(ratio, |curve| curve.confidence(ratio)).clamp(0.0, 1.0)
    }

    fn combine(&self, one: f32, other: f32) -> f32 {
        let (greater, lesser) = (f64::from(one.max(other)), f64::from(one.min(other)));
        (greater + f64::from(self.agreement) * lesser * (1.0 - greater)) as f32
    }
}

/// A number at or just below the smallest one in `[low, high]` at which `rising` reaches `value`.
///
/// `rising` never falls except by rounding, whose reach is far below the margin that is taken off. Minus infinity where
/// `value` is not above zero, infinity where nothing in the range reaches it.
pub(super) fn smallest_reaching(low: f32, high: f32, value: f32, rising: impl Fn(f32) -> f32) -> f32 {
    if value <= 0.0 {
        return f32::NEG_INFINITY;
    }
    let margin = |x: f64| x.abs() * 1e-6 + 1e-7;
    let (mut below, mut reaching) = (f64::from(low), f64::from(high));
    if rising(low) >= value {
        return f32::NEG_INFINITY;
    }
    if value.is_nan() || rising(high) < value {
        return f32::INFINITY;
    }
    while reaching - below > margin(reaching) / 8.0 {
        let middle = f64::midpoint(below, reaching);
        if rising(middle as f32) >= value {
            reaching = middle;
        } else {
            below = middle;
        }
    }
    (below - margin(below)) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn calibrations() -> impl Strategy<Value = Calibration> {
        let vector =
            proptest::option::of((-0.5f32..0.9, 0.1f32..80.0).prop_map(|(center, slope)| Logistic { center, slope }));
        let lexical =
            proptest::option::of((0.01f32..3.0, 0.3f32..5.0, 0.1f32..=1.0).prop_map(|(half, power, top)| Saturation {
                half,
                power,
                top,
            }));
        (vector, lexical, 0.0f32..=1.0, prop_oneof![Just(0.0f32), 0.0f32..0.9])
            .prop_map(|(vector, lexical, agreement, floor)| Calibration { vector, lexical, agreement, floor })
    }

    #[test]
    fn an_unknown_space_maps_cosines_on_a_line_and_says_so() {
        let unknown = Calibration::default();
        assert_eq!(unknown.confidence(Some(0.0), None), 0.5);
        assert_eq!(unknown.confidence(Some(1.0), None), 1.0);
        assert_eq!(unknown.confidence(Some(-1.0), None), 0.0);
        assert!(!unknown.is_fitted(true, false));
        assert!(unknown.is_fitted(false, false));
    }

    #[test]
    fn below_the_floor_there_is_no_evidence() {
        let fitted =
            Calibration { vector: Some(Logistic { center: 0.3, slope: 20.0 }), floor: 0.5, ..Calibration::default() };
        assert_eq!(fitted.confidence(Some(0.29), None), 0.0);
        assert!(fitted.confidence(Some(0.31), None) > 0.5);
        assert_eq!(fitted.confidence(Some(f32::NAN), None), 0.0);
        assert_eq!(fitted.confidence(None, None), 0.0);
    }

    #[test]
    fn a_full_lexical_match_has_the_top_confidence() {
        let curve = Saturation { half: 0.4, power: 2.0, top: 0.9 };
        let fitted = Calibration { lexical: Some(curve), ..Calibration::default() };
        assert!((fitted.confidence(None, Some(1.0)) - 0.9).abs() < 1e-6);
        assert_eq!(fitted.confidence(None, Some(0.0)), 0.0);
        assert!(fitted.confidence(None, Some(0.1)) < 0.1);
    }

    #[test]
    fn two_kinds_of_evidence_are_worth_the_greater_to_the_noisy_or() {
        let with = |agreement| Calibration { agreement, ..Calibration::default() };
        assert_eq!(with(0.0).confidence(Some(0.0), Some(0.4)), 0.5);
        assert!((with(1.0).confidence(Some(0.0), Some(0.4)) - 0.7).abs() < 1e-6);
        assert!((with(0.5).confidence(Some(0.0), Some(0.4)) - 0.6).abs() < 1e-6);
    }

    #[test]
    fn parameters_without_meaning_are_refused() {
        let reversed = Calibration { vector: Some(Logistic { center: 0.2, slope: -3.0 }), ..Calibration::default() };
        assert!(matches!(reversed.validate("frame"), Err(Error::InvalidQuery { detail }) if detail.contains("slope")));
        let high = Calibration { floor: 1.5, ..Calibration::default() };
        assert!(matches!(high.validate("frame"), Err(Error::InvalidQuery { detail }) if detail.contains("floor")));
        assert!(Calibration::default().validate("frame").is_ok());
    }

    #[test]
    fn an_unreachable_confidence_has_an_infinite_floor() {
        let capped = Saturation { half: 0.4, power: 1.0, top: 0.6 };
        let fitted = Calibration { lexical: Some(capped), ..Calibration::default() };
        assert_eq!(fitted.lexical_floor(0.7, Kinds::One), f32::INFINITY);
        assert_eq!(fitted.lexical_floor(0.0, Kinds::One), f32::NEG_INFINITY);
    }

    proptest! {
        #[test]
        fn confidence_never_falls_as_evidence_grows(
            calibration in calibrations(), cosines in [-1.0f32..=1.0, -1.0f32..=1.0], ratios in [0.0f32..=1.0, 0.0f32..=1.0],
        ) {
            let (low, high) = (cosines[0].min(cosines[1]), cosines[0].max(cosines[1]));
            let (few, many) = (ratios[0].min(ratios[1]), ratios[0].max(ratios[1]));
            let weak = calibration.confidence(Some(low), Some(few));
            prop_assert!(weak <= calibration.confidence(Some(high), Some(few)));
            prop_assert!(weak <= calibration.confidence(Some(low), Some(many)));
            prop_assert!((0.0..=1.0).contains(&weak));
        }

        #[test]
        fn nothing_below_the_floor_of_a_single_kind_reaches_the_confidence(
            calibration in calibrations(), raw in -1.0f32..=1.0, ratio in 0.0f32..=1.0, asked in 0.0f32..=1.0,
        ) {
            let (by_cosine, by_ratio) = (calibration.confidence(Some(raw), None), calibration.confidence(None, Some(ratio)));
            for confidence in [asked, by_cosine] {
                if by_cosine >= confidence {
                    prop_assert!(raw >= calibration.cosine_floor(confidence, Kinds::One));
                }
            }
            for confidence in [asked, by_ratio] {
                if by_ratio >= confidence {
                    prop_assert!(ratio >= calibration.lexical_floor(confidence, Kinds::One));
                }
            }
        }

        #[test]
        fn nothing_below_both_floors_reaches_the_confidence(
            calibration in calibrations(), raw in -1.0f32..=1.0, ratio in 0.0f32..=1.0, asked in 0.0f32..=1.0,
        ) {
            let got = calibration.confidence(Some(raw), Some(ratio));
            for confidence in [asked, got] {
                if got >= confidence {
                    prop_assert!(
                        raw >= calibration.cosine_floor(confidence, Kinds::Both)
                            || ratio >= calibration.lexical_floor(confidence, Kinds::Both)
                    );
                }
            }
        }

        #[test]
        fn the_floor_of_a_cosine_is_tight(calibration in calibrations(), confidence in 0.01f32..0.99) {
            let floor = calibration.cosine_floor(confidence, Kinds::One);
            if floor.is_finite() {
                prop_assert!(calibration.confidence(Some(floor + 1e-5), None) >= confidence);
            }
        }
    }
}
