//! Random prompts against what must hold of every plan.

mod generate;
mod oracle;

use std::collections::BTreeMap;

use context::{
    Candidate, ClearInputs, EditOp, Infeasible, LadderMode, Low, Plan, PlanInput, PlanPoint,
    Regime, Replacements, SegmentKind, SummaryTokens, plan,
};

use crate::prompt::Lengths;
use crate::random::Random;
use generate::random_input;
use oracle::{example_at, may_touch, most_freed};

/// Prompts of each test; four of them make 100,000.
const PROMPTS: u64 = 25_000;

#[test]
fn plans_of_random_prompts_hold_1() {
    check_all(0);
}

#[test]
fn plans_of_random_prompts_hold_2() {
    check_all(1);
}

#[test]
fn plans_of_random_prompts_hold_3() {
    check_all(2);
}

#[test]
fn plans_of_random_prompts_hold_4() {
    check_all(3);
}

fn check_all(part: u64) {
    let mut outcomes: BTreeMap<&'static str, usize> = BTreeMap::new();
    for seed in part * PROMPTS..(part + 1) * PROMPTS {
        let input = random_input(&mut Random::new(seed));
        *outcomes.entry(check(&input, seed)).or_default() += 1;
    }
    // The prompts are such that every outcome is common.
    for outcome in ["null", "partial", "full", "infeasible"] {
        let seen = outcomes.get(outcome).copied().unwrap_or(0);
        assert!(seen > PROMPTS as usize / 200, "{outcome}: {outcomes:?}");
    }
}

/// Plans one prompt, checks everything and tells what came out.
fn check(input: &PlanInput, seed: u64) -> &'static str {
    let result = plan(input, &mut Lengths::new(&input.segments, seed));
    if seed.is_multiple_of(8) {
        let again = plan(input, &mut Lengths::new(&input.segments, seed));
        assert_eq!(
            again, result,
            "seed {seed}: the same input gives the same plan"
        );
    }
    match result {
        Ok(plan) => {
            for edit in &plan.edits {
                check_edit(input, seed, edit);
            }
            check_together(input, seed, &plan);
            check_figures(input, seed, &plan);
            check_frontier(seed, &plan);
            check_rungs(input, seed, &plan);
            match plan.regime {
                Regime::Null => "null",
                Regime::Partial => "partial",
                Regime::Full => "full",
            }
        }
        Err(infeasible) => {
            check_infeasible(input, seed, &infeasible);
            "infeasible"
        }
    }
}

/// That an edit may be made at all.
fn check_edit(input: &PlanInput, seed: u64, edit: &Candidate) {
    let context = || format!("seed {seed}: {edit:?}");
    assert!(edit.freed() > 0 && edit.loss >= 0.0, "{}", context());
    assert!(input.policy.ladder.contains(&edit.rung), "{}", context());
    for at in edit.segments.clone() {
        assert!(may_touch(input, at, &edit.op), "{at} in {}", context());
    }
    let first = &input.segments[*edit.segments.start()];
    let tokens: usize = input.segments[edit.segments.clone()]
        .iter()
        .map(|s| s.tokens)
        .sum();
    assert_eq!(
        (edit.position, edit.before),
        (first.start, tokens),
        "{}",
        context()
    );
    assert_eq!(edit.zone, first.zone, "{}", context());
    if let EditOp::Compact(level) = edit.op {
        let span = edit.segments.clone();
        match Lengths::new(&input.segments, seed).summary_tokens(span, level) {
            // What is written may be more detailed than what was asked for.
            SummaryTokens::Written(tokens) => assert_eq!(edit.after, tokens, "{}", context()),
            SummaryTokens::Unwritten => {
                assert!(level >= input.policy.compaction.level, "{}", context());
            }
            SummaryTokens::Unavailable => panic!("{}", context()),
        }
    } else {
        let (first, last) = (*edit.segments.start(), *edit.segments.end());
        let span = match edit.op {
            EditOp::DropExample => example_at(input, first).expect("may be left out"),
            _ => first..first + 1,
        };
        assert_eq!(first..last + 1, span, "{}", context());
        let lengths = Lengths::new(&input.segments, seed);
        let after = lengths.length(*edit.segments.start(), &edit.op);
        assert_eq!(Some(edit.after), after, "{}", context());
    }
}

/// Tokens by which a summary is shorter than its level allows.
fn saved_by_brevity(input: &PlanInput, edit: &Candidate) -> usize {
    match edit.op {
        EditOp::Compact(level) => {
            let longest = input.policy.compaction.max_tokens >> level as u32;
            longest.min(edit.before / 2).saturating_sub(edit.after)
        }
        _ => 0,
    }
}

/// That edits go together: none twice, calls with their results, references to what stays.
fn check_together(input: &PlanInput, seed: u64, plan: &Plan) {
    let mut edited: Vec<Option<usize>> = vec![None; input.segments.len()];
    for (number, edit) in plan.edits.iter().enumerate() {
        for at in edit.segments.clone() {
            assert_eq!(
                edited[at], None,
                "seed {seed}: segment {at} is edited twice"
            );
            edited[at] = Some(number);
        }
    }
    let starts: Vec<usize> = plan
        .edits
        .iter()
        .map(|edit| *edit.segments.start())
        .collect();
    assert!(starts.is_sorted(), "seed {seed}");
    let mut spans: BTreeMap<usize, Vec<Option<usize>>> = BTreeMap::new();
    for (at, segment) in input.segments.iter().enumerate() {
        if let SegmentKind::ToolCall { call, .. } | SegmentKind::ToolResult { call, .. } =
            segment.kind
        {
            let is_span = |number: &usize| matches!(plan.edits[*number].op, EditOp::Compact(_));
            spans
                .entry(call)
                .or_default()
                .push(edited[at].filter(is_span));
        }
    }
    for (call, spans) in spans {
        assert!(
            spans.iter().all(|span| *span == spans[0]),
            "seed {seed}: call {call} is cut"
        );
    }
    for edit in &plan.edits {
        if let (EditOp::ClearToolInput, SegmentKind::ToolCall { call, .. }) =
            (&edit.op, &input.segments[*edit.segments.start()].kind)
        {
            let is_result = |at: &usize| {
                matches!(input.segments[*at].kind,
                    SegmentKind::ToolResult { call: other, .. } if other == *call)
            };
            let is_cleared = |at: usize| {
                let by = edited[at].map(|number| &plan.edits[number].op);
                input.segments[at].edit.is_some() || by == Some(&EditOp::ClearToolResult)
            };
            let mut results = (0..input.segments.len()).filter(is_result);
            assert!(results.any(is_cleared), "seed {seed}: {edit:?}");
        }
        if let EditOp::Dedupe { original } = edit.op {
            let at = *edit.segments.start();
            assert!(
                original < at && edited[original].is_none(),
                "seed {seed}: {edit:?}"
            );
            let (first, copy) = (&input.segments[original], &input.segments[at]);
            assert!(
                first.digest == copy.digest && first.edit.is_none(),
                "seed {seed}: {edit:?}"
            );
        }
    }
}

/// That the figures follow from the edits, and the prompt fits.
fn check_figures(input: &PlanInput, seed: u64, plan: &Plan) {
    let policy = &input.policy;
    let freed: usize = plan.edits.iter().map(Candidate::freed).sum();
    assert_eq!(
        plan.tokens_after + freed,
        input.prompt_tokens,
        "seed {seed}"
    );
    let used = plan.tokens_after + input.incoming + policy.output.min;
    assert!(
        used <= policy.budget,
        "seed {seed}: {used} of {}",
        policy.budget
    );
    assert_eq!(
        plan.remaining,
        policy.budget - plan.tokens_after - policy.output.min,
        "seed {seed}"
    );
    let earliest = plan.edits.iter().map(|edit| edit.position).min();
    assert_eq!(plan.earliest_edit, earliest, "seed {seed}");
    let cached = earliest.unwrap_or(usize::MAX).min(input.cache.matched);
    assert_eq!(
        plan.prefill_before,
        input.prompt_tokens - input.cache.matched,
        "seed {seed}"
    );
    assert_eq!(
        plan.prefill_after,
        plan.tokens_after - cached,
        "seed {seed}"
    );
    let loss: f64 = plan.edits.iter().map(|edit| edit.loss).sum();
    assert!((plan.loss - loss).abs() < 1e-9, "seed {seed}");

    let shares = plan.allocation.iter().zip(&policy.zones);
    for (share, rule) in shares {
        let floor = rule.bounds.min.min(share.demand);
        // A written summary may be shorter than the room that the floor keeps for one.
        let summaries = plan.edits.iter().filter(|edit| edit.zone == rule.zone);
        let saved: usize = summaries.map(|edit| saved_by_brevity(input, edit)).sum();
        assert!(
            share.after + saved >= floor,
            "seed {seed}: {share:?} {floor}"
        );
    }
    let (demand, after) = plan
        .allocation
        .iter()
        .fold((0, 0), |(demand, after), share| {
            (demand + share.demand, after + share.after)
        });
    assert_eq!(demand - after, freed, "seed {seed}");

    let limits = plan.max_observation_tokens;
    assert!(
        limits.null <= limits.partial && limits.partial <= limits.full,
        "seed {seed}"
    );
}

/// That the frontier has the plan and no point that another beats.
fn check_frontier(seed: u64, plan: &Plan) {
    assert!((1..=64).contains(&plan.frontier.len()), "seed {seed}");
    let is_chosen = |point: &&PlanPoint| {
        point.tokens == plan.tokens_after && point.prefill_tokens == plan.prefill_after
    };
    assert!(
        plan.frontier.iter().any(|point| is_chosen(&point)),
        "seed {seed}"
    );
    for a in plan.frontier.iter().filter(|point| !is_chosen(point)) {
        for b in &plan.frontier {
            let better = b.loss <= a.loss
                && b.prefill_seconds <= a.prefill_seconds
                && b.tokens <= a.tokens
                && (b.loss, b.prefill_seconds, b.tokens) != (a.loss, a.prefill_seconds, a.tokens);
            assert!(!better, "seed {seed}: {b:?} beats {a:?}");
        }
    }
}

/// Whether no rule of its own can have caused an edit.
fn only_by_need(input: &PlanInput) -> bool {
    let policy = &input.policy;
    policy.clearing.trigger.is_none()
        && policy.compaction.trigger.is_none()
        && !policy.thinking.is_some_and(|rule| rule.always)
        && policy.retrieval.min_score == 0.0
        && policy.clearing.tools.iter().all(|rule| rule.max.is_none())
        && policy
            .zones
            .iter()
            .all(|rule| rule.bounds.max >= input.prompt_tokens)
}

/// That nothing is done without need, and no rung is used before its turn.
fn check_rungs(input: &PlanInput, seed: u64, made: &Plan) {
    if !only_by_need(input) {
        return;
    }
    let policy = &input.policy;
    let used = input.prompt_tokens + input.incoming + policy.output.min;
    let outlook = &policy.outlook;
    let soon = |since: usize| since < outlook.min_turns_between_edits;
    let may_batch = !outlook.turns_since_edits.is_some_and(soon);
    let high = policy.utilization.high * policy.budget as f64;
    if used <= policy.budget && (used as f64 <= high || !may_batch) {
        assert_eq!(made.edits, [], "seed {seed}: nothing is needed");
    }
    if policy.ladder_mode == LadderMode::Strict && !made.edits.is_empty() {
        let place = |edit: &Candidate| policy.ladder.iter().position(|rung| *rung == edit.rung);
        let places = made.edits.iter().filter_map(place);
        let last = places.max().expect("there are edits");
        let mut fewer = input.clone();
        fewer.policy.ladder.truncate(last);
        // Rungs before the last one suffice neither for the budget nor for the low mark.
        let low = match policy.utilization.low {
            Low::Share(low) => low,
            Low::Auto => policy.utilization.high - 0.5,
        };
        let low = (low * policy.budget as f64) as usize;
        let before = plan(&fewer, &mut Lengths::new(&input.segments, seed));
        if let Ok(before) = before {
            let used = before.tokens_after + input.incoming + policy.output.min;
            assert!(used > low, "seed {seed}: rung {last} was not needed");
        }
    }
}

/// That the table adds up, and that an estimate from above does not fit either.
fn check_infeasible(input: &PlanInput, seed: u64, infeasible: &Infeasible) {
    let zones = infeasible
        .protected
        .iter()
        .chain(&infeasible.after_all_edits);
    let sum: usize = zones.map(|(_, tokens)| tokens).sum();
    let beside = infeasible.overhead + infeasible.output + infeasible.incoming;
    assert_eq!(infeasible.required, sum + beside, "seed {seed}");
    assert!(infeasible.shortfall() > 0, "seed {seed}: {infeasible:?}");
    assert_eq!(infeasible.tried, input.policy.ladder, "seed {seed}");
    if seed.is_multiple_of(8) {
        let mut enough = input.clone();
        enough.policy.budget = infeasible.required;
        let fits = plan(&enough, &mut Lengths::new(&input.segments, seed));
        assert!(fits.is_ok(), "seed {seed}: {infeasible:?}");
    }
    let floors = input.policy.zones.iter().any(|rule| rule.bounds.min > 0);
    let mut digests: Vec<[u8; 32]> = input.segments.iter().map(|s| s.digest).collect();
    digests.sort_unstable();
    let repeats = digests.windows(2).any(|pair| pair[0] == pair[1]);
    let needs = input
        .segments
        .iter()
        .any(|segment| !segment.depends_on.is_empty());
    let inputs = input.policy.clearing.clear_inputs != ClearInputs::None;
    if !floors && !repeats && !needs && !inputs && only_by_need(input) {
        let used = input.prompt_tokens + input.incoming + input.policy.output.min;
        let least = used - most_freed(input, seed);
        assert_eq!(infeasible.required, least, "seed {seed}: {infeasible:?}");
        assert!(least > input.policy.budget, "seed {seed}: {infeasible:?}");
    }
}
