mod errors;
mod feasibility;
mod floors;
mod keeps;

use super::super::{
    Amount, Bound, ClearTrigger, ClearingSettings, CompactTrigger, CompactionSettings, Facts,
    Hints, Mode, OutputSettings, SessionFacts, Settings, StablePrefix, Symbol, ThinkingKeep,
    ToolSettings, UtilizationSettings, ZoneSettings,
};
use super::{Resolved, SettingsError, resolve, resolve_profile};
use crate::{
    Bounds, Low, Objective, Placement, PrefillWeight, Rung, Segment, SegmentKind, ThinkingRule,
    Tier, ToolRule, Trigger, Utilization, Zone,
};

fn bounds(min: usize, target: usize, max: usize) -> Bounds {
    Bounds { min, target, max }
}

fn zone_settings(bounds: [Option<Bound>; 3]) -> ZoneSettings {
    ZoneSettings {
        min: bounds[0],
        target: bounds[1],
        max: bounds[2],
        ..ZoneSettings::default()
    }
}

fn with_zone(name: &str, zone: ZoneSettings) -> Settings {
    let mut settings = Settings::default();
    settings.zones.insert(Zone::from_name(name), zone);
    settings
}

fn tokens(tokens: usize) -> Option<Bound> {
    Some(Bound::Tokens(tokens))
}

fn symbol(symbol: Symbol) -> Option<Bound> {
    Some(Bound::Symbol(symbol))
}

/// A prompt, built piece by piece.
#[derive(Default)]
struct Prompt {
    segments: Vec<Segment>,
    tokens: usize,
    turn: usize,
    calls: usize,
}

impl Prompt {
    fn push(&mut self, zone: Zone, kind: SegmentKind, tokens: usize) -> &mut Segment {
        self.segments.push(Segment {
            zone,
            tier: Tier::Compactable,
            kind,
            tokens,
            start: self.tokens,
            turn: self.turn,
            live: false,
            pinned: false,
            digest: [0; 32],
            score: None,
            referenced: 0.0,
            relevance: 0.0,
            density: 0.5,
            utility: None,
            depends_on: Vec::new(),
            edit: None,
        });
        self.tokens += tokens;
        self.segments.last_mut().expect("one was pushed")
    }

    fn system(&mut self, tokens: usize) {
        self.push(Zone::System, SegmentKind::System, tokens);
    }

    /// A turn of the history: a user's message and an answer.
    fn turn(&mut self, user: usize, assistant: usize) {
        self.turn += 1;
        self.push(Zone::History, SegmentKind::User, user);
        self.push(Zone::History, SegmentKind::Assistant, assistant);
    }

    fn result(&mut self, tool: &str, tokens: usize) -> &mut Segment {
        self.calls += 1;
        let kind = SegmentKind::ToolResult {
            name: tool.into(),
            call: self.calls,
            recallable: true,
        };
        self.push(Zone::ToolOutputs, kind, tokens)
    }

    fn document(&mut self, score: Option<f64>, tokens: usize) {
        self.push(Zone::Retrieval, SegmentKind::Document, tokens)
            .score = score;
    }

    fn live(&mut self, tokens: usize) {
        self.turn += 1;
        self.push(Zone::LiveTurn, SegmentKind::User, tokens).live = true;
    }

    /// With 7 tokens that the template puts around.
    fn facts(&self, window: usize) -> Facts<'_> {
        Facts {
            prompt_tokens: self.tokens + 7,
            segments: &self.segments,
            ..Facts::of_window(window)
        }
    }
}

fn zone<'a>(resolved: &'a Resolved, name: &str) -> &'a crate::ZoneRule {
    let zone = Zone::from_name(name);
    resolved.policy.rule(&zone).expect("every zone has a rule")
}

#[test]
fn an_empty_request_has_the_documented_defaults() {
    let resolved = resolve(&Settings::default(), &Facts::of_window(8192)).expect("valid");
    let policy = &resolved.policy;
    assert_eq!(resolved.mode, Mode::Enforce);
    assert_eq!(policy.budget, 8192);
    assert_eq!(
        policy.utilization,
        Utilization {
            soft: 0.60,
            high: 0.85,
            low: Low::Share(0.55),
        }
    );
    assert_eq!(policy.output, bounds(512, 1024, 8192));
    assert_eq!(policy.stable_prefix_end, 0);
    assert_eq!(policy.ladder, Rung::ALL);
    assert_eq!(policy.clearing.keep, 3);
    assert_eq!(policy.clearing.trigger, None);
    assert_eq!(policy.thinking, None);
    assert_eq!(policy.compaction.keep_raw_turns, 5);
    assert_eq!(policy.compaction.max_tokens, 800);
    assert_eq!(policy.compaction.critical_recall, 0.95);
    assert_eq!(policy.retrieval.placement, Placement::Auto);
    assert_eq!(
        policy.objective,
        Objective {
            loss: 1.0,
            prefill: PrefillWeight::Whole(1.0),
            tokens: 0.1,
        }
    );
    assert_eq!(policy.outlook.min_turns_between_edits, 3);
    let names: Vec<&str> = policy.zones.iter().map(|rule| rule.zone.name()).collect();
    assert_eq!(
        names,
        [
            "system",
            "tool_schemas",
            "examples",
            "retrieval",
            "memory",
            "history",
            "tool_outputs",
            "live_turn"
        ]
    );
    assert_eq!(resolved.lowered().count(), 0);
}

#[test]
fn a_small_window_has_small_defaults() {
    let resolved = resolve(&Settings::default(), &Facts::of_window(1024)).expect("valid");
    assert_eq!(resolved.policy.output, bounds(128, 256, 1024));
    assert_eq!(resolved.policy.compaction.max_tokens, 256);
}

#[test]
fn a_budget_is_a_number_or_a_share_of_the_window() {
    let budget = |budget: Amount| {
        let settings = Settings {
            budget: Some(budget),
            ..Settings::default()
        };
        resolve(&settings, &Facts::of_window(8192)).map(|resolved| resolved.policy.budget)
    };
    assert_eq!(budget(Amount::Tokens(4096)), Ok(4096));
    assert_eq!(budget(Amount::Tokens(8192)), Ok(8192));
    assert_eq!(budget(Amount::Share(0.5)), Ok(4096));
    assert_eq!(budget(Amount::Share(1.0)), Ok(8192));
}

#[test]
fn marks_below_the_defaults_move_the_others() {
    let settings = Settings {
        utilization: UtilizationSettings {
            high: Some(0.45),
            ..UtilizationSettings::default()
        },
        ..Settings::default()
    };
    let marks = resolve(&settings, &Facts::of_window(8192))
        .expect("valid")
        .policy
        .utilization;
    assert_eq!((marks.soft, marks.high), (0.45, 0.45));
    let Low::Share(low) = marks.low else {
        panic!("a share is the default");
    };
    assert!((low - 0.30).abs() < 1e-12, "two thirds of high: {low}");
}

#[test]
fn shares_are_of_the_budget() {
    let half = Some(Bound::Share(0.5));
    let settings = Settings {
        budget: Some(Amount::Tokens(4001)),
        ..with_zone(
            "memory",
            zone_settings([Some(Bound::Share(0.1)), None, half]),
        )
    };
    let resolved = resolve(&settings, &Facts::of_window(8192)).expect("valid");
    assert_eq!(zone(&resolved, "memory").bounds, bounds(400, 2000, 2000));
}

#[test]
fn what_the_request_asks_for_bounds_the_output() {
    let of = |settings: OutputSettings, asked: Option<usize>| {
        let settings = Settings {
            output: settings,
            ..Settings::default()
        };
        let facts = Facts {
            output_asked: asked,
            ..Facts::of_window(8192)
        };
        resolve(&settings, &facts).map(|resolved| resolved.policy.output)
    };
    let given = |min, target, max| OutputSettings { min, target, max };
    let floor = symbol(Symbol::AnswerFloor);
    assert_eq!(
        of(given(None, None, None), Some(300)),
        Ok(bounds(300, 300, 300))
    );
    assert_eq!(
        of(given(tokens(512), tokens(1024), tokens(4096)), Some(2000)),
        Ok(bounds(512, 1024, 2000))
    );
    assert_eq!(
        of(given(tokens(512), tokens(1024), tokens(4096)), Some(16)),
        Ok(bounds(16, 16, 16)),
        "no more is kept than can be used"
    );
    assert_eq!(
        of(given(floor, None, tokens(900)), None),
        Ok(bounds(512, 900, 900))
    );
    assert_eq!(
        of(given(tokens(2000), None, None), None),
        Ok(bounds(2000, 2000, 8192))
    );
}

#[test]
fn the_stable_prefix_ends_where_it_is_said() {
    let mut prompt = Prompt::default();
    prompt.system(100);
    prompt.turn(50, 50);
    prompt.live(20);
    let facts = Facts {
        cache_control_end: Some(150),
        shared_prefix: 90,
        message_starts: &[3, 104, 155, 206],
        ..prompt.facts(8192)
    };
    let end = |until: Option<StablePrefix>| {
        let settings = Settings {
            stable_prefix: until,
            ..Settings::default()
        };
        resolve(&settings, &facts)
            .expect("valid")
            .policy
            .stable_prefix_end
    };
    assert_eq!(end(None), 150);
    assert_eq!(end(Some(StablePrefix::CacheControl)), 150);
    assert_eq!(end(Some(StablePrefix::Auto)), 90);
    assert_eq!(end(Some(StablePrefix::Tokens(120))), 120);
    assert_eq!(
        end(Some(StablePrefix::Tokens(5000))),
        227,
        "all of the prompt"
    );
    assert_eq!(end(Some(StablePrefix::MessageIndex(0))), 3);
    assert_eq!(end(Some(StablePrefix::MessageIndex(2))), 155);
    assert_eq!(
        end(Some(StablePrefix::MessageIndex(4))),
        227,
        "all four messages"
    );
}

#[test]
fn the_vendors_triggers_are_absolute_only_in_large_budgets() {
    let of = |window: usize| {
        let settings = Settings {
            clearing: ClearingSettings {
                trigger: Some(ClearTrigger::VendorDefault),
                ..ClearingSettings::default()
            },
            compaction: CompactionSettings {
                trigger: Some(CompactTrigger::VendorDefault),
                ..CompactionSettings::default()
            },
            ..Settings::default()
        };
        let policy = resolve(&settings, &Facts::of_window(window))
            .expect("valid")
            .policy;
        (policy.clearing.trigger, policy.compaction.trigger)
    };
    let input = |tokens| Some(Trigger::InputTokens(tokens));
    assert_eq!(of(200_000), (input(100_000), Some(150_000)));
    assert_eq!(of(1_000_000), (input(100_000), Some(150_000)));
    assert_eq!(of(32_768), (input(16_384), Some(24_576)));
}

#[test]
fn large_budgets_have_triggers_by_default_and_small_ones_the_high_mark() {
    let of = |settings: &Settings, window: usize| {
        let policy = resolve_profile(settings, window).expect("valid").policy;
        let (clearing, compaction) = (policy.clearing, policy.compaction);
        let triggers = (clearing.trigger, compaction.trigger);
        let least = (clearing.clear_at_least, compaction.compact_at_least);
        (triggers, least, clearing.keep)
    };
    let input = |tokens| Some(Trigger::InputTokens(tokens));
    let large = ((input(100_000), Some(150_000)), (10_000, 15_000), 3);
    assert_eq!(of(&Settings::default(), 200_000), large);
    assert_eq!(of(&Settings::default(), 199_999), ((None, None), (0, 0), 3));
    let small = Settings {
        budget: Some(Amount::Tokens(4_096)),
        ..Settings::default()
    };
    assert_eq!(of(&small, 1_000_000), ((None, None), (0, 0), 3));

    let mut own = Settings::default();
    own.clearing.trigger = Some(ClearTrigger::Need);
    own.compaction.trigger = Some(CompactTrigger::Need);
    assert_eq!(of(&own, 200_000), ((None, None), (0, 0), 3));
    own.clearing.trigger = Some(ClearTrigger::InputTokens(Amount::Share(0.5)));
    own.clearing.clear_at_least = Some(Amount::Tokens(0));
    own.compaction.trigger = Some(CompactTrigger::InputTokens(Amount::Tokens(700)));
    assert_eq!(of(&own, 1_000), ((input(500), Some(700)), (0, 70), 3));
}

#[test]
fn clearing_rules_are_resolved() {
    let settings = Settings {
        clearing: ClearingSettings {
            trigger: Some(ClearTrigger::InputTokens(Amount::Share(0.25))),
            keep: Some(1),
            clear_at_least: Some(Amount::Tokens(4000)),
            exclude_tools: Some(vec!["memory".into(), "memory".into()]),
            per_tool: [(
                "read_file".into(),
                ToolSettings {
                    max: Some(Amount::Share(0.5)),
                    recallable: Some(true),
                    excluded: None,
                },
            )]
            .into(),
            ..ClearingSettings::default()
        },
        thinking: Some(ThinkingKeep::OnlyTurns(1)),
        ..Settings::default()
    };
    let policy = resolve(&settings, &Facts::of_window(8000))
        .expect("valid")
        .policy;
    assert_eq!(policy.clearing.trigger, Some(Trigger::InputTokens(2000)));
    assert_eq!(
        (policy.clearing.keep, policy.clearing.clear_at_least),
        (1, 4000)
    );
    assert_eq!(
        policy.clearing.tools,
        [
            ToolRule {
                name: "memory".into(),
                excluded: true,
                max: None,
                recallable: None,
            },
            ToolRule {
                name: "read_file".into(),
                excluded: false,
                max: Some(4000),
                recallable: Some(true),
            },
        ]
    );
    let thinking = ThinkingRule {
        keep_turns: 1,
        always: true,
    };
    assert_eq!(policy.thinking, Some(thinking));
}

#[test]
fn hints_come_before_what_the_session_has_shown() {
    let settings = Settings {
        hints: Hints {
            expected_turns: Some(12.0),
            ..Hints::default()
        },
        min_turns_between_edits: Some(0),
        ..Settings::default()
    };
    let facts = Facts {
        session: SessionFacts {
            turns: 4.0,
            growth_per_turn: 900.0,
            output_per_turn: 250.0,
            turns_since_edits: Some(2),
        },
        ..Facts::of_window(8192)
    };
    let outlook = resolve(&settings, &facts).expect("valid").policy.outlook;
    assert_eq!(outlook.turns, 12.0);
    assert_eq!(outlook.growth_per_turn, 900.0);
    assert_eq!(outlook.output_per_turn, 250.0);
    assert_eq!(outlook.turns_since_edits, Some(2));
    assert_eq!(outlook.min_turns_between_edits, 0);
}
