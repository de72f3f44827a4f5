//! The rules of the ladder, written down once more and without regard for speed.

use std::ops::Range;

use context::{
    CompressionLevel, EditOp, PlanInput, Replacements, Rung, Segment, SegmentKind, SummaryLevel,
    SummaryTokens, Tier, Zone,
};

use crate::prompt::Lengths;

/// The rules of the tiers, of the turns and of the tools, written down once more.
pub(super) fn may_touch(input: &PlanInput, at: usize, op: &EditOp) -> bool {
    let segment = &input.segments[at];
    let result = match &segment.kind {
        SegmentKind::ToolResult { name, .. } => Some(name),
        _ => None,
    };
    let excluded = |name| input.policy.tool(name).is_some_and(|rule| rule.excluded);
    if segment.pinned || segment.start < input.policy.stable_prefix_end {
        return false;
    }
    if result.is_some_and(|name| excluded(name)) {
        return false;
    }
    let needs = match op {
        EditOp::ClearToolResult => Tier::Clearable,
        EditOp::Offload => Tier::Offloadable,
        _ => Tier::Compactable,
    };
    let kind = match op {
        EditOp::Dedupe { .. } => result.is_some() && segment.edit.is_none(),
        EditOp::ClearToolResult => result.is_some() && !is_kept(input, at) && !is_unseen(input, at),
        EditOp::Compress(_) => {
            result.is_some()
                && matches!(segment.edit, None | Some(EditOp::Compress(_)))
                && (!is_kept(input, at) || is_unseen(input, at))
        }
        EditOp::ClearToolInput => matches!(segment.kind, SegmentKind::ToolCall { .. }),
        EditOp::ClearReasoning => matches!(segment.kind, SegmentKind::Reasoning),
        EditOp::DropDocument | EditOp::ExtractDocument => {
            matches!(segment.kind, SegmentKind::Document)
        }
        EditOp::DropExample => example_at(input, at).is_some(),
        EditOp::Compact(_) => {
            let keep = input.policy.compaction.keep_raw_turns;
            let last = input.segments.last().map_or(0, |last| last.turn);
            !segment.live && segment.turn + keep <= last
        }
        EditOp::Offload => !matches!(
            segment.kind,
            SegmentKind::ToolCall { .. } | SegmentKind::System | SegmentKind::Tool { .. }
        ),
        // No plan leaves out tools.
        EditOp::PruneTool => false,
    };
    let live = !segment.live || result.is_some() || matches!(segment.kind, SegmentKind::Document);
    segment.tier >= needs && kind && live
}

/// The turn that it is in, if all of that is an example that may be left out.
pub(super) fn example_at(input: &PlanInput, at: usize) -> Option<Range<usize>> {
    let segments = &input.segments;
    let turn = segments[at].turn;
    let same = |segment: &&Segment| segment.turn == turn;
    let from = at - segments[..at].iter().rev().take_while(same).count();
    let to = at + segments[at..].iter().take_while(same).count();
    let is_part = |segment: &Segment| {
        let kind = matches!(
            segment.kind,
            SegmentKind::User | SegmentKind::Assistant | SegmentKind::Reasoning
        );
        kind && segment.zone == Zone::Examples
            && segment.tier >= Tier::Compactable
            && !segment.pinned
            && !segment.live
            && segment.start >= input.policy.stable_prefix_end
    };
    (turn > 0 && segments[from..to].iter().all(is_part)).then_some(from..to)
}

/// Whether it is among the results of the latest calls.
pub(super) fn is_kept(input: &PlanInput, at: usize) -> bool {
    let number = |segment: &Segment| match segment.kind {
        SegmentKind::ToolResult { call, .. } => Some(call),
        _ => None,
    };
    let own = number(&input.segments[at]);
    let mut later: Vec<usize> = input.segments[at..].iter().filter_map(number).collect();
    later.retain(|call| Some(*call) != own);
    later.sort_unstable();
    later.dedup();
    later.len() < input.policy.clearing.keep
}

/// Whether the model has written nothing behind it.
pub(super) fn is_unseen(input: &PlanInput, at: usize) -> bool {
    !input.segments[at + 1..].iter().any(|segment| {
        matches!(
            segment.kind,
            SegmentKind::Assistant | SegmentKind::Reasoning | SegmentKind::ToolCall { .. }
        )
    })
}

/// What all edits free together, if none stands in the way of another.
pub(super) fn most_freed(input: &PlanInput, seed: u64) -> usize {
    let policy = &input.policy;
    let has = |rung| policy.ladder.contains(&rung);
    let lengths = Lengths::new(&input.segments, seed);
    let single = |at: usize| {
        let mut ops = Vec::new();
        if has(Rung::ClearToolResults) {
            ops.push(EditOp::ClearToolResult);
            if input.segments[at].tokens >= 48 {
                ops.extend(CompressionLevel::ALL.map(EditOp::Compress));
            }
            if is_old_reasoning(input, at) {
                ops.push(EditOp::ClearReasoning);
            }
        }
        if has(Rung::ReduceRetrieval) {
            ops.push(EditOp::DropDocument);
            if input.segments[at].tokens >= 128 && input.segments[at].edit.is_none() {
                ops.push(EditOp::ExtractDocument);
            }
        }
        let kept = is_kept(input, at) && !is_unseen(input, at);
        let is_result = matches!(input.segments[at].kind, SegmentKind::ToolResult { .. });
        if has(Rung::Offload) && !(kept && is_result) {
            ops.push(EditOp::Offload);
        }
        let tokens = input.segments[at].tokens;
        let may = ops.iter().filter(|op| may_touch(input, at, op));
        let after = may.filter_map(|op| lengths.length(at, op)).min();
        after.map_or(0, |after| tokens.saturating_sub(after))
    };
    let singles: Vec<usize> = (0..input.segments.len()).map(single).collect();
    let mut most: usize = singles.iter().sum();
    for example in (0..input.segments.len()).filter_map(|at| {
        let example = example_at(input, at)?;
        let is_first = example.start == at;
        (is_first && has(Rung::ReduceRetrieval)).then_some(example)
    }) {
        if lengths
            .length(example.start, &EditOp::DropExample)
            .is_some()
        {
            let inside: usize = singles[example.clone()].iter().sum();
            let all = &input.segments[example];
            most += all.iter().map(|segment| segment.tokens).sum::<usize>() - inside;
        }
    }
    if has(Rung::CompactHistory) {
        for span in spans(input) {
            let inside: usize = singles[span.clone()].iter().sum();
            most += summary_frees(input, seed, span).saturating_sub(inside);
        }
    }
    most
}

fn is_old_reasoning(input: &PlanInput, at: usize) -> bool {
    let is_reasoning = |segment: &&Segment| matches!(segment.kind, SegmentKind::Reasoning);
    let later = input.segments[at..].iter().filter(is_reasoning);
    let mut turns: Vec<usize> = later.map(|segment| segment.turn).collect();
    turns.dedup();
    turns.retain(|turn| *turn > input.segments[at].turn);
    input
        .policy
        .thinking
        .is_some_and(|rule| turns.len() >= rule.keep_turns)
}

/// The longest spans of whole turns that may be summarised.
fn spans(input: &PlanInput) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut from = 0;
    while from < input.segments.len() {
        let turn = input.segments[from].turn;
        let same = |segment: &&Segment| turn > 0 && segment.turn == turn;
        let to = from
            + input.segments[from..]
                .iter()
                .take_while(same)
                .count()
                .max(1);
        let number = |at: usize| match input.segments[at].kind {
            SegmentKind::ToolCall { call, .. } | SegmentKind::ToolResult { call, .. } => Some(call),
            _ => None,
        };
        let whole = (from..to).all(|at| {
            let segment = &input.segments[at];
            let op = EditOp::Compact(SummaryLevel::Minimal);
            let zone = matches!(
                segment.zone,
                Zone::History | Zone::ToolOutputs | Zone::Retrieval | Zone::Custom(_)
            );
            let kind = match segment.kind {
                SegmentKind::Summary => true,
                SegmentKind::System | SegmentKind::Tool { .. } | SegmentKind::Memory => false,
                _ => turn > 0,
            };
            let paired = number(at).is_none_or(|call| {
                (0..input.segments.len())
                    .filter(|&other| number(other) == Some(call))
                    .all(|other| (from..to).contains(&other))
            });
            zone && kind && paired && may_touch(input, at, &op)
        });
        match spans.last_mut() {
            Some(last) if whole && last.end == from => last.end = to,
            _ if whole => spans.push(from..to),
            _ => {}
        }
        from = to;
    }
    spans
}

fn summary_frees(input: &PlanInput, seed: u64, span: Range<usize>) -> usize {
    let segments = &input.segments[span.clone()];
    let before: usize = segments.iter().map(|segment| segment.tokens).sum();
    let is_summary = |segment: &Segment| matches!(segment.kind, SegmentKind::Summary);
    if before < 128 || segments.iter().all(is_summary) {
        return 0;
    }
    let mut lengths = Lengths::new(&input.segments, seed);
    let levels = SummaryLevel::ALL.into_iter();
    let after = levels
        .filter(|level| *level >= input.policy.compaction.level)
        .map(|level| {
            let cap = (input.policy.compaction.max_tokens >> level as u32)
                .min(before / 2)
                .max(1);
            match lengths.summary_tokens(span.start..=span.end - 1, level) {
                SummaryTokens::Written(tokens) => tokens,
                SummaryTokens::Unwritten => cap,
                SummaryTokens::Unavailable => before,
            }
        });
    before.saturating_sub(after.min().unwrap_or(before))
}
