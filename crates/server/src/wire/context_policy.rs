//! What `GET /v1/context/policy` answers.
//!
//! A profile goes out with the fields of `context_budget`, so that it can be sent back as one.

use context::{
    Bound, Hints, LadderMode, Low, Policy, PrefillWeight, Resolved, Settings, StablePrefix,
    ThinkingRule, ToolRule, Trigger, Zone, ZoneRule, ZoneSettings,
};
use serde_json::{Map, Value, json};

/// The fields of `context_budget` that a profile comes to: bounds as tokens, or as the symbol whose
/// tokens the prompt decides.
pub fn budget_fields(settings: &Settings, resolved: &Resolved) -> Value {
    let policy = &resolved.policy;
    let utilization = &policy.utilization;
    let mut fields = json!({
        "mode": resolved.mode.name(),
        "max_context_tokens": policy.budget,
        "utilization": {
            "soft": utilization.soft,
            "high": utilization.high,
            "low": match utilization.low {
                Low::Share(share) => json!(share),
                Low::Auto => json!("auto"),
            },
        },
        "min_turns_between_edits": policy.outlook.min_turns_between_edits,
        "zones": zones(settings, policy),
        "ladder": policy.ladder.iter().map(|rung| rung.name()).collect::<Vec<_>>(),
        "ladder_mode": ladder_mode(policy.ladder_mode),
        "compaction": compaction(resolved),
        "objective": objective(policy),
        "on_infeasible": resolved.on_infeasible.name(),
        "tell_model": resolved.tell_model.name(),
        "server_tools": resolved.server_tools,
        "report": resolved.report.name(),
    });
    let optional = [
        ("hints", hints(settings)),
        ("max_planning_ms", json!(resolved.max_planning_ms)),
        ("ttft_slo_ms", json!(resolved.ttft_slo_ms)),
    ];
    for (name, value) in optional {
        if !value.is_null() {
            fields[name] = value;
        }
    }
    fields
}

fn objective(policy: &Policy) -> Value {
    let objective = &policy.objective;
    let (prefill, weight) = match objective.prefill {
        PrefillWeight::Whole(weight) => ("prefill", weight),
        PrefillWeight::Millisecond(weight) => ("prefill_ms", weight),
    };
    json!({
        "loss": objective.loss,
        prefill: weight,
        "tokens": objective.tokens,
        "diversity": policy.retrieval.diversity,
    })
}

/// Turns whose reasoning stays; null for all of them. `context_management` has no other place here.
pub fn thinking_turns(rule: Option<ThinkingRule>) -> Value {
    json!(rule.map(|rule| rule.keep_turns))
}

fn zones(settings: &Settings, policy: &Policy) -> Value {
    let mut zones: Map<String, Value> = policy
        .zones
        .iter()
        .map(|rule| {
            let name = rule.zone.name().to_owned();
            (name, zone(rule, settings, policy))
        })
        .collect();
    let output = policy.output;
    let output = json!({"min": output.min, "target": output.target, "max": output.max});
    zones.insert("output_buffer".to_owned(), output);
    let until = match settings.stable_prefix {
        None | Some(StablePrefix::CacheControl) => json!("cache_control"),
        Some(StablePrefix::Auto) => json!("auto"),
        Some(StablePrefix::MessageIndex(index)) => json!({"message_index": index}),
        Some(StablePrefix::Tokens(tokens)) => json!({"tokens": tokens}),
    };
    zones.insert("stable_prefix".to_owned(), json!({"until": until}));
    Value::Object(zones)
}

fn zone(rule: &ZoneRule, settings: &Settings, policy: &Policy) -> Value {
    let asked = settings.zones.get(&rule.zone).copied().unwrap_or_default();
    let asked = asked.over(ZoneSettings::defaults(&rule.zone));
    let max = bound(asked.max, policy.budget).unwrap_or(json!(policy.budget));
    let mut fields = json!({
        "tier": rule.tier.name(),
        "priority": rule.priority,
        "min": bound(asked.min, policy.budget).unwrap_or(json!(0)),
        "target": bound(asked.target, policy.budget).unwrap_or_else(|| max.clone()),
        "max": max,
    });
    match rule.zone {
        Zone::History => fields["keep_raw_turns"] = json!(policy.compaction.keep_raw_turns),
        Zone::Retrieval => {
            fields["min_score"] = json!(policy.retrieval.min_score);
            fields["placement"] = json!(policy.retrieval.placement.name());
        }
        Zone::ToolSchemas => {
            fields["allow_tool_pruning"] = json!(settings.tool_pruning.unwrap_or(false));
        }
        Zone::ToolOutputs => add_tools(&mut fields, policy),
        _ => {}
    }
    fields
}

fn add_tools(fields: &mut Value, policy: &Policy) {
    let tools = &policy.clearing.tools;
    let excluded = tools.iter().filter(|tool| tool.excluded);
    let has_rule = |tool: &&ToolRule| !tool.excluded || tool.recallable.is_some();
    let per_tool = tools.iter().filter(has_rule).map(|tool| {
        let said = [
            ("max", json!(tool.max)),
            ("recallable", json!(tool.recallable)),
        ];
        let said = said.into_iter().filter(|(_, value)| !value.is_null());
        let said: Map<String, Value> = said.map(|(name, value)| (name.to_owned(), value)).collect();
        (tool.name.to_string(), Value::Object(said))
    });
    fields["trigger"] = match policy.clearing.trigger {
        None => json!("need"),
        Some(Trigger::InputTokens(tokens)) => json!(tokens),
        Some(Trigger::ToolUses(uses)) => json!({"tool_uses": uses}),
    };
    fields["clear_at_least"] = json!(policy.clearing.clear_at_least);
    fields["keep"] = json!(policy.clearing.keep);
    fields["exclude_tools"] = excluded.map(|tool| json!(tool.name)).collect();
    fields["per_tool"] = Value::Object(per_tool.collect());
}

fn compaction(resolved: &Resolved) -> Value {
    let (rule, request) = (&resolved.policy.compaction, &resolved.summary);
    let mut fields = json!({
        "trigger": rule.trigger.map_or(json!("need"), |tokens| json!(tokens)),
        "compact_at_least": rule.compact_at_least,
        "max_tokens": rule.max_tokens,
        "level": rule.level.name(),
        "preserve": request.preserve.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
        "instructions_mode": request.instructions_mode.name(),
        "schedule": request.schedule.name(),
        "quality_gate": {
            "critical_recall": rule.critical_recall,
            "max_nll_delta": rule.max_nll_delta,
        },
    });
    if let Some(instructions) = &request.instructions {
        fields["instructions"] = json!(instructions);
    }
    fields
}

/// What is said of requests to come; null if nothing is.
fn hints(settings: &Settings) -> Value {
    let Hints {
        expected_turns,
        expected_output_tokens,
        task,
    } = &settings.hints;
    let useful = settings
        .zones
        .iter()
        .filter_map(|(zone, rule)| Some((zone.name().to_owned(), json!(rule.useful?))));
    let useful: Map<String, Value> = useful.collect();
    let said = [
        ("expected_turns", json!(expected_turns)),
        ("expected_output_tokens", json!(expected_output_tokens)),
        ("task", json!(task)),
        (
            "useful_tokens",
            if useful.is_empty() {
                Value::Null
            } else {
                Value::Object(useful)
            },
        ),
    ];
    let said = said.into_iter().filter(|(_, value)| !value.is_null());
    let said: Map<String, Value> = said.map(|(name, value)| (name.to_owned(), value)).collect();
    if said.is_empty() {
        Value::Null
    } else {
        Value::Object(said)
    }
}

fn bound(bound: Option<Bound>, budget: usize) -> Option<Value> {
    Some(match bound? {
        Bound::Symbol(symbol) => json!(symbol.name()),
        number => json!(number.tokens(budget)),
    })
}

fn ladder_mode(mode: LadderMode) -> &'static str {
    match mode {
        LadderMode::Strict => "strict",
        LadderMode::Cost => "cost",
    }
}
