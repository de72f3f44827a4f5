//! The rules of all zones, and the floors that fit.

use std::collections::BTreeSet;

use super::super::facts::SymbolScope;
use super::super::{Bound, Facts, Settings, SettingsError, SettingsProblem, Symbol, ZoneSettings};
use super::bounds::{Written, WrittenBounds};
use super::{SymbolFloor, output};
use crate::{Tier, Zone, ZoneRule};

/// The zones that every prompt may have, in the order of reports.
const BUILT_IN: [Zone; 8] = [
    Zone::System,
    Zone::ToolSchemas,
    Zone::Examples,
    Zone::Retrieval,
    Zone::Memory,
    Zone::History,
    Zone::ToolOutputs,
    Zone::LiveTurn,
];

/// What the output takes of the budget before any zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutputMin {
    /// Its minimum.
    pub(super) tokens: usize,
    /// The same as far as it was written as a number.
    pub(super) written: Option<usize>,
}

/// The rules of the built-in zones and of the client's own, and the floors that symbols gave.
pub(super) fn zones(
    settings: &Settings,
    facts: &Facts<'_>,
    scope: &SymbolScope<'_>,
    budget: usize,
    output: OutputMin,
) -> Result<(Vec<ZoneRule>, Vec<SymbolFloor>), SettingsError> {
    let mut drafts = Vec::new();
    for zone in declared(settings, facts)? {
        let asked = settings.zones.get(&zone).copied().unwrap_or_default();
        drafts.push(Draft::new(zone, asked, facts, scope, budget)?);
    }
    check_minima(&drafts, budget, output)?;
    let_go(&mut drafts, facts, budget, output.tokens);
    let floors = drafts.iter().filter_map(Draft::symbol_floor).collect();
    let rules = drafts.into_iter().map(|draft| draft.rule).collect();
    Ok((rules, floors))
}

/// The zones there are: the built-in ones and the client's own by name.
fn declared(settings: &Settings, facts: &Facts<'_>) -> Result<Vec<Zone>, SettingsError> {
    let in_prompt = facts.segments.iter().map(|segment| &segment.zone);
    let own: BTreeSet<&Zone> = settings
        .zones
        .keys()
        .chain(in_prompt)
        .filter(|zone| matches!(zone, Zone::Custom(_)))
        .collect();
    for &zone in &own {
        if !settings.declares(zone) {
            let asked = settings.zones.get(zone).copied().unwrap_or_default();
            let field = if asked.useful.is_some() {
                format!("hints.useful_tokens.{zone}")
            } else {
                path(zone)
            };
            return Err(SettingsError::new(field, SettingsProblem::UnknownZone));
        }
    }
    Ok(BUILT_IN
        .into_iter()
        .chain(own.into_iter().cloned())
        .collect())
}

fn path(zone: &Zone) -> String {
    format!("zones.{zone}")
}

/// A rule whose floor may still be lowered.
struct Draft {
    rule: ZoneRule,
    /// The minimum that was written as a number.
    written_min: Option<usize>,
    /// The symbol that the minimum was given by, and its tokens.
    symbol_min: Option<(Symbol, usize)>,
}

impl Draft {
    fn new(
        zone: Zone,
        asked: ZoneSettings,
        facts: &Facts<'_>,
        scope: &SymbolScope<'_>,
        budget: usize,
    ) -> Result<Self, SettingsError> {
        let path = path(&zone);
        let asked = asked.over(ZoneSettings::defaults(&zone));
        let is_edited = !matches!(zone, Zone::System | Zone::ToolSchemas | Zone::LiveTurn);
        if !is_edited && asked.tier.is_some_and(|tier| !tier.is_fixed()) {
            let problem = SettingsProblem::ProtectedZone;
            return Err(SettingsError::new(format!("{path}.tier"), problem));
        }
        let priority = asked.priority.unwrap_or(u32::MAX);
        if priority == 0 {
            let problem = SettingsProblem::Zero;
            return Err(SettingsError::new(format!("{path}.priority"), problem));
        }
        let written = |name: &str, bound: Option<Bound>, default: usize| match bound {
            None => Ok(Written::Wish(default)),
            Some(bound) => Written::new(&format!("{path}.{name}"), bound, budget, |symbol| {
                if is_meant_for(symbol, &zone) {
                    Ok(scope.tokens(symbol, &zone, facts))
                } else {
                    Err(SettingsProblem::MisplacedSymbol { symbol })
                }
            }),
        };
        let bounds = WrittenBounds {
            min: written("min", asked.min, 0)?,
            target: written("target", asked.target, usize::MAX)?,
            max: written("max", asked.max, budget)?,
        };
        bounds.check(&path)?;
        let symbol_min = match (asked.min, bounds.min) {
            (Some(Bound::Symbol(symbol)), Written::Wish(tokens)) => Some((symbol, tokens)),
            _ => None,
        };
        Ok(Self {
            rule: ZoneRule {
                zone,
                tier: asked.tier.unwrap_or(Tier::Compactable),
                bounds: bounds.settle(),
                priority,
                useful: asked.useful.unwrap_or(usize::MAX),
            },
            written_min: bounds.min.number(),
            symbol_min,
        })
    }
}

impl Draft {
    /// The floor, if a symbol gave it and the zone may be edited at all.
    fn symbol_floor(&self) -> Option<SymbolFloor> {
        let (symbol, tokens) = self.symbol_min?;
        (!self.rule.tier.is_fixed()).then(|| SymbolFloor {
            zone: self.rule.zone.clone(),
            symbol,
            tokens,
            kept: self.rule.bounds.min,
        })
    }
}

/// Whether a symbol stands for something in a zone.
fn is_meant_for(symbol: Symbol, zone: &Zone) -> bool {
    match symbol {
        Symbol::Fixed | Symbol::Committed => true,
        Symbol::RecentTurnsPlusSummary => *zone == Zone::History,
        Symbol::EvidenceFloor | Symbol::RankedCap => *zone == Zone::Retrieval,
        Symbol::LatestRequiredObservations => *zone == Zone::ToolOutputs,
        Symbol::AnswerFloor => false,
    }
}

/// Minima that were written as numbers must fit together, whatever the prompt.
fn check_minima(drafts: &[Draft], budget: usize, output: OutputMin) -> Result<(), SettingsError> {
    let of_output = output
        .written
        .map(|min| (format!("{}.min", output::PATH), min));
    let minima: Vec<(String, usize)> = drafts
        .iter()
        .filter_map(|draft| Some((path(&draft.rule.zone) + ".min", draft.written_min?)))
        .chain(of_output)
        .filter(|(_, min)| *min > 0)
        .collect();
    let sum = minima
        .iter()
        .fold(0, |sum: usize, (_, min)| sum.saturating_add(*min));
    if sum <= budget {
        return Ok(());
    }
    let problem = SettingsProblem::MinimaOverBudget {
        sum,
        budget,
        minima,
    };
    Err(SettingsError::new("zones", problem))
}

/// Lets go of floors that are symbols and for which protected zones, floors that are numbers and
/// the output leave no room at all, zones of a low priority first.
fn let_go(drafts: &mut [Draft], facts: &Facts<'_>, budget: usize, output: usize) {
    let kept_anyway = |draft: &Draft| {
        let tokens = facts.zone_tokens(&draft.rule.zone);
        match draft.symbol_min {
            _ if draft.rule.tier.is_fixed() => tokens,
            Some(_) => 0,
            None => tokens.min(draft.rule.bounds.min),
        }
    };
    let mut kept = drafts
        .iter()
        .map(kept_anyway)
        .chain([output, facts.overhead()])
        .fold(0, usize::saturating_add);
    let mut order: Vec<usize> = (0..drafts.len()).collect();
    order.sort_by_key(|&at| drafts[at].rule.priority);
    for at in order {
        let is_symbol = drafts[at].symbol_min.is_some();
        let rule = &mut drafts[at].rule;
        if is_symbol && !rule.tier.is_fixed() {
            let floor = rule.bounds.min.min(facts.zone_tokens(&rule.zone));
            if kept.saturating_add(floor) <= budget {
                kept += floor;
            } else {
                rule.bounds.min = 0;
            }
        }
    }
}
