//! Maps raw scores to confidences that share one scale.
//!
//! A cosine of 0.3 means much in one space and nothing in another, and a BM25 score means nothing without its query.
//! A `Calibration` belongs to one channel in one space and maps either to a confidence in [0, 1]: a logistic or saturating
//! curve of a cosine, and a saturating curve of the ratio of a BM25 score to the best score that the query could have. The
//! saturating curve is a logistic in the logarithm: it suits spaces whose cosines are shares of a whole and spread over
//! orders of magnitude, as those of concepts do. Where no parameters were fitted, the curves are straight lines
//! ((1 + cosine) / 2, never quite 0, and the ratio itself), and `is_fitted_for_…` say so: such confidences order evidence but
//! must not be read as probabilities.
//!
//! A confidence below `floor` is exactly zero: no evidence. One of `sufficient` or more is enough for a moment; one below it
//! only adds to others. The two differ because faint evidence, worthless alone, still decides between equals.
//!
//! A query of several clauses has a confidence for the whole and one for each clause. Clauses are different questions, so
//! they combine by noisy-or; the whole says the same again, so the greater of the two counts (`combine_clauses`).
//!
//! A segment with words and a vector (speech) has two confidences from one text. They are not independent, so noisy-or
//! would count the same words twice; the greater alone would ignore that two weak signs agree. They combine as
//! `greater + agreement * lesser * (1 - greater)`: with `agreement` 0 that is the maximum, with 1 noisy-or. It is fitted like
//! the rest, and is 0 where nothing was fitted.
//!
//! These confidences are fitted to rank well. As probabilities they would be too sure of weak evidence, and fitted as
//! probabilities they rank worse (`benches/README.md`, Confidence). So a result shows a second map of the first: `Reported`,
//! by which a confidence is how often such evidence was right. It never falls, so it changes no order.
//!
//! Neither curve nor the combination ever falls as a raw score rises. That makes the inverse (`cosine_floor`) safe for
//! pruning: no segment without words whose cosine is below it can reach the confidence.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a vector opposite to the query's is worth where nothing was fitted. It is evidence like every other, so that it is
/// known which videos have evidence without looking at their vectors.
const LEAST_UNFITTED: f32 = 1e-6;

/// `top / (1 + exp(-slope * (cosine - center)))`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logistic {
    /// The cosine whose confidence is half of `top`.
    pub center: f32,
    /// Steepness, above zero; the derivative at the centre is a quarter of it times `top`.
    pub slope: f32,
    /// The confidence that no cosine exceeds, in (0, 1].
    #[serde(default = "one")]
    pub top: f32,
}

fn one() -> f32 {
    1.0
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

/// How a cosine becomes a confidence; told apart by their fields.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CosineCurve {
    /// For cosines that differ by what they add.
    Logistic(Logistic),
    /// For cosines that differ by a factor; 0 for those not above 0.
    Saturation(Saturation),
}

/// From the confidence that ranks to the one that is shown, `1 / (1 + exp(-(shift + low * ln c - high * ln (1 - c))))`: beta
/// calibration (Kull et al. 2017), which takes 0 to 0 and 1 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// How steep it is near 0; not below 0.
    pub low: f32,
    /// How steep it is near 1; not below 0.
    pub high: f32,
    /// The greater, the surer.
    pub shift: f32,
}

/// How one channel's raw scores become confidences. The default is the unfitted one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calibration {
    /// For cosines; `None` where nothing was fitted for the space.
    pub vector: Option<CosineCurve>,
    /// For cosines with a vector of the channel's own medium, such as of pictures with a picture: those are higher.
    pub alike: Option<CosineCurve>,
    /// For the ratio of a BM25 score to the query's best possible one; `None` where nothing was fitted.
    pub lexical: Option<Saturation>,
    /// How far words and meaning of one segment are independent: 0 takes the greater, 1 is noisy-or.
    pub agreement: f32,
    /// Confidences below are no evidence.
    pub floor: f32,
    /// The confidence from which this channel's evidence is enough for a moment; 0 where nothing was fitted.
    pub sufficient: f32,
    /// What a result shows for a confidence; `None` shows it as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported: Option<Reported>,
    /// The same for a vector of the channel's own medium.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alike_reported: Option<Reported>,
}

impl Logistic {
    fn confidence(self, cosine: f32) -> f32 {
        let distance = f64::from(self.slope) * (f64::from(cosine) - f64::from(self.center));
        (f64::from(self.top) / (1.0 + (-distance).exp())) as f32
    }
}

impl CosineCurve {
    fn confidence(self, cosine: f32) -> f32 {
        match self {
            Self::Logistic(curve) => curve.confidence(cosine),
            Self::Saturation(curve) => curve.confidence(cosine.max(0.0)),
        }
    }

    fn fault(self) -> Option<String> {
        match self {
            Self::Logistic(Logistic { center, slope, top }) => {
                let is_right = center.is_finite() && slope.is_finite() && slope > 0.0 && top > 0.0 && top <= 1.0;
                (!is_right).then(|| {
                    format!(
                        "center {center}, slope {slope} and top {top} must be finite, slope above 0, top above 0 to 1"
                    )
                })
            }
            Self::Saturation(curve) => curve.fault(),
        }
    }
}

impl Saturation {
    fn fault(self) -> Option<String> {
        let Self { half, power, top } = self;
        let is_right = (1e-3..=1e3).contains(&half) && (0.1..=10.0).contains(&power) && top > 0.0 && top <= 1.0;
        (!is_right)
            .then(|| format!("half {half}, power {power}, top {top}: expected 0.001..1000, 0.1..10, above 0 to 1"))
    }

    fn confidence(self, ratio: f32) -> f32 {
        if ratio <= 0.0 {
            return 0.0;
        }
        let power = f64::from(self.power);
        let bend = |value: f32| if power == 1.0 { f64::from(value) } else { f64::from(value).powf(power) };
        let (bent, half) = (bend(ratio), bend(self.half));
        let share = if bent + half > 0.0 { (1.0 + half) * bent / (bent + half) } else { 0.0 };
        (f64::from(self.top) * share) as f32
    }
}

impl Reported {
    fn of(self, confidence: f32) -> f32 {
        let given = f64::from(confidence);
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        // A steepness of 0 leaves its side out, even where the logarithm is infinite.
        let rising = if low > 0.0 { low * given.ln() } else { 0.0 };
        let falling = if high > 0.0 { high * (-given).ln_1p() } else { 0.0 };
        let told = 1.0 / (1.0 + (falling - rising - f64::from(self.shift)).exp());
        // Evidence is never shown as none, nor as more than certain.
        (told as f32).clamp(f32::MIN_POSITIVE, 1.0)
    }

    fn fault(self) -> Option<String> {
        let Self { low, high, shift } = self;
        let is_right = (0.0..=1e3).contains(&low) && (0.0..=1e3).contains(&high) && shift.abs() <= 1e3;
        (!is_right).then(|| format!("reported: low {low}, high {high}, shift {shift}: expected 0..1000, -1000..1000"))
    }
}

impl Calibration {
    /// Checks parameters that come from a file or a caller; `what` names them in the error.
    pub fn validate(&self, what: &str) -> Result<()> {
        let wrong = |detail: String| Err(Error::InvalidQuery { detail: format!("calibration of {what}: {detail}") });
        let curves = [self.vector, self.alike].map(|curve| curve.and_then(CosineCurve::fault));
        let reported = [self.reported, self.alike_reported].map(|map| map.and_then(Reported::fault));
        let faults = curves.into_iter().chain([self.lexical.and_then(Saturation::fault)]).chain(reported);
        if let Some(fault) = faults.flatten().next() {
            return wrong(fault);
        }
        for (name, value) in [("agreement", self.agreement), ("floor", self.floor), ("sufficient", self.sufficient)] {
            if !(0.0..=1.0).contains(&value) {
                return wrong(format!("{name} is {value}, expected 0 to 1"));
            }
        }
        Ok(())
    }

    /// The calibration for a vector of the channel's own medium.
    #[must_use]
    pub(crate) fn for_alike(self) -> Self {
        Self { vector: self.alike, reported: self.alike_reported, ..self }
    }

    /// What a result shows for a confidence above 0: how often such evidence is right, where that was fitted.
    #[must_use]
    pub fn reported(&self, confidence: f32) -> f32 {
        self.reported.map_or(confidence, |map| map.of(confidence.clamp(0.0, 1.0)))
    }

    /// Whether the curve for cosines was fitted on data.
    #[must_use]
    pub(crate) fn is_fitted_for_vectors(&self) -> bool {
        self.vector.is_some()
    }

    /// Whether the curve for BM25 scores was fitted on data.
    #[must_use]
    pub(crate) fn is_fitted_for_words(&self) -> bool {
        self.lexical.is_some()
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

    /// Whether evidence on this channel can be too little for a moment.
    #[must_use]
    pub(crate) fn tells_enough(&self) -> bool {
        self.sufficient > 0.0
    }

    /// The least confidence that counts as evidence: `floor`, or the smallest number above zero.
    #[must_use]
    pub fn least(&self) -> f32 {
        self.floor.max(f32::MIN_POSITIVE)
    }

    /// No segment without words that has a lower cosine reaches `confidence`. Infinite where no cosine does; minus infinity
    /// for a confidence of 0, which all reach.
    #[must_use]
    pub(crate) fn cosine_floor(&self, confidence: f32) -> f32 {
        // What is below the floor is zero, so whatever reaches anything reaches the floor.
        let needed = if confidence > 0.0 { confidence.max(self.floor) } else { 0.0 };
        smallest_reaching(-1.0, 1.0, needed, |cosine| self.of_cosine(cosine))
    }

    pub(super) fn of_cosine(&self, cosine: f32) -> f32 {
        if cosine.is_nan() {
            return 0.0;
        }
        let cosine = cosine.clamp(-1.0, 1.0);
        let unfitted = || f32::midpoint(1.0, cosine).max(LEAST_UNFITTED);
        self.vector.map_or_else(unfitted, |curve| curve.confidence(cosine)).clamp(0.0, 1.0)
    }

    pub(super) fn of_ratio(&self, ratio: f32) -> f32 {
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

/// The confidence of a segment in a query that has clauses besides its whole: never below any of the given.
#[must_use]
pub(crate) fn combine_clauses(whole: f32, clauses: impl IntoIterator<Item = f32>) -> f32 {
    let clauses = clauses.into_iter().map(|confidence| f64::from(confidence.clamp(0.0, 1.0)));
    whole.max(clauses.fold(0.0, either) as f32)
}

/// Noisy-or, `1 - (1 - one) * (1 - other)`, written so that nothing above zero vanishes beside 1.
pub(super) fn either(one: f64, other: f64) -> f64 {
    one + other * (1.0 - one)
}

/// A confidence that the whole or one of `clauses` clauses must have where `combine_clauses` reaches `confidence`.
#[must_use]
pub(crate) fn required_of_one(confidence: f32, clauses: usize) -> f32 {
    if clauses < 2 || confidence <= 0.0 {
        return confidence;
    }
    // What clauses combine to was rounded to f32, near 1 by more than they may lack.
    let lacking = 1.0 - f64::from(confidence.min(1.0)) + f64::from(f32::EPSILON);
    let root = lacking.min(1.0).powf(1.0 / clauses as f64);
    // A margin for rounding, which is far smaller.
    ((1.0 - root) * (1.0 - 1e-5)) as f32
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
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) fn calibrations() -> impl Strategy<Value = Calibration> {
        let logistic = (-0.5f32..0.9, 0.1f32..80.0, 0.1f32..=1.0)
            .prop_map(|(center, slope, top)| CosineCurve::Logistic(Logistic { center, slope, top }));
        let saturation =
            || (0.01f32..3.0, 0.3f32..5.0, 0.1f32..=1.0).prop_map(|(half, power, top)| Saturation { half, power, top });
        let vector = proptest::option::of(prop_oneof![logistic, saturation().prop_map(CosineCurve::Saturation)]);
        let lexical = proptest::option::of(saturation());
        (vector, lexical, 0.0f32..=1.0, prop_oneof![Just(0.0f32), 0.0f32..0.9]).prop_map(
            |(vector, lexical, agreement, floor)| Calibration {
                vector,
                lexical,
                agreement,
                floor,
                ..Calibration::default()
            },
        )
    }

    #[test]
    fn clauses_that_round_to_certainty_need_not_be_certain() {
        let clauses = [0.999_624_3, 0.999_680_1, 0.767_455_9];
        assert_eq!(combine_clauses(0.0, clauses), 1.0);
        assert!(required_of_one(1.0, clauses.len()) <= 0.999_680_1);
    }

    #[test]
    fn an_unknown_space_maps_cosines_on_a_line_and_says_so() {
        let unknown = Calibration::default();
        assert_eq!(unknown.confidence(Some(0.0), None), 0.5);
        assert_eq!(unknown.confidence(Some(1.0), None), 1.0);
        assert_eq!(unknown.confidence(Some(-1.0), None), LEAST_UNFITTED);
        assert!(!unknown.is_fitted_for_vectors() && !unknown.is_fitted_for_words());
    }

    #[test]
    fn below_the_floor_there_is_no_evidence() {
        let curve = CosineCurve::Logistic(Logistic { center: 0.3, slope: 20.0, top: 1.0 });
        let fitted = Calibration { vector: Some(curve), floor: 0.5, ..Calibration::default() };
        assert_eq!(fitted.confidence(Some(0.29), None), 0.0);
        assert!(fitted.confidence(Some(0.31), None) > 0.5);
        assert_eq!(fitted.confidence(Some(f32::NAN), None), 0.0);
        assert_eq!(fitted.confidence(None, None), 0.0);
    }

    #[test]
    fn what_is_told_keeps_the_order_and_the_ends() {
        let map = Reported { low: 1.5, high: 4.0, shift: -2.0 };
        let fitted = Calibration { reported: Some(map), alike_reported: None, ..Calibration::default() };
        let told: Vec<f32> = (1..=100).map(|percent| fitted.reported(percent as f32 / 100.0)).collect();
        assert!(told.windows(2).all(|two| two[0] <= two[1]), "{told:?}");
        assert!(told[0] > 0.0 && told[0] < 1e-3 && told[99] == 1.0);
        // ln 0.5 * 1.5 + ln 0.5 * -4 - 2 = -0.267
        assert!((fitted.reported(0.5) - 0.4336).abs() < 1e-3, "{}", fitted.reported(0.5));
        assert_eq!(fitted.for_alike().reported(0.5), 0.5);
        assert_eq!(Reported { low: 0.0, high: 0.0, shift: 0.0 }.of(1.0), 0.5);
        let refused = Calibration { reported: Some(Reported { low: -1.0, ..map }), ..Calibration::default() };
        assert!(matches!(refused.validate("frame"), Err(Error::InvalidQuery { detail }) if detail.contains("low -1")));
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
        let curve = CosineCurve::Logistic(Logistic { center: 0.2, slope: -3.0, top: 1.0 });
        let reversed = Calibration { vector: Some(curve), ..Calibration::default() };
        assert!(matches!(reversed.validate("frame"), Err(Error::InvalidQuery { detail }) if detail.contains("slope")));
        let high = Calibration { floor: 1.5, ..Calibration::default() };
        assert!(matches!(high.validate("frame"), Err(Error::InvalidQuery { detail }) if detail.contains("floor")));
        assert!(Calibration::default().validate("frame").is_ok());
    }

    #[test]
    fn an_unreachable_confidence_has_an_infinite_floor() {
        let capped = CosineCurve::Saturation(Saturation { half: 0.4, power: 1.0, top: 0.6 });
        let fitted = Calibration { vector: Some(capped), ..Calibration::default() };
        assert_eq!(fitted.cosine_floor(0.7), f32::INFINITY);
        assert_eq!(fitted.cosine_floor(0.0), f32::NEG_INFINITY);
    }

    #[test]
    fn what_is_of_the_same_medium_has_a_curve_of_its_own() {
        let curve = |center| Some(CosineCurve::Logistic(Logistic { center, slope: 10.0, top: 1.0 }));
        let both = Calibration { vector: curve(0.1), alike: curve(0.8), ..Calibration::default() };
        assert!(both.confidence(Some(0.5), None) > 0.9 && both.for_alike().confidence(Some(0.5), None) < 0.1);
        let one = Calibration { alike: None, ..both };
        assert!(one.is_fitted_for_vectors() && !one.for_alike().is_fitted_for_vectors());
    }

    #[test]
    fn curves_are_told_apart_by_their_fields() -> std::result::Result<(), serde_json::Error> {
        let read = serde_json::from_str::<Calibration>;
        let before_there_was_a_top = read(r#"{"vector": {"center": 0.2, "slope": 12.0}}"#)?;
        let logistic = CosineCurve::Logistic(Logistic { center: 0.2, slope: 12.0, top: 1.0 });
        assert_eq!(before_there_was_a_top.vector, Some(logistic));
        let concepts = read(r#"{"vector": {"half": 0.1, "power": 1.2, "top": 0.9}, "sufficient": 0.1}"#)?;
        assert_eq!(concepts.confidence(Some(-0.4), None), 0.0);
        assert!((concepts.confidence(Some(1.0), None) - 0.9).abs() < 1e-6);
        assert!(read(r#"{"vector": {"center": 0.2, "half": 12.0}}"#).is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn clauses_reach_a_confidence_only_where_one_reaches_its_part(
            whole in 0.0f32..=1.0, clauses in proptest::collection::vec(0.0f32..=1.0, 2..6), asked in 0.0f32..=1.0,
        ) {
            let got = combine_clauses(whole, clauses.iter().copied());
            prop_assert!((0.0..=1.0).contains(&got));
            let greatest = clauses.iter().copied().fold(whole, f32::max);
            prop_assert!(got >= greatest - 1e-6);
            for confidence in [asked, got] {
                if got >= confidence {
                    prop_assert!(greatest >= required_of_one(confidence, clauses.len()));
                }
            }
        }

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
        fn no_cosine_below_the_floor_reaches_the_confidence(
            calibration in calibrations(), raw in -1.0f32..=1.0, asked in 0.0f32..=1.0,
        ) {
            let got = calibration.confidence(Some(raw), None);
            for confidence in [asked, got] {
                if got >= confidence {
                    prop_assert!(raw >= calibration.cosine_floor(confidence));
                }
            }
        }

        #[test]
        fn the_floor_of_a_cosine_is_tight(calibration in calibrations(), confidence in 0.01f32..0.99) {
            let floor = calibration.cosine_floor(confidence);
            if floor.is_finite() {
                prop_assert!(calibration.confidence(Some(floor + 1e-5), None) >= confidence);
            }
        }
    }
}
