//! Edits that rules make without need, and what edits of earlier requests need.

use context::{
    CostModel, EditOp, PlanInput, PrefillWeight, Rung, ThinkingRule, Trigger, Zone, ZoneRule, plan,
};

use crate::prompt::{Lengths, Prompt, policy};

fn edits(input: &PlanInput) -> Vec<(&'static str, usize)> {
    let plan = plan(input, &mut Lengths::new(&input.segments, 0)).expect("it fits");
    let name = |edit: &context::Candidate| (edit.op.name(), *edit.segments.start());
    plan.edits.iter().map(name).collect()
}

/// Three turns of a user (0, 3, 6), reasoning (1, 4, 7) and an answer, under a wide budget.
fn reasoned() -> PlanInput {
    let mut prompt = Prompt::new();
    for _ in 0..3 {
        prompt.user(50);
        prompt.reasoning(200);
        prompt.assistant(50);
    }
    prompt.input(policy(100_000), usize::MAX)
}

#[test]
fn the_clients_edit_clears_old_reasoning_whatever_the_budget() {
    let mut input = reasoned();
    let mut rule = ThinkingRule {
        keep_turns: 1,
        always: false,
    };
    input.policy.thinking = Some(rule);
    assert_eq!(edits(&input), []);
    rule.always = true;
    input.policy.thinking = Some(rule);
    assert_eq!(
        edits(&input),
        [("clear_reasoning", 1), ("clear_reasoning", 4)]
    );
    rule.keep_turns = 2;
    input.policy.thinking = Some(rule);
    assert_eq!(edits(&input), [("clear_reasoning", 1)]);
    // A floor is the stricter protection.
    let history = |rule: &&mut ZoneRule| rule.zone == Zone::History;
    let floor = input.policy.zones.iter_mut().find(history);
    floor.expect("the zone is there").bounds.min = 100_000;
    assert_eq!(edits(&input), []);
}

#[test]
fn a_trigger_clears_all_old_results_or_none() {
    let mut prompt = Prompt::new();
    prompt.user(50);
    for _ in 0..4 {
        prompt.tool("read", 500);
    }
    prompt.assistant(10);
    let mut input = prompt.input(policy(100_000), usize::MAX);
    // 2,140 tokens and four uses: what is exceeded is a trigger, what is met is none.
    input.policy.clearing.trigger = Some(Trigger::InputTokens(2140));
    assert_eq!(edits(&input), []);
    input.policy.clearing.trigger = Some(Trigger::ToolUses(4));
    assert_eq!(edits(&input), []);
    input.policy.clearing.trigger = Some(Trigger::ToolUses(3));
    let all = [2, 4, 6].map(|at| ("clear_tool_result", at));
    assert_eq!(edits(&input), all);
    // Each frees 480 tokens.
    input.policy.clearing.clear_at_least = 3 * 480;
    assert_eq!(edits(&input), all);
    input.policy.clearing.clear_at_least = 3 * 480 + 1;
    assert_eq!(edits(&input), []);
}

#[test]
fn what_a_kept_repetition_refers_to_stays() {
    // Calls 1, 3, 5 and results 2, 4, 6, of which the last stands as a reference to the first.
    let mut prompt = Prompt::new();
    prompt.user(50);
    prompt.tool("read", 1000);
    prompt.tool("read", 1000);
    let copy = prompt.tool("read", 10);
    (copy.edit, copy.depends_on) = (Some(EditOp::Dedupe { original: 2 }), vec![2]);
    prompt.assistant(10);
    let mut input = prompt.input(policy(1500), 0);
    input.policy.ladder = vec![Rung::ClearToolResults];
    assert_eq!(edits(&input), [("clear_tool_result", 4)]);
    // Nobody counts on a repetition that is old itself.
    input.policy.clearing.keep = 0;
    input.policy.budget = 500;
    assert_eq!(
        edits(&input),
        [("clear_tool_result", 2), ("clear_tool_result", 4)]
    );
}

#[test]
fn computing_a_budget_of_tokens_weighs_the_same_on_every_machine() {
    let machine = |per_token: f64| CostModel {
        per_step: 0.0,
        per_token,
        per_pair: 0.0,
        step_tokens: 2048,
        residency: 0.0,
    };
    // 4,000 tokens take 1,000 ms here and 20 ms there.
    let (slow, fast) = (machine(250e-6), machine(5e-6));
    let weight = PrefillWeight::Whole(1.0);
    assert!((1000.0 * weight.per_ms(&slow, 4000) - 1.0).abs() < 1e-12);
    assert!((20.0 * weight.per_ms(&fast, 4000) - 1.0).abs() < 1e-12);
    assert_eq!(weight.per_ms(&machine(0.0), 4000), 0.0);
    let weight = PrefillWeight::Millisecond(0.2);
    assert_eq!(weight.per_ms(&slow, 4000), 0.2);
}
