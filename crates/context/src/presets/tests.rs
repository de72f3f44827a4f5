use super::Preset;
use crate::{
    Allocation, Bound, Demand, Facts, Policy, Settings, Shortfall, Zone, allocate, resolve,
};

fn policy(preset: Preset, window: usize) -> Policy {
    let resolved = resolve(&preset.settings(), &Facts::of_window(window));
    resolved
        .expect("a preset is valid in a window that is large enough")
        .policy
}

/// Divides the preset's budget among zones that have so many tokens.
fn divide(policy: &Policy, has: impl Fn(&Zone) -> usize) -> Result<Allocation, Shortfall> {
    let demands: Vec<Demand<'_>> = policy
        .zones
        .iter()
        .map(|rule| Demand {
            rule,
            tokens: has(&rule.zone),
            tools: Vec::new(),
        })
        .collect();
    allocate(policy.budget, &policy.utilization, policy.output, &demands)
}

fn given(allocation: &Allocation, zone: &Zone) -> usize {
    let found = allocation.zones.iter().find(|given| given.zone == *zone);
    found.map_or(0, |given| given.tokens)
}

/// The sums of the bounds that are shares, in percent: minima, targets, maxima.
fn percentages(settings: &Settings) -> [f64; 3] {
    let percent = |bound: Option<Bound>| match bound {
        Some(Bound::Share(share)) => share * 100.0,
        _ => 0.0,
    };
    let output = settings.output;
    let mut sums = [output.min, output.target, output.max].map(percent);
    for zone in settings.zones.values() {
        for (sum, bound) in sums.iter_mut().zip([zone.min, zone.target, zone.max]) {
            *sum += percent(bound);
        }
    }
    sums.map(|sum| (sum * 1000.0).round() / 1000.0)
}

/// The sum of the caps that are numbers, the output's among them.
fn sum_of_caps(settings: &Settings) -> usize {
    let zones = settings.zones.values().map(|zone| zone.max);
    zones
        .chain([settings.output.max])
        .map(|max| match max {
            Some(Bound::Tokens(tokens)) => tokens,
            _ => 0,
        })
        .sum()
}

#[test]
fn every_preset_is_found_by_its_name_and_valid() {
    for preset in Preset::ALL {
        assert_eq!(Preset::from_name(preset.name()), Some(preset));
        policy(preset, 128_000);
    }
    assert_eq!(Preset::from_name("no such preset"), None);
}

#[test]
fn presets_without_numbers_are_valid_in_the_smallest_window() {
    for preset in [Preset::Default, Preset::Agent, Preset::WireReference] {
        policy(preset, 1);
    }
}

#[test]
fn a_table_in_tokens_says_which_window_it_needs() {
    for (preset, window) in [(Preset::Course128k, 127_999), (Preset::Fixed8k, 7999)] {
        let error = resolve(&preset.settings(), &Facts::of_window(window))
            .expect_err("the window is too small");
        assert_eq!(error.field, "max_context_tokens");
        assert_eq!(error.problem.code(), "budget_above_window");
    }
}

#[test]
fn the_reference_shares_add_up() {
    let settings = Preset::WireReference.settings();
    assert_eq!(percentages(&settings), [85.0, 100.0, 120.0]);
    // The middles of the printed ranges do not: 12.5 + 17.5 + 35 + 25 + 12.5.
    let middles = [(10, 15), (15, 20), (30, 40), (20, 30), (10, 15)];
    let sum: f64 = middles
        .iter()
        .map(|(low, high)| f64::from(low + high) / 2.0)
        .sum();
    assert_eq!(sum, 102.5);
}

#[test]
fn the_reference_fills_the_budget_to_the_targets() {
    let policy = policy(Preset::WireReference, 10_000);
    let has = |zone: &Zone| match zone {
        Zone::System => 1200,
        Zone::ToolSchemas => 1700,
        Zone::Retrieval | Zone::History | Zone::ToolOutputs => 9000,
        _ => 0,
    };
    let allocation = divide(&policy, has).expect("targets are 100 %");
    let of = |zone| given(&allocation, &zone);
    assert_eq!(of(Zone::Retrieval), 3400);
    assert_eq!((of(Zone::History), of(Zone::ToolOutputs)), (1250, 1250));
    assert_eq!((allocation.output, allocation.unused), (1200, 0));
}

#[test]
fn the_course_uses_three_eighths_of_its_window() {
    let settings = Preset::Course128k.settings();
    let used = sum_of_caps(&settings);
    assert_eq!(used, 2000 + 8000 + 3000 + 15_000 + 10_000 + 2000 + 8000);
    assert_eq!(used as f64 / 128_000.0, 0.375);
    let with_margin = (used + 30_000) as f64 / 128_000.0;
    assert_eq!(with_margin, 0.609_375, "not under 60 %");

    let policy = policy(Preset::Course128k, 131_072);
    assert_eq!(policy.utilization.high * 128_000.0, 98_000.0);
    let allocation = divide(&policy, |zone| match zone {
        Zone::System => 2000,
        Zone::ToolSchemas => 8000,
        Zone::LiveTurn | Zone::ToolOutputs => 0,
        _ => 50_000,
    })
    .expect("fits");
    assert_eq!(allocation.unused, 128_000 - used);
    assert_eq!(allocation.over_soft, 0);
}

#[test]
fn the_fixed_split_is_the_whole_budget() {
    assert_eq!(sum_of_caps(&Preset::Fixed8k.settings()), 8000);
    let policy = policy(Preset::Fixed8k, 8192);
    let has = |schemas: usize| {
        move |zone: &Zone| match zone {
            Zone::System => 500,
            Zone::LiveTurn => 2000,
            Zone::History | Zone::Retrieval | Zone::ToolOutputs => 5000,
            Zone::ToolSchemas => schemas,
            _ => 0,
        }
    };
    let allocation = divide(&policy, has(0)).expect("fits");
    let of = |allocation: &Allocation| {
        [Zone::History, Zone::Retrieval, Zone::ToolOutputs].map(|zone| given(allocation, &zone))
    };
    assert_eq!(of(&allocation), [1500, 1000, 2000]);
    assert_eq!((allocation.output, allocation.unused), (1000, 0));

    let allocation = divide(&policy, has(700)).expect("tools come off the last zone");
    assert_eq!(of(&allocation), [1500, 1000, 1300]);
    assert_eq!(allocation.output, 1000);
}

#[test]
fn the_hierarchy_is_served_by_priority() {
    let policy = policy(Preset::Hierarchical, 4096);
    let has = |zone: &Zone| match zone {
        Zone::System => 150,
        Zone::LiveTurn => 800,
        _ => 3000,
    };
    let has = |zone: &Zone| {
        if *zone == Zone::ToolSchemas {
            0
        } else {
            has(zone)
        }
    };
    // 4,096 less system 150, live turn 800 and the answer's target of 1,024 leave 2,122: history
    // takes 1,500, retrieval the other 622.
    let allocation = divide(&policy, has).expect("fits");
    let of = |zone| given(&allocation, &zone);
    assert_eq!(of(Zone::System), 150, "not 100 + 150");
    assert_eq!((of(Zone::History), of(Zone::Retrieval)), (1500, 622));
    assert_eq!(
        [Zone::Examples, Zone::ToolOutputs, Zone::Memory].map(of),
        [0, 0, 0]
    );
    assert_eq!((allocation.output, allocation.unused), (1024, 0));
}
