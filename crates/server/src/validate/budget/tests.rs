use context::{
    Amount, Bound, ClearInputs, ClearTrigger, CompactTrigger, CompactionSchedule, Low, Mode,
    StablePrefix, Symbol, ThinkingKeep, Tier, Zone,
};
use serde_json::{Value, json};

use super::*;

fn parse(budget: &Value) -> Result<BudgetRequest, ApiError> {
    let body = json!({"context_budget": budget}).to_string();
    let mut fields = Fields::from_body(body.as_bytes()).expect("an object");
    Ok(request(&mut fields)?.expect("the field is there"))
}

fn manage(management: &Value) -> Result<(Vec<ManagedEdit>, Settings), ApiError> {
    let body = json!({"context_management": management}).to_string();
    let mut fields = Fields::from_body(body.as_bytes()).expect("an object");
    Ok(super::management(&mut fields)?.expect("the field is there"))
}

/// The design's own example, with every field that it has.
fn example() -> Value {
    json!({
        "version": 1, "mode": "enforce", "profile": "agent", "max_context_tokens": 32768,
        "utilization": {"soft": 0.60, "high": 0.85, "low": 0.55},
        "zones": {
            "system": {"tier": "protected"},
            "tool_schemas": {"tier": "mostly_protected", "max": 8000, "select": "all"},
            "stable_prefix": {"tier": "committed", "until": "cache_control"},
            "examples": {"min": 0, "max": 3000, "priority": 6},
            "retrieval": {"min": 2000, "target": 8000, "max": 12000, "priority": 3,
                "tier": "compactable", "min_score": 0.2, "placement": "auto"},
            "history": {"min": "recent_turns_plus_summary", "keep_raw_turns": 5, "target": 6000,
                "max": {"fraction": 0.3}, "priority": 2, "tier": "compactable"},
            "tool_outputs": {"min": "latest_required_observations", "keep": 3, "target": 4000,
                "max": 12000, "per_tool": {"read_file": {"max": 6000, "recallable": true}},
                "exclude_tools": ["memory"]},
            "output_buffer": {"min": 512, "target": 1024, "max": 4096, "tier": "protected"},
            "scratch": {"tier": "clearable", "max": 100}},
        "ladder": ["dedupe", "clear_tool_results", "ask"], "ladder_mode": "strict",
        "compaction": {"model": "self", "max_tokens": 800, "preserve": ["user_goal", "errors"],
            "instructions": null, "instructions_mode": "append", "schedule": "background",
            "quality_gate": {"critical_recall": 0.95}},
        "documents": [{"id": "d12", "text": "text", "score": 0.83, "source": "here"}],
        "incoming": [{"zone": "tool_outputs", "tool": "read_file", "tokens": 40000}],
        "annotations": [{"tool_call_id": "call_7", "pin": true},
            {"message_index": 4, "zone": "retrieval", "score": 0.4, "tier": "clearable"}],
        "hints": {"expected_turns": 12, "expected_output_tokens": 300,
            "task": "debugging", "useful_tokens": {"retrieval": 9000}},
        "on_infeasible": "error", "max_planning_ms": 5, "ttft_slo_ms": 1500, "tell_model": "none",
        "objective": {"loss": 1.0, "prefill": 0.5, "tokens": 0.1, "diversity": 0.0},
        "store": {"memory_namespace": "team-a"}, "report": "full",
    })
}

#[test]
fn every_field_of_the_example_arrives() {
    let request = parse(&example()).expect("a good request");
    let settings = &request.settings;
    assert_eq!(request.profile.as_deref(), Some("agent"));
    assert_eq!(settings.mode, Some(Mode::Enforce));
    assert_eq!(settings.budget, Some(Amount::Tokens(32_768)));
    assert_eq!(settings.utilization.soft, Some(0.6));
    assert_eq!(settings.utilization.low, Some(Low::Share(0.55)));
    assert_eq!(settings.stable_prefix, Some(StablePrefix::CacheControl));
    let retrieval = &settings.zones[&Zone::Retrieval];
    assert_eq!(retrieval.min, Some(Bound::Tokens(2_000)));
    assert_eq!(
        (retrieval.priority, retrieval.useful),
        (Some(3), Some(9_000))
    );
    assert_eq!(settings.retrieval.min_score, Some(0.2));
    let history = &settings.zones[&Zone::History];
    assert_eq!(
        history.min,
        Some(Bound::Symbol(Symbol::RecentTurnsPlusSummary))
    );
    assert_eq!(history.max, Some(Bound::Share(0.3)));
    assert_eq!(settings.compaction.keep_raw_turns, Some(5));
    assert_eq!(settings.clearing.keep, Some(3));
    assert_eq!(
        settings.clearing.per_tool["read_file"].max,
        Some(Amount::Tokens(6_000))
    );
    assert_eq!(
        settings.zones[&Zone::from_name("scratch")].tier,
        Some(Tier::Clearable)
    );
    assert_eq!(settings.output.max, Some(Bound::Tokens(4_096)));
    assert_eq!(settings.ladder.as_deref().map(<[_]>::len), Some(3));
    assert_eq!(settings.compaction.critical_recall, Some(0.95));
    assert_eq!(settings.hints.expected_turns, Some(12.0));
    assert_eq!(settings.max_planning_ms, Some(5));
    assert_eq!(settings.objective.prefill, Some(PrefillWeight::Whole(0.5)));
    assert_eq!(request.documents[0].score, Some(0.83));
    assert_eq!(request.incoming[0].tokens, 40_000);
    assert_eq!(
        request.annotations[0].target,
        Target::ToolCall("call_7".to_owned())
    );
    assert_eq!(request.annotations[1].target, Target::Message(4));
    assert_eq!(
        request
            .memory_namespace
            .map(|name| name.to_string())
            .as_deref(),
        Some("team-a")
    );
}

#[test]
fn parts_can_be_left_out_and_prefill_be_priced_by_time() {
    let request = parse(&json!({"ablation": ["ledger"], "objective": {"prefill_ms": 0.2}}));
    let request = request.expect("a good request");
    assert_eq!(
        request.ablation,
        Ablation {
            cache: false,
            ledger: true
        }
    );
    assert_eq!(
        request.settings.objective.prefill,
        Some(PrefillWeight::Millisecond(0.2))
    );
}

#[test]
fn triggers_are_tokens_shares_uses_or_need() {
    let triggers = |clear: Value, compact: Value| {
        let budget = json!({"zones": {"tool_outputs": {"trigger": clear, "clear_at_least": 0.1}},
            "compaction": {"trigger": compact, "compact_at_least": 500}});
        let settings = parse(&budget).expect("a good request").settings;
        let least = (
            settings.clearing.clear_at_least,
            settings.compaction.compact_at_least,
        );
        assert_eq!(least, (Some(Amount::Share(0.1)), Some(Amount::Tokens(500))));
        let (clear, compact) = (settings.clearing.trigger, settings.compaction.trigger);
        (clear.expect("said"), compact.expect("said"))
    };
    let tokens = Amount::Tokens(24_000);
    assert_eq!(
        triggers(json!(24_000), json!({"tokens": 24_000})),
        (
            ClearTrigger::InputTokens(tokens),
            CompactTrigger::InputTokens(tokens)
        )
    );
    let share = Amount::Share(0.5);
    assert_eq!(
        triggers(json!({"fraction": 0.5}), json!(0.5)),
        (
            ClearTrigger::InputTokens(share),
            CompactTrigger::InputTokens(share)
        )
    );
    assert_eq!(
        triggers(json!({"tool_uses": 7}), json!("need")),
        (ClearTrigger::ToolUses(7), CompactTrigger::Need)
    );
}

#[test]
fn wrong_triggers_are_named_with_their_path() {
    let clear = |trigger: Value| json!({"zones": {"tool_outputs": {"trigger": trigger}}});
    let compact = |trigger: Value| json!({"compaction": {"trigger": trigger}});
    const CLEAR: &str = "context_budget.zones.tool_outputs.trigger";
    const COMPACT: &str = "context_budget.compaction.trigger";
    for (budget, path, field) in [
        (clear(json!("now")), CLEAR, ""),
        (clear(json!(0)), CLEAR, ""),
        (clear(json!(-1)), CLEAR, ""),
        (clear(json!(true)), CLEAR, ""),
        (clear(json!({})), CLEAR, ""),
        (clear(json!({"fraction": 1.5})), CLEAR, ".fraction"),
        (clear(json!({"tool_uses": -1})), CLEAR, ".tool_uses"),
        (
            clear(json!({"tool_uses": 1, "tokens": 1})),
            CLEAR,
            ".tokens",
        ),
        (compact(json!([1])), COMPACT, ""),
        (compact(json!({"tool_uses": 1})), COMPACT, ".tool_uses"),
    ] {
        let error = parse(&budget).expect_err("something is wrong");
        let param = format!("{path}{field}");
        assert_eq!(error.body()["error"]["param"], param.as_str(), "{budget}");
    }
}

#[test]
fn an_empty_object_asks_for_the_defaults() {
    assert_eq!(parse(&json!({})), Ok(BudgetRequest::default()));
}

#[test]
fn what_is_wrong_is_named_with_its_path() {
    let wrong = [
        (json!([]), "context_budget"),
        (json!({"version": 2}), "context_budget.version"),
        (json!({"mode": "on"}), "context_budget.mode"),
        (
            json!({"max_context_tokens": 0}),
            "context_budget.max_context_tokens",
        ),
        (
            json!({"max_context_tokens": -3}),
            "context_budget.max_context_tokens",
        ),
        (
            json!({"max_context_tokens": {"fraction": 1.5}}),
            "context_budget.max_context_tokens.fraction",
        ),
        (json!({"utilisation": {}}), "context_budget.utilisation"),
        (
            json!({"utilization": {"low": "lower"}}),
            "context_budget.utilization.low",
        ),
        (
            json!({"utilization": {"high": 2}}),
            "context_budget.utilization.high",
        ),
        (
            json!({"zones": {"history": 3}}),
            "context_budget.zones.history",
        ),
        (
            json!({"zones": {"history": {"min": "some"}}}),
            "context_budget.zones.history.min",
        ),
        (
            json!({"zones": {"history": {"keep": 3}}}),
            "context_budget.zones.history.keep",
        ),
        (
            json!({"zones": {"a zone": {"min": 3}}}),
            "context_budget.zones.a zone",
        ),
        (
            json!({"zones": {"memory": {"tier": "holy"}}}),
            "context_budget.zones.memory.tier",
        ),
        (
            json!({"ladder": ["dedupe", "delete"]}),
            "context_budget.ladder[1]",
        ),
        (
            json!({"documents": [{"id": "a"}]}),
            "context_budget.documents[0].text",
        ),
        (
            json!({"documents": [{"id": "a", "text": ""}, {"id": "a", "text": ""}]}),
            "context_budget.documents[1].id",
        ),
        (
            json!({"incoming": [{"tool": "x"}]}),
            "context_budget.incoming[0].tokens",
        ),
        (
            json!({"annotations": [{"pin": true}]}),
            "context_budget.annotations[0].tool_call_id",
        ),
        (
            json!({"compaction": {"model": "other"}}),
            "context_budget.compaction.model",
        ),
        (
            json!({"compaction": {"preserve": ["x"]}}),
            "context_budget.compaction.preserve[0]",
        ),
        (
            json!({"hints": {"useful_tokens": {"x": -1}}}),
            "context_budget.hints.useful_tokens.x",
        ),
        (
            json!({"hints": {"useful_tokens": {"no name": 1}}}),
            "context_budget.hints.useful_tokens.no name",
        ),
        (
            json!({"hints": {"expected_idle_ms": 4}}),
            "context_budget.hints.expected_idle_ms",
        ),
        (
            json!({"store": {"session": "s"}}),
            "context_budget.store.session",
        ),
        (
            json!({"objective": {"prefill": 1, "prefill_ms": 0.2}}),
            "context_budget.objective.prefill_ms",
        ),
        (
            json!({"ablation": ["cache", "gate"]}),
            "context_budget.ablation[1]",
        ),
    ];
    for (budget, path) in wrong {
        let error = parse(&budget).expect_err("something is wrong");
        assert_eq!(error.body()["error"]["param"], path, "{budget}");
        assert_eq!(error.status().as_u16(), 400, "{budget}");
    }
}

#[test]
fn anthropics_edits_mean_what_their_defaults_say() {
    let (edits, settings) = manage(&json!({"edits": [
        {"type": "clear_thinking_20251015"},
        {"type": "clear_tool_uses_20250919"},
    ]}))
    .expect("good edits");
    assert_eq!(
        edits,
        [ManagedEdit::ClearThinking, ManagedEdit::ClearToolUses]
    );
    assert_eq!(settings.thinking, Some(ThinkingKeep::OnlyTurns(1)));
    assert_eq!(settings.clearing.trigger, Some(ClearTrigger::VendorDefault));
    assert_eq!(settings.clearing.keep, Some(3));
    assert_eq!(settings.clearing.clear_at_least, Some(Amount::Tokens(0)));
}

#[test]
fn anthropics_edits_are_read_whole() {
    let (_, settings) = manage(&json!({"edits": [
        {"type": "clear_thinking_20251015", "keep": "all"},
        {"type": "clear_tool_uses_20250919", "trigger": {"type": "tool_uses", "value": 7},
         "keep": {"type": "tool_uses", "value": 1}, "clear_tool_inputs": ["read"],
         "clear_at_least": {"type": "input_tokens", "value": 4000}, "exclude_tools": ["memory"]},
        {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 28000},
         "instructions": null, "pause_after_compaction": false},
    ]}))
    .expect("good edits");
    let clearing = &settings.clearing;
    assert_eq!(settings.thinking, Some(ThinkingKeep::All));
    assert_eq!(clearing.trigger, Some(ClearTrigger::ToolUses(7)));
    assert_eq!(clearing.keep, Some(1));
    assert_eq!(clearing.clear_at_least, Some(Amount::Tokens(4_000)));
    assert_eq!(
        clearing.clear_inputs,
        Some(ClearInputs::Tools(vec!["read".into()]))
    );
    let trigger = CompactTrigger::InputTokens(Amount::Tokens(28_000));
    assert_eq!(settings.compaction.trigger, Some(trigger));
}

#[test]
fn triggers_may_be_shares() {
    let (_, settings) = manage(&json!([
        {"type": "clear_tool_uses_20250919",
         "trigger": {"type": "input_tokens", "value": {"fraction": 0.5}},
         "clear_at_least": {"type": "input_tokens", "value": 0.1}},
        {"type": "compaction", "compact_threshold": 0.75},
    ]))
    .expect("good edits");
    assert_eq!(
        settings.clearing.trigger,
        Some(ClearTrigger::InputTokens(Amount::Share(0.5)))
    );
    assert_eq!(settings.clearing.clear_at_least, Some(Amount::Share(0.1)));
    assert_eq!(
        settings.compaction.trigger,
        Some(CompactTrigger::InputTokens(Amount::Share(0.75)))
    );
}

#[test]
fn openais_shape_is_known_too() {
    let (edits, settings) =
        manage(&json!([{"type": "compaction", "compact_threshold": 5000}])).expect("good");
    assert_eq!(edits, [ManagedEdit::Compact]);
    let trigger = CompactTrigger::InputTokens(Amount::Tokens(5_000));
    assert_eq!(settings.compaction.trigger, Some(trigger));
    let schedule = Some(CompactionSchedule::Foreground);
    assert_eq!(settings.compaction.schedule, schedule);
}

#[test]
fn a_wrong_edit_is_named_with_its_path() {
    let wrong = [
        (json!(3), "context_management"),
        (json!({"edit": []}), "context_management.edit"),
        (json!({"edits": [{}]}), "context_management.edits[0].type"),
        (
            json!({"edits": [{"type": "forget"}]}),
            "context_management.edits[0].type",
        ),
        (
            json!({"edits": [{"type": "clear_tool_uses_20250919", "keep": 3}]}),
            "context_management.edits[0].keep",
        ),
        (
            json!({"edits": [{"type": "clear_thinking_20251015",
                "keep": {"type": "thinking_turns"}}]}),
            "context_management.edits[0].keep",
        ),
        (
            json!({"edits": [{"type": "clear_thinking_20251015"},
                {"type": "clear_thinking_20251015"}]}),
            "context_management.edits[1]",
        ),
        (
            json!([{"type": "clear_tool_uses_20250919", "trigger": {"type": "tool_uses",
                "value": 0.5}}]),
            "context_management[0].trigger.value",
        ),
        (
            json!([{"type": "compact_20260112", "pause_after_compaction": true}]),
            "context_management[0].pause_after_compaction",
        ),
        (
            json!([{"type": "compaction", "threshold": 1}]),
            "context_management[0].threshold",
        ),
    ];
    for (management, path) in wrong {
        let error = manage(&management).expect_err("something is wrong");
        assert_eq!(error.body()["error"]["param"], path, "{management}");
    }
}
