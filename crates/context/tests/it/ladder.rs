//! What the planner does about one prompt, by hand.

use context::{
    ClearInputs, CompressionLevel, EditOp, Infeasible, LadderMode, Low, Plan, PlanInput,
    PrefillWeight, Regime, Rung, SegmentKind, SummaryLevel, ThinkingRule, ToolRule, Trigger, Zone,
    plan,
};

use crate::prompt::{Lengths, Prompt, policy};

pub(crate) fn planned(input: &PlanInput) -> Plan {
    try_plan(input).expect("the prompt can be made to fit")
}

fn try_plan(input: &PlanInput) -> Result<Plan, Infeasible> {
    plan(input, &mut Lengths::new(&input.segments, 0))
}

/// The edits by name and first segment.
pub(crate) fn edits(plan: &Plan) -> Vec<(&'static str, usize)> {
    let name = |edit: &context::Candidate| (edit.op.name(), *edit.segments.start());
    plan.edits.iter().map(name).collect()
}

/// Segments 0 system 100; 1 user 50; 2, 4, 6 calls of 20; 3, 5, 7 results of 1000; 8 assistant 100.
pub(crate) fn three_reads() -> Prompt {
    let mut prompt = Prompt::new();
    prompt.system(100);
    prompt.user(50);
    for _ in 0..3 {
        prompt.tool("read", 1000);
    }
    prompt.assistant(100);
    prompt
}

#[test]
fn a_prompt_that_fits_is_left_alone() {
    let input = three_reads().input(policy(3310), 0);
    let plan = planned(&input);
    assert_eq!(edits(&plan), []);
    assert_eq!((plan.regime, plan.earliest_edit), (Regime::Null, None));
    assert_eq!((plan.tokens_after, plan.remaining), (3310, 0));
    assert_eq!((plan.prefill_before, plan.prefill_after), (3310, 3310));
    assert_eq!(plan.frontier.len(), 1);
}

#[test]
fn old_results_are_cleared_and_the_latest_kept() {
    // 1310 too many: both old results, 980 each; the latest is kept and so is all else.
    let plan = planned(&three_reads().input(policy(2000), 3310));
    assert_eq!(
        edits(&plan),
        [("clear_tool_result", 3), ("clear_tool_result", 5)]
    );
    assert_eq!((plan.need.hard, plan.tokens_after), (1310, 1350));
    assert_eq!(
        (plan.regime, plan.earliest_edit),
        (Regime::Partial, Some(170))
    );
    assert_eq!((plan.prefill_before, plan.prefill_after), (0, 1350 - 170));
}

#[test]
fn the_later_of_two_edits_that_lose_the_same_is_made() {
    // One of the two old results is enough. In a warm cache the later one is cheaper.
    let mut input = three_reads().input(policy(2500), 3310);
    assert_eq!(edits(&planned(&input)), [("clear_tool_result", 5)]);
    // Cold, its place does not matter, and the older one is worth less.
    input.cache.matched = 0;
    assert_eq!(edits(&planned(&input)), [("clear_tool_result", 3)]);
    // A planner that does not know the cache does the same in a warm one.
    input.cache.matched = 3310;
    assert_eq!(
        edits(&planned(&input.cache_blind())),
        [("clear_tool_result", 3)]
    );
}

#[test]
fn a_repeated_result_refers_to_the_first_copy() {
    let mut prompt = Prompt::new();
    prompt.user(50);
    for _ in 0..3 {
        prompt.tool("read", 1000).digest = [7; 32];
    }
    prompt.assistant(10);
    let plan = planned(&prompt.input(policy(1200), 0));
    assert_eq!(edits(&plan), [("dedupe", 4), ("dedupe", 6)]);
    assert!(
        plan.edits
            .iter()
            .all(|edit| edit.op == EditOp::Dedupe { original: 2 })
    );
}

#[test]
fn what_the_client_protects_stays() {
    let mut prompt = three_reads();
    prompt.user(10);
    let mut input = prompt.input(policy(2500), 0);
    input.segments[3].pinned = true;
    input.policy.ladder = vec![Rung::ClearToolResults];
    assert_eq!(edits(&planned(&input)), [("clear_tool_result", 5)]);
    // The stable prefix reaches up to the second result; then there is nothing left to clear.
    input.policy.stable_prefix_end = input.segments[5].end();
    let refused = try_plan(&input).expect_err("nothing may be cleared");
    assert_eq!((refused.required, refused.shortfall()), (3320, 820));
    input.policy.stable_prefix_end = 0;
    input.policy.clearing.tools = vec![ToolRule {
        name: "read".into(),
        excluded: true,
        max: None,
        recallable: None,
    }];
    assert!(try_plan(&input).is_err());
    input.policy.clearing.tools.clear();
    // What stays needs it.
    input.segments[8].pinned = true;
    input.segments[8].depends_on = vec![5];
    assert!(try_plan(&input).is_err());
}

#[test]
fn arguments_go_with_the_results_of_their_calls() {
    let mut rules = policy(2300);
    rules.clearing.clear_inputs = ClearInputs::All;
    let mut prompt = three_reads();
    prompt.user(10);
    let plan = planned(&prompt.input(rules, 0));
    assert_eq!(plan.edits.len() % 2, 0);
    for pair in plan.edits.chunks(2) {
        assert_eq!(
            (&pair[0].op, &pair[1].op),
            (&EditOp::ClearToolInput, &EditOp::ClearToolResult)
        );
        assert_eq!(*pair[0].segments.start() + 1, *pair[1].segments.start());
    }
}

#[test]
fn reasoning_of_old_turns_goes_if_the_rule_says_so() {
    let make = |rule| {
        let mut prompt = Prompt::new();
        for _ in 0..3 {
            prompt.user(10);
            prompt.reasoning(500);
            prompt.assistant(100);
        }
        prompt.user(10);
        let mut input = prompt.input(policy(1000), 0);
        input.policy.thinking = rule;
        input.policy.ladder = vec![Rung::ClearToolResults];
        input
    };
    assert!(try_plan(&make(None)).is_err());
    let rule = |keep_turns| ThinkingRule {
        keep_turns,
        always: false,
    };
    let plan = planned(&make(Some(rule(1))));
    assert_eq!(
        edits(&plan),
        [("clear_reasoning", 1), ("clear_reasoning", 4)]
    );
    assert!(try_plan(&make(Some(rule(2)))).is_err());
}

/// Ten turns of 10 + 190 tokens and a live one.
fn dialogue() -> Prompt {
    let mut prompt = Prompt::new();
    prompt.system(100);
    for _ in 0..10 {
        prompt.user(10);
        prompt.assistant(190);
    }
    prompt.user(10);
    prompt
}

#[test]
fn the_oldest_turns_that_suffice_are_summarised() {
    let mut input = dialogue().input(policy(1710), 0);
    input.policy.compaction.keep_raw_turns = 5;
    // 400 too many: three turns have 600 tokens, their summary 200.
    let plan = planned(&input);
    assert_eq!(edits(&plan), [("compact", 1)]);
    assert_eq!(plan.edits[0].segments, 1..=6);
    assert_eq!((plan.edits[0].before, plan.edits[0].after), (600, 200));
    assert_eq!(plan.edits[0].op, EditOp::Compact(SummaryLevel::Detailed));
    // All six old turns at the shortest level free 1175; the others stay word for word.
    input.policy.budget = 2110 - 1175;
    let plan = planned(&input);
    assert_eq!(plan.edits[0].segments, 1..=12);
    assert_eq!(plan.edits[0].op, EditOp::Compact(SummaryLevel::Minimal));
    input.policy.budget -= 1;
    assert_eq!(
        try_plan(&input)
            .expect_err("one token is missing")
            .shortfall(),
        1
    );
}

#[test]
fn an_earlier_summary_is_extended_and_calls_stay_with_their_results() {
    let mut prompt = Prompt::new();
    let summary = prompt.push(Zone::History, SegmentKind::Summary, 150);
    summary.edit = Some(EditOp::Compact(SummaryLevel::Detailed));
    prompt.user(10);
    prompt.tool("read", 300);
    prompt.user(10);
    prompt.call("read", 20);
    prompt.user(10);
    prompt.result("read", 400);
    prompt.user(10);
    let mut input = prompt.input(policy(800), 0);
    input.policy.ladder = vec![Rung::CompactHistory];
    let plan = planned(&input);
    assert_eq!(edits(&plan), [("compact", 0)]);
    assert_eq!(plan.edits[0].segments, 0..=3);
    // The call of turn 2 has its result in turn 3: neither is summarised. 480 tokens become 25.
    input.policy.budget = 930 - 455;
    assert_eq!(planned(&input).edits[0].segments, 0..=3);
    input.policy.budget -= 1;
    assert!(try_plan(&input).is_err());
}

#[test]
fn documents_go_by_value_and_floors_hold() {
    let mut prompt = Prompt::new();
    for score in [0.9, 0.1, 0.5, 0.3] {
        prompt.document(100).score = Some(score);
    }
    prompt.user(10);
    let mut input = prompt.input(policy(220), 0);
    assert_eq!(
        edits(&planned(&input)),
        [("drop_document", 1), ("drop_document", 3)]
    );
    // The zone keeps 250 tokens: one document at most may go.
    input.policy.zones[3].bounds.min = 250;
    assert!(try_plan(&input).is_err());
    input.policy.budget = 310;
    assert_eq!(edits(&planned(&input)), [("drop_document", 1)]);
    // Below the least score they go without need.
    input.policy.budget = 1000;
    input.policy.retrieval.min_score = 0.2;
    assert_eq!(edits(&planned(&input)), [("drop_document", 1)]);
}

#[test]
fn memory_is_offloaded_last() {
    let mut prompt = Prompt::new();
    prompt.push(Zone::Memory, SegmentKind::Memory, 400);
    prompt.document(100);
    prompt.user(10);
    let mut input = prompt.input(policy(110), 0);
    let plan = planned(&input);
    assert_eq!(edits(&plan), [("offload", 0), ("drop_document", 1)]);
    assert_eq!(plan.regime, Regime::Full);
    input.policy.budget = 19;
    let refused = try_plan(&input).expect_err("a handle of 10 tokens and the question are left");
    assert_eq!(refused.required, 20);
    assert_eq!(refused.protected, [(Zone::LiveTurn, 10)]);
    assert_eq!(
        refused.after_all_edits,
        [(Zone::Retrieval, 0), (Zone::Memory, 10)]
    );
    assert_eq!(refused.tried, Rung::ALL);
}

#[test]
fn an_observation_is_shortened_before_it_is_loaded() {
    let mut prompt = three_reads();
    prompt.user(10);
    prompt.tool("read", 4000);
    let mut input = prompt.input(policy(5000), 3340);
    input.policy.clearing.keep = 10;
    // 2340 too many; levels leave 9/10, 7/10, 5/10, 3/10: the fourth is the first that suffices.
    let plan = planned(&input);
    assert_eq!(edits(&plan), [("compress", 11)]);
    assert_eq!(
        plan.edits[0].op,
        EditOp::Compress(CompressionLevel::Skeleton)
    );
    // What was cached is still used.
    assert_eq!(plan.earliest_edit, Some(input.segments[11].start));
    assert_eq!(plan.prefill_after, plan.tokens_after - 3340);
}

#[test]
fn a_trigger_starts_its_rung_without_need() {
    let mut input = three_reads().input(policy(100_000), 0);
    input.policy.clearing.trigger = Some(Trigger::InputTokens(3310));
    assert_eq!(edits(&planned(&input)), []);
    input.policy.clearing.trigger = Some(Trigger::InputTokens(3309));
    let cleared = [("clear_tool_result", 3), ("clear_tool_result", 5)];
    assert_eq!(edits(&planned(&input)), cleared);
    input.policy.clearing.trigger = Some(Trigger::ToolUses(3));
    assert_eq!(edits(&planned(&input)), []);
    input.policy.clearing.trigger = Some(Trigger::ToolUses(2));
    assert_eq!(edits(&planned(&input)), cleared);
    input.policy.clearing.clear_at_least = 1961;
    assert_eq!(edits(&planned(&input)), []);
    input.policy.clearing.clear_at_least = 1960;
    assert_eq!(edits(&planned(&input)), cleared);

    let mut input = dialogue().input(policy(100_000), 0);
    input.policy.compaction.trigger = Some(2109);
    let plan = planned(&input);
    assert_eq!(
        (plan.edits.len(), plan.edits[0].segments.clone()),
        (1, 1..=20)
    );
}

#[test]
fn a_zone_above_its_cap_comes_down_to_its_target() {
    let mut input = three_reads().input(policy(100_000), 3310);
    input.policy.zones[6].bounds = context::Bounds {
        min: 0,
        target: 2100,
        max: 3000,
    };
    assert_eq!(edits(&planned(&input)), []);
    input.policy.zones[6].bounds.max = 2999;
    assert_eq!(edits(&planned(&input)), [("clear_tool_result", 5)]);
    input.policy.zones[6].bounds.max = usize::MAX / 4;
    input.policy.clearing.tools = vec![ToolRule {
        name: "read".into(),
        excluded: false,
        max: Some(2020),
        recallable: None,
    }];
    assert_eq!(edits(&planned(&input)), [("clear_tool_result", 5)]);
}

#[test]
fn the_high_mark_asks_for_edits_only_where_they_pay() {
    let mut input = three_reads().input(policy(3600), 3310);
    input.policy.utilization.high = 0.9;
    input.policy.utilization.low = Low::Share(0.4);
    // Warm: to compute 2 * 1000 tokens again is not worth the few milliseconds of later turns.
    let plan = planned(&input);
    assert_eq!((edits(&plan), plan.need.soft), (vec![], 3310 - 1440));
    // Cold: nothing is computed again.
    input.cache.matched = 0;
    let cleared = [("clear_tool_result", 3), ("clear_tool_result", 5)];
    assert_eq!(edits(&planned(&input)), cleared);
    // Warm, but memory is short.
    input.cache.matched = 3310;
    input.cost.residency = 1e-4;
    assert_eq!(edits(&planned(&input)), cleared);
    // Not so soon after the last batch.
    input.policy.outlook.turns_since_edits = Some(2);
    assert_eq!(edits(&planned(&input)), []);
    input.policy.outlook.turns_since_edits = Some(3);
    assert_eq!(edits(&planned(&input)), cleared);
}

#[test]
fn cost_mode_takes_the_milder_edit_of_a_later_rung() {
    let mut prompt = Prompt::new();
    prompt.user(10);
    let result = prompt.tool("deploy", 500);
    result.kind = SegmentKind::ToolResult {
        name: "deploy".into(),
        call: 1,
        recallable: false,
    };
    (result.relevance, result.referenced) = (1.0, 1.0);
    prompt.tool("read", 10);
    prompt.user(10);
    let useless = prompt.document(500);
    (useless.score, useless.relevance, useless.density) = (Some(0.0), 0.0, 0.0);
    prompt.user(10);
    let mut input = prompt.input(policy(700), 0);
    input.policy.compaction.keep_raw_turns = 10;
    let strict = planned(&input);
    assert!(
        strict
            .edits
            .iter()
            .all(|edit| edit.rung == Rung::ClearToolResults)
    );
    input.policy.ladder_mode = LadderMode::Cost;
    let cost = planned(&input);
    assert!(
        cost.edits
            .iter()
            .any(|edit| edit.rung == Rung::ReduceRetrieval)
    );
    assert!(cost.loss < strict.loss);
}

#[test]
fn the_next_observation_is_told_its_limits() {
    let mut input = three_reads().input(policy(4000), 3310);
    input.policy.utilization.high = 0.9;
    input.policy.output.min = 100;
    let limits = planned(&input).max_observation_tokens;
    // 3600 - 3410; 4000 - 3410 + two records of 48 in place of 1000 each; nothing else is left.
    assert_eq!((limits.null, limits.partial), (190, 590 + 2 * 952));
    assert_eq!(limits.full, limits.partial);
    // What is announced is made room for now.
    input.incoming = 1600;
    let plan = planned(&input);
    assert_eq!((plan.need.hard, plan.edits.len()), (1010, 2));
}

#[test]
fn only_what_may_be_needed_is_asked_for() {
    // 500 calls of one long turn, of which 100 results must go.
    let mut prompt = Prompt::new();
    prompt.user(50);
    for _ in 0..500 {
        prompt.tool("read", 500);
    }
    prompt.assistant(100);
    prompt.user(10);
    let mut input = prompt.input(policy(0), 0);
    input.policy.budget = input.prompt_tokens - 100 * 480;
    let mut lengths = Lengths::new(&input.segments, 0);
    let plan = plan(&input, &mut lengths).expect("the results can be cleared");
    assert!(plan.edits.len() >= 100);
    assert!(
        lengths.asked.len() <= 256 + 24 * 5,
        "{}",
        lengths.asked.len()
    );
    assert!(
        lengths
            .asked
            .iter()
            .all(|(_, op)| matches!(op, EditOp::ClearToolResult | EditOp::Compress(_)))
    );
}

#[test]
fn three_long_reads_with_one_kept_free_two_thirds() {
    // The run that the practice of clearing is quoted for: 128,740 tokens at its peak, 96 % of them
    // read from files.
    let mut prompt = Prompt::new();
    prompt.system(1500);
    prompt.user(200);
    for tokens in [40_800, 41_900, 41_200] {
        prompt.reasoning(730);
        prompt.tool("read", tokens);
    }
    prompt.assistant(890);
    let mut input = prompt.input(policy(200_000), 0);
    assert_eq!(input.prompt_tokens, 128_740);
    input.policy.clearing.trigger = Some(Trigger::InputTokens(100_000));
    let plan = planned(&input);
    assert_eq!(
        edits(&plan),
        [("clear_tool_result", 4), ("clear_tool_result", 7)]
    );
    let freed = input.prompt_tokens - plan.tokens_after;
    assert!(freed * 100 >= 60 * input.prompt_tokens, "{freed}");
}

#[test]
fn a_growing_conversation_is_cleared_in_batches() {
    // 60 calls of 500 tokens, warm; 300 tokens too many, so one result would do.
    let make = |growth| {
        let mut prompt = Prompt::new();
        prompt.user(50);
        for _ in 0..60 {
            prompt.tool("read", 500);
        }
        prompt.assistant(10);
        let mut input = prompt.input(policy(0), usize::MAX);
        input.policy.budget = input.prompt_tokens - 300;
        input.policy.utilization.high = 0.9;
        input.policy.utilization.low = Low::Auto;
        input.policy.objective.prefill = PrefillWeight::Millisecond(0.001);
        input.policy.outlook.turns = 30.0;
        input.policy.outlook.growth_per_turn = growth;
        input
    };
    let freed = |input: &PlanInput| input.prompt_tokens - planned(input).tokens_after;
    assert_eq!(freed(&make(0.0)), 480);
    let batch = freed(&make(1000.0));
    assert!(batch >= 3000, "{batch}");
    // A forced batch may be as large as it is worth, however soon after the last.
    let mut soon = make(1000.0);
    soon.policy.outlook.turns_since_edits = Some(0);
    assert_eq!(freed(&soon), batch);
}
