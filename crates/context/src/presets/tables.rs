//! The tables of the literature, as settings.

use std::collections::BTreeMap;

use crate::{Amount, Bound, OutputSettings, Settings, UtilizationSettings, Zone, ZoneSettings};

pub(super) fn wire_reference() -> Settings {
    let share = |share: f64| Some(Bound::Share(share));
    let zone = |min: f64, target: f64, max: f64| ZoneSettings {
        min: share(min),
        target: share(target),
        max: share(max),
        ..ZoneSettings::default()
    };
    Settings {
        zones: BTreeMap::from([
            (Zone::System, zone(0.10, 0.12, 0.15)),
            (Zone::ToolSchemas, zone(0.15, 0.17, 0.20)),
            (Zone::Retrieval, zone(0.30, 0.34, 0.40)),
            (Zone::History, zone(0.10, 0.125, 0.15)),
            (Zone::ToolOutputs, zone(0.10, 0.125, 0.15)),
        ]),
        output: OutputSettings {
            min: share(0.10),
            target: share(0.12),
            max: share(0.15),
        },
        ..Settings::default()
    }
}

pub(super) fn course_128k() -> Settings {
    const WINDOW: usize = 128_000;
    const MARGIN: usize = 30_000;
    Settings {
        budget: Some(Amount::Tokens(WINDOW)),
        utilization: UtilizationSettings {
            soft: Some(0.60),
            high: Some((WINDOW - MARGIN) as f64 / WINDOW as f64),
            low: None,
        },
        zones: BTreeMap::from([
            (Zone::System, cap(2000)),
            (Zone::ToolSchemas, cap(8000)),
            (Zone::Examples, cap(3000)),
            (Zone::Retrieval, cap(15_000)),
            (Zone::History, cap(10_000)),
            (Zone::Memory, cap(2000)),
        ]),
        output: fixed_output(8000),
        ..Settings::default()
    }
}

pub(super) fn fixed_8k() -> Settings {
    Settings {
        budget: Some(Amount::Tokens(8000)),
        zones: BTreeMap::from([
            (Zone::System, cap(500)),
            (Zone::LiveTurn, cap(2000)),
            (Zone::History, cap(1500)),
            (Zone::Retrieval, cap(1000)),
            (Zone::ToolOutputs, cap(2000)),
        ]),
        output: fixed_output(1000),
        ..Settings::default()
    }
}

pub(super) fn hierarchical() -> Settings {
    let zone = |priority: u32, min: usize, max: usize| ZoneSettings {
        min: Some(Bound::Tokens(min)),
        max: Some(Bound::Tokens(max)),
        priority: Some(priority),
        ..ZoneSettings::default()
    };
    let last = ZoneSettings {
        priority: Some(6),
        ..ZoneSettings::default()
    };
    Settings {
        zones: BTreeMap::from([
            (Zone::System, zone(1, 100, 500)),
            (Zone::LiveTurn, zone(2, 200, 2000)),
            (Zone::History, zone(3, 100, 1500)),
            (Zone::Retrieval, zone(4, 0, 1000)),
            (Zone::Examples, zone(5, 0, 800)),
            (Zone::Memory, last),
            (Zone::ToolOutputs, last),
        ]),
        ..Settings::default()
    }
}

/// No more than so many tokens, and no floor.
fn cap(tokens: usize) -> ZoneSettings {
    ZoneSettings {
        min: Some(Bound::Tokens(0)),
        max: Some(Bound::Tokens(tokens)),
        ..ZoneSettings::default()
    }
}

fn fixed_output(tokens: usize) -> OutputSettings {
    OutputSettings {
        min: Some(Bound::Tokens(tokens)),
        target: Some(Bound::Tokens(tokens)),
        max: Some(Bound::Tokens(tokens)),
    }
}
