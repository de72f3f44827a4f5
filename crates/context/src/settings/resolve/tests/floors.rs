//! What symbols stand for, and how they yield.

use super::*;
use crate::{CompactionRule, OverMax, SymbolFloor};

/// Four turns of history (30, 70, 110, 150 tokens), three tool results in the last two of them,
/// three documents, and a live turn of 40.
fn conversation() -> Prompt {
    let mut prompt = Prompt::default();
    prompt.system(200);
    prompt.document(Some(0.4), 300);
    prompt.document(Some(0.9), 500);
    prompt.document(None, 250);
    prompt.turn(10, 20);
    prompt.turn(30, 40);
    prompt.turn(50, 60);
    prompt.result("grep", 1000);
    prompt.turn(70, 80);
    prompt.result("memory", 600);
    prompt.result("ls", 90);
    prompt.live(40);
    prompt
}

/// The tokens that a symbol stands for as a zone's minimum.
fn floor(name: &str, wanted: Symbol, settings: Settings) -> usize {
    let zone_settings = ZoneSettings {
        min: symbol(wanted),
        max: tokens(1_000_000),
        ..ZoneSettings::default()
    };
    let settings = settings.over(with_zone(name, zone_settings));
    let prompt = conversation();
    let resolved = resolve(&settings, &prompt.facts(100_000)).expect("valid");
    assert_eq!(resolved.lowered().count(), 0, "there is room for all");
    zone(&resolved, name).bounds.min
}

fn keeping(results: usize, excluded: &str) -> Settings {
    Settings {
        clearing: ClearingSettings {
            keep: Some(results),
            exclude_tools: Some(vec![excluded.into()]),
            ..ClearingSettings::default()
        },
        ..Settings::default()
    }
}

/// Settings with the keeps that a large budget has by default.
fn kept() -> Settings {
    let mut settings = Settings::default();
    settings.clearing.keep = Some(3);
    settings.compaction.keep_raw_turns = Some(5);
    settings
}

fn raw_turns(turns: usize) -> Settings {
    Settings {
        compaction: CompactionSettings {
            keep_raw_turns: Some(turns),
            max_tokens: Some(60),
            ..CompactionSettings::default()
        },
        ..Settings::default()
    }
}

#[test]
fn symbols_are_counted_in_the_prompt() {
    let none = Settings::default;
    assert_eq!(floor("system", Symbol::Fixed, none()), 200);
    assert_eq!(floor("history", Symbol::Fixed, none()), 360);
    assert_eq!(floor("retrieval", Symbol::EvidenceFloor, none()), 500);
    assert_eq!(floor("retrieval", Symbol::RankedCap, none()), 1050);

    let observations = Symbol::LatestRequiredObservations;
    assert_eq!(floor("tool_outputs", observations, keeping(0, "none")), 0);
    assert_eq!(floor("tool_outputs", observations, keeping(1, "none")), 90);
    assert_eq!(floor("tool_outputs", observations, keeping(2, "none")), 690);
    assert_eq!(
        floor("tool_outputs", observations, keeping(3, "none")),
        1690
    );
    assert_eq!(
        floor("tool_outputs", observations, keeping(1, "grep")),
        1090
    );

    // The live turn is the fifth and counts: two raw turns are it and the one of 150 tokens.
    let turns = Symbol::RecentTurnsPlusSummary;
    assert_eq!(floor("history", turns, raw_turns(2)), 150 + 60);
    assert_eq!(floor("history", turns, raw_turns(4)), 150 + 110 + 70 + 30);
    assert_eq!(floor("history", turns, raw_turns(0)), 60);
    assert_eq!(floor("history", turns, raw_turns(99)), 360);
}

#[test]
fn documents_below_the_score_are_not_in_the_cap() {
    let mut settings = Settings::default();
    settings.retrieval.min_score = Some(0.5);
    let prompt = conversation();
    let resolved = resolve(&settings, &prompt.facts(100_000)).expect("valid");
    assert_eq!(zone(&resolved, "retrieval").bounds, bounds(500, 750, 750));
}

#[test]
fn committed_is_what_stands_in_the_stable_prefix() {
    let of = |end: usize| {
        let settings = Settings {
            stable_prefix: Some(StablePrefix::Tokens(end)),
            ..Settings::default()
        };
        floor("retrieval", Symbol::Committed, settings)
    };
    assert_eq!([of(0), of(499), of(500), of(1250)], [0, 0, 300, 1050]);
}

#[test]
fn a_symbol_yields_to_the_numbers_of_its_zone() {
    let prompt = conversation();
    let of = |zone_settings: ZoneSettings| {
        let settings = with_zone("retrieval", zone_settings);
        let resolved = resolve(&settings, &prompt.facts(100_000)).expect("valid");
        let lowered: Vec<SymbolFloor> = resolved.lowered().cloned().collect();
        (zone(&resolved, "retrieval").bounds, lowered)
    };
    let lowered = |kept| {
        vec![SymbolFloor {
            zone: Zone::Retrieval,
            symbol: Symbol::EvidenceFloor,
            tokens: 500,
            kept,
        }]
    };
    let (given, said) = of(zone_settings([None, None, tokens(400)]));
    assert_eq!((given, said), (bounds(400, 400, 400), lowered(400)));
    let (given, said) = of(zone_settings([None, tokens(450), None]));
    assert_eq!((given, said), (bounds(450, 450, 1050), lowered(450)));
    let (given, said) = of(zone_settings([tokens(2000), None, None]));
    assert_eq!(
        (given, said),
        (bounds(2000, 2000, 2000), Vec::new()),
        "a cap that is a symbol yields to a floor that is a number"
    );
}

#[test]
fn floors_that_are_symbols_are_let_go_where_the_budget_has_no_room() {
    // 200 system, 40 live, 7 around and 125 for the answer leave 628 of 1,000 tokens: enough for
    // history's 360, but not for the best document's 500 as well.
    let prompt = conversation();
    let resolved = resolve(&kept(), &prompt.facts(1000)).expect("valid");
    assert_eq!(resolved.policy.output.min, 125);
    let min = |name: &str| zone(&resolved, name).bounds.min;
    assert_eq!(
        (min("history"), min("retrieval"), min("tool_outputs")),
        (360, 0, 0)
    );
    let floor = |name: &str, symbol, tokens, kept| SymbolFloor {
        zone: Zone::from_name(name),
        symbol,
        tokens,
        kept,
    };
    assert_eq!(
        resolved.floors,
        [
            floor("retrieval", Symbol::EvidenceFloor, 500, 0),
            floor("history", Symbol::RecentTurnsPlusSummary, 360, 360),
            floor("tool_outputs", Symbol::LatestRequiredObservations, 1690, 0),
        ]
    );
}

#[test]
fn floors_of_a_high_priority_are_kept_first() {
    let prompt = conversation();
    let mut settings = Settings::default();
    let first = ZoneSettings {
        priority: Some(1),
        ..ZoneSettings::default()
    };
    settings.zones.insert(Zone::Retrieval, first);
    let resolved = resolve(&settings, &prompt.facts(1000)).expect("valid");
    let min = |name: &str| zone(&resolved, name).bounds.min;
    assert_eq!((min("history"), min("retrieval")), (0, 500));
}

#[test]
fn floors_that_are_symbols_can_be_let_go_one_by_one() {
    let prompt = conversation();
    let settings = with_zone("memory", zone_settings([tokens(50), None, None]));
    let mut resolved = resolve(&settings, &prompt.facts(8192)).expect("valid");
    let mut seen = Vec::new();
    loop {
        let min = |name: &str| zone(&resolved, name).bounds.min;
        seen.push(["tool_outputs", "retrieval", "history", "memory"].map(min));
        if !resolved.let_go_of_floor() {
            break;
        }
    }
    assert_eq!(
        seen,
        [
            [1690, 500, 360, 50],
            [0, 500, 360, 50],
            [0, 0, 360, 50],
            [0, 0, 0, 50],
        ],
        "the zone that is served last goes first, and numbers stay"
    );
    assert_eq!(resolved.lowered().count(), 3);
}

#[test]
fn a_summary_of_earlier_turns_is_not_a_recent_turn() {
    let mut prompt = Prompt::default();
    prompt.push(Zone::History, SegmentKind::Summary, 100);
    prompt.turn(30, 40);
    let resolved = resolve(&raw_turns(99), &prompt.facts(8192)).expect("valid");
    assert_eq!(zone(&resolved, "history").bounds.min, 70 + 60);
}

#[test]
fn protected_zones_above_their_maximum_are_named() {
    let prompt = conversation();
    let settings = with_zone("system", zone_settings([None, None, tokens(199)]));
    let resolved = resolve(&settings, &prompt.facts(8192)).expect("a bound is no error by itself");
    let over = OverMax {
        zone: Zone::System,
        demand: 200,
        max: 199,
    };
    assert_eq!(resolved.over_max, [over]);
    // Without a maximum of its own it is the budget that is too small, not the zone too large.
    let small = Settings {
        budget: Some(Amount::Tokens(150)),
        ..Settings::default()
    };
    let resolved = resolve(&small, &prompt.facts(8192)).expect("the plan will not fit");
    assert_eq!(resolved.over_max, []);
}

#[test]
fn a_floor_that_fits_exactly_is_kept() {
    let prompt = conversation();
    let settings = Settings {
        output: OutputSettings {
            min: tokens(125),
            ..OutputSettings::default()
        },
        ..kept()
    };
    let lowered = |window: usize| {
        let resolved = resolve(&settings, &prompt.facts(window)).expect("valid");
        resolved.lowered().count()
    };
    let enough = 372 + 360 + 500 + 1690;
    assert_eq!((lowered(enough), lowered(enough - 1)), (0, 1));
}

#[test]
fn floors_that_are_numbers_are_kept_before_symbols() {
    // 372 and 300 leave 328 of 1,000, which is too little for history's 360.
    let prompt = conversation();
    let mut settings = kept();
    let rule = zone_settings([tokens(300), None, None]);
    settings.zones.insert(Zone::ToolOutputs, rule);
    let resolved = resolve(&settings, &prompt.facts(1000)).expect("valid");
    assert_eq!(zone(&resolved, "tool_outputs").bounds.min, 300);
    assert_eq!(zone(&resolved, "history").bounds.min, 0);
    assert_eq!(zone(&resolved, "retrieval").bounds.min, 0);
}

#[test]
fn a_zone_of_the_clients_own_is_declared_by_a_tier_or_a_bound() {
    let mut prompt = conversation();
    prompt.push(Zone::Custom("notes".into()), SegmentKind::User, 80);
    let facts = prompt.facts(8192);
    let of = |zone_settings: ZoneSettings| {
        resolve(&with_zone("notes", zone_settings), &facts)
            .map(|resolved| zone(&resolved, "notes").clone())
    };
    let rule = of(ZoneSettings {
        tier: Some(Tier::Offloadable),
        ..ZoneSettings::default()
    })
    .expect("declared");
    assert_eq!(
        (rule.tier, rule.bounds),
        (Tier::Offloadable, bounds(0, 8192, 8192))
    );
    let rule = of(zone_settings([symbol(Symbol::Fixed), None, None])).expect("declared");
    assert_eq!(
        (rule.tier, rule.bounds),
        (Tier::Compactable, bounds(80, 8192, 8192))
    );
}

#[test]
fn the_longest_summary_is_part_of_the_rule() {
    let prompt = conversation();
    let resolved = resolve(&raw_turns(2), &prompt.facts(8192)).expect("valid");
    let CompactionRule {
        max_tokens,
        keep_raw_turns,
        ..
    } = resolved.policy.compaction;
    assert_eq!((max_tokens, keep_raw_turns), (60, 2));
}
