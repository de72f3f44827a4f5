use std::collections::BTreeMap;

use super::{
    Amount, Bound, ClearTrigger, ClearingSettings, CompactTrigger, Mode, OnInfeasible, Preserve,
    ReportLevel, Settings, Symbol, TellModel, ToolSettings, UtilizationSettings, ZoneSettings,
};
use crate::{Low, Rung, Tier, Zone};

fn tool(max: usize) -> ToolSettings {
    ToolSettings {
        max: Some(Amount::Tokens(max)),
        ..ToolSettings::default()
    }
}

fn profile() -> Settings {
    Settings {
        mode: Some(Mode::Observe),
        budget: Some(Amount::Tokens(8000)),
        utilization: UtilizationSettings {
            high: Some(0.9),
            low: Some(Low::Auto),
            ..UtilizationSettings::default()
        },
        zones: BTreeMap::from([
            (
                Zone::Retrieval,
                ZoneSettings {
                    min: Some(Bound::Tokens(1000)),
                    max: Some(Bound::Share(0.5)),
                    priority: Some(3),
                    ..ZoneSettings::default()
                },
            ),
            (
                Zone::Memory,
                ZoneSettings {
                    tier: Some(Tier::Clearable),
                    ..ZoneSettings::default()
                },
            ),
        ]),
        clearing: ClearingSettings {
            keep: Some(2),
            exclude_tools: Some(vec!["memory".into()]),
            per_tool: BTreeMap::from([("grep".into(), tool(2000)), ("ls".into(), tool(100))]),
            ..ClearingSettings::default()
        },
        ladder: Some(vec![Rung::Dedupe, Rung::Ask]),
        ..Settings::default()
    }
}

#[test]
fn a_request_overrides_its_profile_field_by_field() {
    let request = Settings {
        mode: Some(Mode::Enforce),
        utilization: UtilizationSettings {
            high: Some(0.7),
            ..UtilizationSettings::default()
        },
        zones: BTreeMap::from([
            (
                Zone::Retrieval,
                ZoneSettings {
                    min: Some(Bound::Symbol(Symbol::EvidenceFloor)),
                    ..ZoneSettings::default()
                },
            ),
            (
                Zone::Custom("notes".into()),
                ZoneSettings {
                    tier: Some(Tier::Offloadable),
                    ..ZoneSettings::default()
                },
            ),
        ]),
        clearing: ClearingSettings {
            exclude_tools: Some(Vec::new()),
            per_tool: BTreeMap::from([(
                "grep".into(),
                ToolSettings {
                    recallable: Some(true),
                    ..ToolSettings::default()
                },
            )]),
            ..ClearingSettings::default()
        },
        ladder: Some(Vec::new()),
        ..Settings::default()
    };
    let joined = request.over(profile());

    assert_eq!(joined.mode, Some(Mode::Enforce));
    assert_eq!(joined.budget, Some(Amount::Tokens(8000)));
    assert_eq!(joined.utilization.high, Some(0.7));
    assert_eq!(joined.utilization.low, Some(Low::Auto));
    assert_eq!(
        joined.zones[&Zone::Retrieval],
        ZoneSettings {
            min: Some(Bound::Symbol(Symbol::EvidenceFloor)),
            max: Some(Bound::Share(0.5)),
            priority: Some(3),
            ..ZoneSettings::default()
        }
    );
    assert_eq!(joined.zones[&Zone::Memory].tier, Some(Tier::Clearable));
    assert_eq!(joined.zones.len(), 3);
    assert_eq!(joined.clearing.keep, Some(2));
    assert_eq!(
        joined.clearing.exclude_tools,
        Some(Vec::new()),
        "an empty list takes back what the profile excludes"
    );
    assert_eq!(
        joined.clearing.per_tool["grep"],
        ToolSettings {
            max: Some(Amount::Tokens(2000)),
            recallable: Some(true),
            excluded: None,
        }
    );
    assert_eq!(joined.clearing.per_tool["ls"], tool(100));
    assert_eq!(joined.ladder, Some(Vec::new()));
}

#[test]
fn nothing_over_a_profile_is_the_profile() {
    assert_eq!(Settings::default().over(profile()), profile());
    assert_eq!(profile().over(Settings::default()), profile());
    assert_eq!(profile().over(profile()), profile());
}

#[test]
fn every_name_is_read_back() {
    fn check<T: Copy + PartialEq + std::fmt::Debug>(
        all: &[T],
        name: fn(T) -> &'static str,
        from_name: fn(&str) -> Option<T>,
    ) {
        for &one in all {
            assert_eq!(from_name(name(one)), Some(one));
        }
        assert_eq!(from_name("no such name"), None);
    }
    check(&Symbol::ALL, Symbol::name, Symbol::from_name);
    check(Mode::ALL, Mode::name, Mode::from_name);
    check(
        OnInfeasible::ALL,
        OnInfeasible::name,
        OnInfeasible::from_name,
    );
    check(ReportLevel::ALL, ReportLevel::name, ReportLevel::from_name);
    check(TellModel::ALL, TellModel::name, TellModel::from_name);
    check(Preserve::ALL, Preserve::name, Preserve::from_name);
}

#[test]
fn of_two_protections_in_one_request_the_stricter_one_holds() {
    let clearing = |keep, tools: &[&str]| Settings {
        clearing: ClearingSettings {
            keep: Some(keep),
            exclude_tools: Some(tools.iter().map(|&tool| tool.into()).collect()),
            ..ClearingSettings::default()
        },
        ..Settings::default()
    };
    let fields = [
        "zones.tool_outputs.keep",
        "zones.tool_outputs.exclude_tools",
    ];
    let (settings, told) = clearing(1, &[]).over_edits(clearing(3, &["memory"]));
    assert_eq!(settings, clearing(3, &["memory"]));
    assert_eq!(told, fields);
    let (settings, told) = clearing(4, &["a", "b"]).over_edits(clearing(4, &["b"]));
    assert_eq!(settings, clearing(4, &["a", "b"]));
    assert_eq!(told, [""; 0]);
    let (settings, told) = clearing(5, &["a"]).over_edits(Settings::default());
    assert_eq!((settings, told.len()), (clearing(5, &["a"]), 0));
}

#[test]
fn the_trigger_of_context_budget_counts_and_is_told() {
    let triggered = |clear: usize, compact: usize| {
        let mut settings = Settings::default();
        let tokens = |tokens| Amount::Tokens(tokens);
        settings.clearing.trigger = Some(ClearTrigger::InputTokens(tokens(clear)));
        settings.compaction.trigger = Some(CompactTrigger::InputTokens(tokens(compact)));
        settings
    };
    let (settings, told) = triggered(10, 20).over_edits(triggered(30, 40));
    assert_eq!(settings, triggered(10, 20));
    assert_eq!(told, ["zones.tool_outputs.trigger", "compaction.trigger"]);
    let (_, told) = triggered(10, 20).over_edits(triggered(10, 20));
    assert_eq!(told, [""; 0]);
}
