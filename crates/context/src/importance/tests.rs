use super::*;
use crate::{SegmentKind, Tier, UseCounts};

fn segment(relevance: f64, referenced: f64, density: f64, score: Option<f64>) -> Segment {
    Segment {
        zone: Zone::ToolOutputs,
        tier: Tier::Clearable,
        kind: SegmentKind::Assistant,
        tokens: 100,
        start: 0,
        turn: 1,
        live: false,
        pinned: false,
        digest: [0; 32],
        score,
        referenced,
        relevance,
        density,
        utility: None,
        depends_on: Vec::new(),
        edit: None,
    }
}

fn importance_of(segment: &Segment, age: f64, is_recallable: bool) -> f64 {
    WEIGHTS.features(segment, age, is_recallable).importance
}

fn importance(relevance: f64, referenced: f64, density: f64, score: Option<f64>, age: f64) -> f64 {
    importance_of(&segment(relevance, referenced, density, score), age, false)
}

#[test]
fn the_features_are_averaged() {
    assert!((importance(1.0, 1.0, 1.0, None, 0.0) - 1.0).abs() < 1e-12);
    assert!((importance(1.0, 1.0, 1.0, Some(1.0), 0.0) - 1.0).abs() < 1e-12);
    assert_eq!(importance(0.0, 0.0, 0.0, Some(0.0), f64::INFINITY), 0.0);
    // 0.30 * 0.5 + 0.25 * 0.4 + 0.25 * 0.2 + 0.20 * 1 = 0.5, after one half-life.
    assert!((importance(0.4, 0.2, 1.0, None, HALF_LIFE_TURNS) - 0.5).abs() < 1e-12);
    // The client's 0.2 weighs half of that: (0.5 + 0.5 * 0.2) / 1.5 = 0.4.
    assert!((importance(0.4, 0.2, 1.0, Some(0.2), HALF_LIFE_TURNS) - 0.4).abs() < 1e-12);
}

#[test]
fn more_of_a_feature_is_never_less_important() {
    let steps = [0.0, 0.1, 0.5, 0.9, 1.0];
    for at in 0..4 {
        for pair in steps.windows(2) {
            let with = |value: f64| {
                let mut features = [0.3; 4];
                features[at] = value;
                let [relevance, referenced, density, score] = features;
                importance(relevance, referenced, density, Some(score), 2.0)
            };
            assert!(with(pair[0]) < with(pair[1]), "feature {at} at {pair:?}");
        }
    }
    for pair in [0.0, 0.25, 1.0, 7.0, 400.0].windows(2) {
        let with = |age: f64| importance(0.3, 0.3, 0.3, None, age);
        assert!(with(pair[0]) > with(pair[1]), "age {pair:?}");
    }
}

#[test]
fn the_past_counts_as_far_as_it_is_known() {
    let with = |utility: Option<(f64, f64)>| {
        let mut segment = segment(0.4, 0.2, 1.0, None);
        segment.utility = utility.map(|(value, confidence)| Utility { value, confidence });
        importance_of(&segment, HALF_LIFE_TURNS, false)
    };
    // The other features make 0.5.
    assert!((with(None) - 0.5).abs() < 1e-12);
    assert_eq!(with(None), with(Some((1.0, 0.0))));
    // (0.5 + 0.25 * 1) / 1.25, and with half of the weight (0.5 + 0.125 * 0) / 1.125.
    assert!((with(Some((1.0, 1.0))) - 0.6).abs() < 1e-12);
    assert!((with(Some((0.0, 0.5))) - 0.5 / 1.125).abs() < 1e-12);
    for confidence in [0.1, 0.5, 1.0] {
        for pair in [0.0, 0.1, 0.5, 0.9, 1.0].windows(2) {
            let at = |value| with(Some((value, confidence)));
            assert!(at(pair[0]) < at(pair[1]), "{pair:?} at {confidence}");
        }
    }
}

#[test]
fn a_text_that_was_needed_more_often_is_never_less_important() {
    let after = |edits: u32, needs: u32| {
        let mut counts = UseCounts::default();
        (0..edits).for_each(|_| counts.count_edit());
        (0..needs).for_each(|_| counts.count_need());
        let mut segment = segment(0.4, 0.2, 1.0, None);
        segment.utility = Utility::of(counts, counts);
        importance_of(&segment, HALF_LIFE_TURNS, false)
    };
    for edits in 1..20 {
        for needs in 0..=edits {
            assert!(
                after(edits, needs) < after(edits, needs + 1),
                "{needs} of {edits}"
            );
            assert!(
                after(edits + 1, needs) < after(edits, needs),
                "{needs} of {edits}"
            );
        }
    }
    // One event does not decide: the rest of the features still makes nine tenths.
    assert!((after(1, 1) - 0.5).abs() < 0.05 && (after(1, 0) - 0.5).abs() < 0.05);
}

#[test]
fn an_example_does_not_age() {
    let mut example = segment(0.4, 0.2, 1.0, None);
    example.zone = Zone::Examples;
    // (0.25 * 0.4 + 0.25 * 0.2 + 0.20 * 1) / 0.7
    for age in [0.0, 100.0] {
        assert!((importance_of(&example, age, false) - 0.5).abs() < 1e-12);
    }
}

#[test]
fn what_can_be_fetched_again_is_worth_less() {
    let segment = segment(0.5, 0.5, 0.5, None);
    let (again, once) = (
        importance_of(&segment, 1.0, true),
        importance_of(&segment, 1.0, false),
    );
    assert!((again - RECALLABLE_FACTOR * once).abs() < 1e-12);
}

#[test]
fn a_longer_remainder_or_a_gentler_level_loses_less() {
    for pair in CompressionLevel::ALL.windows(2) {
        let at = |level| loss(0.8, &EditOp::Compress(level), (100, 30), None);
        assert!(at(pair[0]) < at(pair[1]), "{pair:?}");
    }
    for pair in SummaryLevel::ALL.windows(2) {
        let at = |level| loss(0.8, &EditOp::Compact(level), (100, 30), None);
        assert!(at(pair[0]) < at(pair[1]), "{pair:?}");
    }
    assert!((loss(0.8, &EditOp::ClearToolResult, (100, 25), None) - 0.6).abs() < 1e-12);
    assert_eq!(loss(0.8, &EditOp::ClearToolResult, (100, 100), None), 0.0);
}

#[test]
fn what_only_a_text_names_counts_as_much_as_what_it_says() {
    let lost = |op: EditOp, after, kept| loss(1.0, &op, (100, after), kept);
    let skeleton = || EditOp::Compress(CompressionLevel::Skeleton);
    // Half of 0.6 * 0.8, and half of what is named.
    assert!((lost(skeleton(), 20, Some(1.0)) - 0.24).abs() < 1e-12);
    assert!((lost(skeleton(), 20, Some(0.0)) - 0.74).abs() < 1e-12);
    assert_eq!(lost(EditOp::ClearToolResult, 0, Some(0.0)), 1.0);
    assert_eq!(lost(EditOp::ClearToolResult, 0, Some(1.0)), 0.5);
}
