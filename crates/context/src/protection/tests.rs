use std::ops::RangeInclusive;
use std::sync::Arc;

use super::*;
use crate::{CompressionLevel, Facts, LedgerEdit, Settings, SummaryLevel, Tier, Zone, resolve};

/// Three turns: a question, a call, its result, an answer; then the live question.
fn conversation() -> Vec<Segment> {
    let mut segments = Vec::new();
    for turn in 1..=3 {
        let name = || "read_file".into();
        let call = turn - 1;
        let (called, recallable) = (SegmentKind::ToolCall { name: name(), call }, true);
        let result = SegmentKind::ToolResult {
            name: name(),
            call,
            recallable,
        };
        for (kind, zone, tier) in [
            (SegmentKind::User, Zone::History, Tier::Compactable),
            (called, Zone::History, Tier::Compactable),
            (result, Zone::ToolOutputs, Tier::Clearable),
            (SegmentKind::Assistant, Zone::History, Tier::Compactable),
        ] {
            segments.push(segment(kind, zone, tier, turn));
        }
    }
    let live = segment(SegmentKind::User, Zone::LiveTurn, Tier::Protected, 4);
    segments.push(Segment { live: true, ..live });
    segments
}

fn segment(kind: SegmentKind, zone: Zone, tier: Tier, turn: usize) -> Segment {
    Segment {
        zone,
        tier,
        kind,
        tokens: 10,
        start: 0,
        turn,
        live: false,
        pinned: false,
        digest: [0; 32],
        score: None,
        referenced: 0.0,
        utility: None,
        relevance: 0.0,
        density: 0.0,
        depends_on: Vec::new(),
        edit: None,
    }
}

fn known(segments: RangeInclusive<usize>, op: EditOp, made_at: usize) -> KnownEdit {
    let edit = LedgerEdit {
        op,
        replacement: "r".into(),
        restore: None,
        before: 10,
        after: 1,
        turns: 1,
    };
    KnownEdit {
        drift: crate::DriftVerdict::default(),
        segments,
        made_at,
        edit: Arc::new(edit),
    }
}

/// Result 1 is segment 2, its call segment 1; of turn 2 they are 6 and 5.
fn cleared() -> Vec<KnownEdit> {
    vec![
        known(1..=1, EditOp::ClearToolInput, 12),
        known(2..=2, EditOp::ClearToolResult, 12),
        known(5..=5, EditOp::ClearToolInput, 12),
        known(6..=6, EditOp::ClearToolResult, 12),
    ]
}

fn allowed(segments: &[Segment], settings: &Settings, known: &[KnownEdit]) -> Vec<bool> {
    let resolved = resolve(settings, &Facts::of_window(1_000)).expect("valid");
    Protection::new(&resolved, segments).allowed(known)
}

#[test]
fn what_is_pinned_comes_back_with_all_that_it_needs() {
    let mut segments = conversation();
    let settings = Settings::default();
    assert_eq!(allowed(&segments, &settings, &cleared()), [true; 4]);
    // The answer of turn 3 needs the result of turn 2, and that one the result of turn 1.
    segments[11].depends_on = vec![6];
    segments[6].depends_on = vec![2];
    assert_eq!(allowed(&segments, &settings, &cleared()), [true; 4]);
    segments[11].pinned = true;
    assert_eq!(allowed(&segments, &settings, &cleared()), [false; 4]);
    segments[6].depends_on.clear();
    assert_eq!(
        allowed(&segments, &settings, &cleared()),
        [true, true, false, false]
    );
    // So does what the live turn needs.
    segments[11].pinned = false;
    segments[12].depends_on = vec![2];
    assert_eq!(
        allowed(&segments, &settings, &cleared()),
        [false, false, true, true]
    );
    let span = [known(0..=3, EditOp::Compact(SummaryLevel::Brief), 13)];
    assert_eq!(allowed(&segments, &settings, &span), [false]);
}

#[test]
fn arguments_come_back_with_their_result() {
    let mut segments = conversation();
    segments[2].pinned = true;
    let settings = Settings::default();
    assert_eq!(
        allowed(&segments, &settings, &cleared()),
        [false, false, true, true]
    );
    // Their result's edit may be lost, too; or it may be gone in a summary.
    let alone = [known(5..=5, EditOp::ClearToolInput, 12)];
    assert_eq!(allowed(&segments, &settings, &alone), [false]);
    let summarised = [
        known(5..=5, EditOp::ClearToolInput, 12),
        known(4..=7, EditOp::Compact(SummaryLevel::Brief), 13),
    ];
    assert_eq!(allowed(&segments, &settings, &summarised), [true; 2]);
}

#[test]
fn a_keep_that_is_raised_brings_results_back() {
    let segments = conversation();
    let keep = |keep: Option<usize>| {
        let mut settings = Settings::default();
        settings.clearing.keep = keep;
        allowed(&segments, &settings, &cleared())
    };
    // By default nothing comes back: how many are kept depends on what there is.
    assert_eq!(keep(None), [true; 4]);
    assert_eq!(keep(Some(1)), [true; 4]);
    assert_eq!(keep(Some(2)), [true, true, false, false]);
    assert_eq!(keep(Some(3)), [false; 4]);
}

#[test]
fn results_shortened_unread_stay_so_however_many_are_kept() {
    let segments = conversation();
    let mut settings = Settings::default();
    settings.clearing.keep = Some(3);
    let op = EditOp::Compress(CompressionLevel::Redundancy);
    // Made when the result was the last segment, and when an answer had followed.
    let edits = [known(6..=6, op.clone(), 7), known(10..=10, op, 12)];
    assert_eq!(allowed(&segments, &settings, &edits), [true, false]);
    let same = [known(6..=6, EditOp::Dedupe { original: 2 }, 12)];
    assert_eq!(allowed(&segments, &settings, &same), [true]);
}

#[test]
fn turns_that_are_kept_raw_are_not_summarised() {
    let segments = conversation();
    let span = [known(0..=7, EditOp::Compact(SummaryLevel::Brief), 13)];
    let keep = |keep: Option<usize>| {
        let mut settings = Settings::default();
        settings.compaction.keep_raw_turns = keep;
        allowed(&segments, &settings, &span)
    };
    // The span ends with turn 2 of 4.
    assert_eq!(keep(Some(2)), [true]);
    assert_eq!(keep(Some(3)), [false]);
    assert_eq!(keep(None), [true]);
}
