//! What is refused, by field and in words.

use super::*;

/// The error of settings in a window of 8,192 tokens.
fn refused(settings: &Settings) -> (String, &'static str) {
    refused_with(settings, &Facts::of_window(8192))
}

fn refused_with(settings: &Settings, facts: &Facts<'_>) -> (String, &'static str) {
    let error: SettingsError = resolve(settings, facts).expect_err("it cannot be");
    assert!(error.to_string().starts_with(&format!("{}: ", error.field)));
    (error.to_string(), error.problem.code())
}

fn check(settings: &Settings, message: &str, code: &'static str) {
    assert_eq!(refused(settings), (message.to_owned(), code));
}

fn with_budget(budget: Amount) -> Settings {
    Settings {
        budget: Some(budget),
        ..Settings::default()
    }
}

fn with_marks(soft: Option<f64>, high: Option<f64>, low: Option<Low>) -> Settings {
    Settings {
        utilization: UtilizationSettings { soft, high, low },
        ..Settings::default()
    }
}

#[test]
fn budgets() {
    check(
        &with_budget(Amount::Tokens(0)),
        "max_context_tokens: must be at least 1",
        "out_of_range",
    );
    check(
        &with_budget(Amount::Tokens(8193)),
        "max_context_tokens: 8193 tokens are more than the 8192 of the window",
        "budget_above_window",
    );
    check(
        &with_budget(Amount::Share(1.5)),
        "max_context_tokens: 1.5 is not a number from 0 to 1",
        "out_of_range",
    );
    check(
        &with_budget(Amount::Share(0.0)),
        "max_context_tokens: must be at least 1",
        "out_of_range",
    );
    check(
        &with_budget(Amount::Share(f64::NAN)),
        "max_context_tokens: NaN is not a number from 0 to 1",
        "out_of_range",
    );
}

#[test]
fn marks() {
    check(
        &with_marks(None, Some(0.5), Some(Low::Share(0.5))),
        "utilization.low: 0.5 is not below the 0.5 of utilization.high",
        "bounds_out_of_order",
    );
    check(
        &with_marks(Some(0.9), None, None),
        "utilization.soft: 0.9 is not below the 0.85 of utilization.high",
        "bounds_out_of_order",
    );
    let (message, code) = refused(&with_marks(None, Some(1.01), None));
    assert!(
        message.starts_with("utilization.high: 1.01 is not"),
        "{message}"
    );
    assert_eq!(code, "out_of_range");
    check(
        &with_marks(None, None, Some(Low::Share(-0.1))),
        "utilization.low: -0.1 is not a number from 0 to 1",
        "out_of_range",
    );
}

#[test]
fn bounds_out_of_order() {
    let zone = |bounds| with_zone("retrieval", zone_settings(bounds));
    check(
        &zone([tokens(900), None, tokens(800)]),
        "zones.retrieval.min: 900 tokens are more than the 800 of zones.retrieval.max",
        "bounds_out_of_order",
    );
    check(
        &zone([tokens(900), tokens(800), None]),
        "zones.retrieval.min: 900 tokens are more than the 800 of zones.retrieval.target",
        "bounds_out_of_order",
    );
    check(
        &zone([None, tokens(900), Some(Bound::Share(0.1))]),
        "zones.retrieval.target: 900 tokens are more than the 819 of zones.retrieval.max",
        "bounds_out_of_order",
    );
    check(
        &Settings {
            output: OutputSettings {
                min: tokens(100),
                target: tokens(50),
                max: None,
            },
            ..Settings::default()
        },
        "zones.output_buffer.min: 100 tokens are more than the 50 of zones.output_buffer.target",
        "bounds_out_of_order",
    );
}

#[test]
fn shares_and_scores_out_of_range() {
    check(
        &with_zone(
            "history",
            zone_settings([Some(Bound::Share(-0.2)), None, None]),
        ),
        "zones.history.min: -0.2 is not a number from 0 to 1",
        "out_of_range",
    );
    let mut settings = Settings::default();
    settings.retrieval.min_score = Some(2.0);
    check(
        &settings,
        "zones.retrieval.min_score: 2 is not a number from 0 to 1",
        "out_of_range",
    );
    let mut settings = Settings::default();
    settings.compaction.critical_recall = Some(95.0);
    check(
        &settings,
        "compaction.quality_gate.critical_recall: 95 is not a number from 0 to 1",
        "out_of_range",
    );
    for weight in [-1.0, f64::INFINITY, f64::NAN] {
        let mut settings = Settings::default();
        settings.objective.prefill = Some(PrefillWeight::Millisecond(weight));
        check(
            &settings,
            &format!("objective.prefill_ms: {weight} is not a number from 0 on"),
            "out_of_range",
        );
    }
    let mut settings = Settings::default();
    settings.hints.expected_turns = Some(-2.0);
    check(
        &settings,
        "hints.expected_turns: -2 is not a number from 0 on",
        "out_of_range",
    );
    let priority = ZoneSettings {
        priority: Some(0),
        ..ZoneSettings::default()
    };
    check(
        &with_zone("history", priority),
        "zones.history.priority: must be at least 1",
        "out_of_range",
    );
}

#[test]
fn symbols_in_the_wrong_place() {
    let min = |zone: &str, wanted| with_zone(zone, zone_settings([symbol(wanted), None, None]));
    check(
        &min("retrieval", Symbol::RecentTurnsPlusSummary),
        "zones.retrieval.min: `recent_turns_plus_summary` has no meaning here",
        "misplaced_symbol",
    );
    check(
        &min("history", Symbol::AnswerFloor),
        "zones.history.min: `answer_floor` has no meaning here",
        "misplaced_symbol",
    );
    for (zone, wanted) in [
        ("history", Symbol::EvidenceFloor),
        ("history", Symbol::RankedCap),
        ("history", Symbol::LatestRequiredObservations),
        ("tool_outputs", Symbol::RecentTurnsPlusSummary),
        ("notes", Symbol::EvidenceFloor),
    ] {
        assert_eq!(refused(&min(zone, wanted)).1, "misplaced_symbol", "{zone}");
    }
    let settings = Settings {
        output: OutputSettings {
            max: symbol(Symbol::Fixed),
            ..OutputSettings::default()
        },
        ..Settings::default()
    };
    check(
        &settings,
        "zones.output_buffer.max: `fixed` has no meaning here",
        "misplaced_symbol",
    );
}

#[test]
fn minima_above_the_budget() {
    let mut settings = with_zone("history", zone_settings([tokens(5000), None, None]));
    let half = Some(Bound::Share(0.5));
    settings
        .zones
        .insert(Zone::Memory, zone_settings([half, None, None]));
    settings.output.min = tokens(512);
    check(
        &settings,
        "zones: minima of 9608 tokens do not fit into the budget of 8192 \
         (zones.memory.min 4096, zones.history.min 5000, zones.output_buffer.min 512)",
        "zone_min_conflict",
    );
    settings.zones.remove(&Zone::Memory);
    settings.output.min = tokens(3192);
    assert!(
        resolve(&settings, &Facts::of_window(8192)).is_ok(),
        "exactly the budget"
    );
    settings.output.min = tokens(3193);
    assert_eq!(refused(&settings).1, "zone_min_conflict");
}

#[test]
fn unknown_zones() {
    let useful_only = ZoneSettings {
        useful: Some(100),
        priority: Some(2),
        ..ZoneSettings::default()
    };
    check(
        &with_zone("retreival", useful_only),
        "hints.useful_tokens.retreival: no such zone; a zone of your own needs a tier or a bound",
        "unknown_zone",
    );
    for name in ["stable_prefix", "output_buffer"] {
        let declared = zone_settings([tokens(1), None, None]);
        assert_eq!(refused(&with_zone(name, declared)).1, "unknown_zone");
    }
    let mut prompt = Prompt::default();
    prompt.push(Zone::Custom("notes".into()), SegmentKind::User, 80);
    let (message, code) = refused_with(&Settings::default(), &prompt.facts(8192));
    assert!(message.starts_with("zones.notes: "), "{message}");
    assert_eq!(code, "unknown_zone");
}

#[test]
fn repeated_rungs() {
    let settings = Settings {
        ladder: Some(vec![Rung::Dedupe, Rung::Offload, Rung::Dedupe]),
        ..Settings::default()
    };
    check(
        &settings,
        "ladder[2]: `dedupe` stands there twice",
        "repeated_rung",
    );
}

#[test]
fn more_output_than_allowed() {
    let settings = Settings {
        output: OutputSettings {
            max: tokens(1000),
            ..OutputSettings::default()
        },
        ..Settings::default()
    };
    let facts = |asked| Facts {
        output_asked: Some(asked),
        ..Facts::of_window(8192)
    };
    assert!(resolve(&settings, &facts(1000)).is_ok());
    assert_eq!(
        refused_with(&settings, &facts(1001)),
        (
            "zones.output_buffer.max: 1001 output tokens are asked for, but 1000 is the most"
                .to_owned(),
            "output_above_max"
        )
    );
}

#[test]
fn messages_that_are_not_there() {
    let settings = Settings {
        stable_prefix: Some(StablePrefix::MessageIndex(3)),
        ..Settings::default()
    };
    let facts = Facts {
        message_starts: &[0, 10],
        prompt_tokens: 20,
        ..Facts::of_window(8192)
    };
    assert_eq!(
        refused_with(&settings, &facts),
        (
            "zones.stable_prefix.until.message_index: message 3 of 2".to_owned(),
            "no_such_message"
        )
    );
}

#[test]
fn rules_for_excluded_tools() {
    let with = |tool: ToolSettings| Settings {
        clearing: ClearingSettings {
            exclude_tools: Some(vec!["memory".into()]),
            per_tool: [("memory".into(), tool)].into(),
            ..ClearingSettings::default()
        },
        ..Settings::default()
    };
    check(
        &with(ToolSettings {
            excluded: Some(false),
            ..ToolSettings::default()
        }),
        "zones.tool_outputs.per_tool.memory.excluded: the tool is in exclude_tools",
        "excluded_tool",
    );
    check(
        &with(ToolSettings {
            max: Some(Amount::Tokens(5)),
            ..ToolSettings::default()
        }),
        "zones.tool_outputs.per_tool.memory.max: the tool is in exclude_tools",
        "excluded_tool",
    );
}

#[test]
fn summaries_longer_than_the_budget() {
    let with = |max_tokens| Settings {
        compaction: CompactionSettings {
            max_tokens: Some(max_tokens),
            ..CompactionSettings::default()
        },
        ..Settings::default()
    };
    check(
        &with(8193),
        "compaction.max_tokens: 8193 tokens are more than the 8192 of the budget",
        "above_budget",
    );
    check(
        &with(0),
        "compaction.max_tokens: must be at least 1",
        "out_of_range",
    );
}
