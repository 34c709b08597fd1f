use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::fuse::{Fusion, Weights};
use super::super::samples::{apart, matches, sample};
use super::*;

const RULES: fn() -> MomentRules = MomentRules::default;

fn fuser(fusion: Fusion) -> Result<Fuser> {
    Ok(Fuser::new(fusion, Weights::new(&Channel::ALL, &BTreeMap::new())?))
}

fn probabilistic(matches: &[Match]) -> Result<Vec<Moment>> {
    Ok(find_moments(matches, &[], &fuser(Fusion::Probabilistic)?, &RULES(), 0.0))
}

fn spans(moments: &[Moment]) -> Vec<(f64, f64)> {
    moments.iter().map(|moment| (moment.span.start, moment.span.end)).collect()
}

/// Twenty shots of 4 s, of which none says much.
fn dull_shots() -> Vec<Match> {
    (0..20).map(|row| sample(row, Channel::Frame, f64::from(row) * 4.0, f64::from(row) * 4.0 + 4.0, 0.1)).collect()
}

#[test]
fn a_sentence_in_a_shot_is_found_at_the_shot() -> Result<()> {
    let mut given = dull_shots();
    given[7].confidence = 0.6;
    given.push(sample(100, Channel::Speech, 28.3, 30.1, 0.9));
    let moments = probabilistic(&given)?;
    assert_eq!(spans(&moments), [(28.0, 32.0)]);
    assert!((moments[0].peak_seconds - 29.2).abs() < 1e-9);
    assert!((moments[0].score - 0.96).abs() < 1e-6);
    Ok(())
}

#[test]
fn a_sentence_that_drifts_over_the_cut_still_overlaps_its_shot_by_half() -> Result<()> {
    for (start, end) in [(27.2, 31.0), (28.8, 33.5), (26.5, 32.9), (24.0, 34.0)] {
        let mut given = dull_shots();
        given[7].confidence = 0.6;
        given.push(sample(100, Channel::Speech, start, end, 0.8));
        let moments = probabilistic(&given)?;
        let truth = Span { start: 28.0, end: 32.0 };
        assert!(moments[0].span.iou(truth) >= 0.5, "{start} to {end}: {:?}", moments[0].span);
    }
    Ok(())
}

#[test]
fn a_sentence_alone_widens_to_the_shot_it_lies_in() -> Result<()> {
    let shots: Vec<Span> = dull_shots().iter().map(|one| one.span).collect();
    let said = [sample(100, Channel::Speech, 28.3, 29.8, 0.9)];
    let alone = find_moments(&said, &shots, &fuser(Fusion::Probabilistic)?, &RULES(), 0.0);
    assert_eq!(spans(&alone), [(28.0, 32.0)]);
    let in_a_long_take = [Span { start: 0.0, end: 80.0 }];
    let precise = find_moments(&said, &in_a_long_take, &fuser(Fusion::Probabilistic)?, &RULES(), 0.0);
    assert_eq!(spans(&precise), [(28.3, 29.8)]);
    Ok(())
}

#[test]
fn a_long_take_does_not_swallow_the_sentence_in_it() -> Result<()> {
    let given = [sample(0, Channel::Frame, 0.0, 60.0, 0.7), sample(1, Channel::Speech, 10.0, 12.5, 0.8)];
    assert_eq!(spans(&probabilistic(&given)?), [(10.0, 12.5)]);
    Ok(())
}

#[test]
fn a_faint_word_does_not_move_a_sure_shot() -> Result<()> {
    let given = [sample(0, Channel::Frame, 4.0, 20.0, 0.9), sample(1, Channel::Speech, 18.0, 26.0, 0.05)];
    let moments = probabilistic(&given)?;
    assert_eq!(spans(&moments)[0], (4.0, 20.0));
    Ok(())
}

#[test]
fn what_happens_at_different_times_in_a_long_match_is_not_one_moment() -> Result<()> {
    let given = [
        sample(0, Channel::Sound, 0.0, 60.0, 0.5),
        sample(1, Channel::Speech, 5.0, 7.0, 0.5),
        sample(2, Channel::Screen, 50.0, 54.0, 0.5),
    ];
    let moments = probabilistic(&given)?;
    assert_eq!(spans(&moments), [(5.0, 7.0), (50.0, 54.0)]);
    assert!(moments.iter().all(|moment| (moment.score - 0.75).abs() < 1e-6));
    Ok(())
}

#[test]
fn of_equally_sure_matches_the_shorter_counts() -> Result<()> {
    let given = [
        sample(0, Channel::Frame, 0.0, 40.0, 0.6),
        sample(1, Channel::Frame, 8.0, 12.0, 0.6),
        sample(2, Channel::Speech, 8.2, 9.8, 0.6),
    ];
    assert_eq!(spans(&probabilistic(&given)?)[0], (8.0, 12.0));
    Ok(())
}

#[test]
fn adjacent_shots_that_are_weak_alike_stay_apart() -> Result<()> {
    let moments = probabilistic(&dull_shots())?;
    assert_eq!(moments.len(), 20);
    assert!(moments.iter().all(|moment| moment.span.duration() == 4.0));
    Ok(())
}

#[test]
fn adjacent_shots_that_stand_out_alike_are_one_moment() -> Result<()> {
    let mut given = dull_shots();
    for (row, confidence) in [(7, 0.86), (8, 0.9), (9, 0.85)] {
        given[row].confidence = confidence;
    }
    let moments = probabilistic(&given)?;
    assert_eq!(spans(&moments), [(28.0, 40.0)]);
    assert_eq!(moments[0].peak_seconds, 34.0);
    assert_eq!(moments[0].score, 0.9);
    let contributions: Vec<f32> = moments[0].matches.iter().map(|one| one.contribution).collect();
    assert_eq!(contributions, [0.9, 0.0, 0.0]);
    Ok(())
}

#[test]
fn a_weaker_neighbour_is_a_moment_of_its_own() -> Result<()> {
    let mut given = dull_shots();
    given[7].confidence = 0.9;
    given[8].confidence = 0.6;
    assert_eq!(spans(&probabilistic(&given)?), [(28.0, 32.0), (32.0, 36.0)]);
    Ok(())
}

#[test]
fn nearly_equal_confidences_of_an_unknown_space_join_nothing() -> Result<()> {
    let mut given = dull_shots();
    for (row, one) in given.iter_mut().enumerate() {
        one.confidence = 0.5 + 0.002 * (row * 7 % 20) as f32;
    }
    assert!(probabilistic(&given)?.iter().all(|moment| moment.span.duration() == 4.0));
    Ok(())
}

#[test]
fn joining_stops_at_the_longest_moment() -> Result<()> {
    let shots = (0..90u32).map(|row| (row, f64::from(row) * 4.0));
    let given: Vec<_> = shots
        .map(|(row, start)| sample(row, Channel::Frame, start, start + 4.0, if row < 40 { 0.9 } else { 0.1 }))
        .collect();
    let moments = probabilistic(&given)?;
    assert_eq!(spans(&moments)[..2], [(0.0, 60.0), (60.0, 120.0)]);
    Ok(())
}

#[test]
fn metadata_lends_to_every_moment_and_stands_alone_only_by_itself() -> Result<()> {
    let title = sample(500, Channel::Metadata, 0.0, 80.0, 0.5);
    let alone = probabilistic(std::slice::from_ref(&title))?;
    assert_eq!(spans(&alone), [(0.0, 80.0)]);
    let mut given = dull_shots();
    given[3].confidence = 0.5;
    given.push(title);
    let moments = probabilistic(&given)?;
    // The title lifts every shot, but the dull ones have nothing of their own to show.
    assert_eq!(spans(&moments), [(12.0, 16.0)]);
    assert!((moments[0].score - 0.75).abs() < 1e-6);
    let channels: Vec<_> = moments[0].matches.iter().map(|one| one.evidence.channel).collect();
    assert_eq!(channels, [Channel::Frame, Channel::Metadata]);
    Ok(())
}

#[test]
fn a_long_match_is_not_told_again_with_every_weak_one_beside_it() -> Result<()> {
    let mut given = dull_shots();
    given.push(sample(100, Channel::Speech, 20.0, 44.0, 0.9));
    let moments = probabilistic(&given)?;
    assert_eq!(moments.len(), 1);
    Ok(())
}

#[test]
fn a_channel_of_weight_zero_makes_no_moments() -> Result<()> {
    let weights = Weights::new(&[Channel::Frame, Channel::Speech], &[(Channel::Speech, 0.0)].into())?;
    let fuser = Fuser::new(Fusion::Probabilistic, weights);
    let given = [sample(0, Channel::Speech, 0.0, 3.0, 0.9), sample(1, Channel::Frame, 8.0, 12.0, 0.4)];
    let moments = find_moments(&given, &[], &fuser, &RULES(), 0.0);
    assert_eq!(spans(&moments), [(8.0, 12.0)]);
    assert_eq!(best_score(&given[..1], &fuser), 0.0);
    Ok(())
}

#[test]
fn the_threshold_takes_moments_out_and_then_the_video() -> Result<()> {
    let given = [sample(0, Channel::Frame, 0.0, 4.0, 0.6), sample(1, Channel::Frame, 8.0, 12.0, 0.4)];
    let fuser = fuser(Fusion::Probabilistic)?;
    assert_eq!(find_moments(&given, &[], &fuser, &RULES(), 0.3).len(), 2);
    assert_eq!(find_moments(&given, &[], &fuser, &RULES(), 0.6).len(), 1);
    assert!(find_moments(&given, &[], &fuser, &RULES(), 0.61).is_empty());
    Ok(())
}

#[test]
fn evidence_without_span_or_confidence_is_ignored() -> Result<()> {
    let given = [
        sample(0, Channel::Frame, 5.0, 4.0, 0.9),
        sample(1, Channel::Frame, f64::NAN, 4.0, 0.9),
        sample(2, Channel::Frame, 0.0, f64::INFINITY, 0.9),
        sample(3, Channel::Frame, 0.0, 4.0, f32::NAN),
        sample(4, Channel::Frame, 0.0, 4.0, 0.0),
    ];
    assert!(probabilistic(&given)?.is_empty());
    let single_frame = [sample(5, Channel::Frame, 3.0, 3.0, 0.5)];
    assert_eq!(spans(&probabilistic(&single_frame)?), [(3.0, 3.0)]);
    Ok(())
}

#[test]
fn rules_without_meaning_are_refused() {
    let wrong = MomentRules { same_iou: 0.2, ..RULES() };
    assert!(matches!(wrong.validate(), Err(Error::InvalidQuery { detail }) if detail.contains("same_iou")));
    let nan = MomentRules { gap_seconds: f64::NAN, ..RULES() };
    assert!(matches!(nan.validate(), Err(Error::InvalidQuery { detail }) if detail.contains("gap_seconds")));
    assert!(RULES().validate().is_ok());
}

/// All pairs of these overlap: comparing each with each would take minutes.
#[test]
fn a_day_of_overlapping_matches_takes_no_longer_than_its_number() -> Result<()> {
    let given: Vec<_> = (0..60_000u32)
        .map(|row| {
            let channel = Channel::ALL[row as usize % 5];
            let start = f64::from(row % 30_000);
            sample(row, channel, start, 90_000.0 - start / 2.0, 0.5 + (row * 31 % 97) as f32 / 400.0)
        })
        .collect();
    let started = Instant::now();
    assert!(!probabilistic(&given)?.is_empty());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    Ok(())
}

fn fusions() -> impl Strategy<Value = Fusion> {
    prop_oneof![Just(Fusion::Probabilistic), Just(Fusion::WeightedSum), Just(Fusion::Max), Just(Fusion::ReciprocalRank),]
}

fn failed(error: Error) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

proptest! {
    #[test]
    fn moments_do_not_depend_on_the_order_of_the_matches(
        (given, shuffled) in matches(40).prop_flat_map(|given| (Just(given.clone()), Just(given).prop_shuffle())),
        fusion in fusions(),
    ) {
        let fuser = fuser(fusion).map_err(failed)?;
        let found = find_moments(&given, &[], &fuser, &RULES(), 0.0);
        prop_assert_eq!(found, find_moments(&shuffled, &[], &fuser, &RULES(), 0.0));
    }

    #[test]
    fn moments_keep_their_promises(given in matches(40), fusion in fusions(), min_score in 0.0f32..0.6) {
        let (fuser, rules) = (fuser(fusion).map_err(failed)?, RULES());
        let found = find_moments(&given, &[], &fuser, &rules, min_score);
        let best = best_score(&given, &fuser);
        prop_assert_eq!(found.is_empty(), best <= 0.0 || best < min_score);
        prop_assert!(found.first().is_none_or(|first| first.score == best));
        for moment in &found {
            let sum: f64 = moment.matches.iter().map(|one| f64::from(one.contribution)).sum();
            prop_assert!((sum - f64::from(moment.score)).abs() < 1e-6);
            prop_assert!(moment.score >= min_score && moment.score >= rules.keep_ratio * best);
            prop_assert!(moment.span.start <= moment.peak_seconds && moment.peak_seconds <= moment.span.end);
            // Metadata belongs to no time, whatever span it comes with.
            let timed = moment.matches.iter().filter(|one| one.evidence.channel != Channel::Metadata);
            for one in timed.filter(|one| one.contribution > 0.0) {
                let at = moment.peak_seconds;
                prop_assert!(one.evidence.span.start <= at && at <= one.evidence.span.end);
            }
        }
        for (one, next) in found.iter().zip(found.iter().skip(1)) {
            prop_assert!(one.score >= next.score);
        }
        for (at, one) in found.iter().enumerate() {
            prop_assert!(found[at + 1..].iter().all(|other| one.span.iou(other.span) < rules.same_iou));
        }
    }

    #[test]
    fn the_best_score_is_that_of_the_best_instant(
        given in prop_oneof![matches(40), apart(40)], fusion in fusions(), sufficient in any::<u64>(), clause in 0.0f32..2.0,
    ) {
        let mut given = given;
        for (at, one) in given.iter_mut().enumerate() {
            one.is_sufficient = sufficient >> (at % 64) & 1 == 1;
        }
        let weights = [(Channel::Speech, clause), (Channel::Metadata, 0.3)].into();
        let fuser = Fuser::new(fusion, Weights::new(&Channel::ALL, &weights).map_err(failed)?);
        let timeline = Timeline::new(&given, |one| strength(one, &fuser));
        let mut best = 0.0_f32;
        timeline.each_together(|_, together| best = best.max(score(&timeline, &together, &fuser)));
        prop_assert_eq!(best_score(&given, &fuser).to_bits(), best.to_bits());
        let found = find_moments(&given, &[], &fuser, &RULES(), 0.0);
        prop_assert_eq!(found.first().map_or(0.0, |first| first.score).to_bits(), best.to_bits());
    }

    #[test]
    fn the_first_moments_are_the_first_of_all(given in prop_oneof![matches(40), apart(40)], most in 0usize..6) {
        let fuser = fuser(Fusion::WeightedSum).map_err(failed)?;
        let mut all = find_moments(&given, &[], &fuser, &RULES(), 0.0);
        all.truncate(most);
        prop_assert_eq!(find_first_moments(&given, &[], &fuser, &RULES(), 0.0, most), all);
    }

    #[test]
    fn more_evidence_never_lowers_the_best_score(given in matches(30), fusion in fusions(), left_out in 0usize..30) {
        let fuser = fuser(fusion).map_err(failed)?;
        let mut fewer = given.clone();
        if left_out < fewer.len() {
            fewer.remove(left_out);
        }
        prop_assert!(best_score(&fewer, &fuser) <= best_score(&given, &fuser));
    }

    #[test]
    fn without_the_required_confidence_no_moment_reaches_the_score(given in matches(30), score in 0.05f32..1.0) {
        for fusion in [Fusion::Probabilistic, Fusion::WeightedSum, Fusion::Max] {
            let fuser = fuser(fusion).map_err(failed)?;
            let required = fuser.required_confidence(score);
            if given.iter().all(|one| one.confidence < required) {
                prop_assert!(best_score(&given, &fuser) < score);
            }
        }
    }
}
