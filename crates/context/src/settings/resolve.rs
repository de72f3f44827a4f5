//! From what is asked for to what holds: every bound a number of tokens.

mod bounds;
mod budget;
mod keeps;
mod output;
mod rules;
mod zones;

use std::collections::BTreeSet;

use super::facts::SymbolScope;
use super::{
    CompactionSchedule, Facts, InstructionsMode, Mode, OnInfeasible, Preserve, ReportLevel,
    Settings, SettingsError, SettingsProblem, StablePrefix, Symbol, TellModel,
};
use crate::{LadderMode, Outlook, OverMax, Policy, Rung, Zone, ZoneRule};
use zones::OutputMin;

/// What a request's settings come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The rules of the plan.
    pub policy: Policy,
    /// Whether edits are made.
    pub mode: Mode,
    /// What happens if nothing fits.
    pub on_infeasible: OnInfeasible,
    /// How much the answer tells.
    pub report: ReportLevel,
    /// Whether the model is told how much room is left.
    pub tell_model: TellModel,
    /// Whether tools may be left out that were never called.
    pub tool_pruning: bool,
    /// Whether the model has tools that the server itself runs.
    pub server_tools: bool,
    /// How summaries are asked for.
    pub summary: SummaryRequest,
    /// Milliseconds after which planning falls back to edits without a model.
    pub max_planning_ms: Option<u64>,
    /// Milliseconds to the first token that a compaction in the foreground must not exceed.
    pub ttft_slo_ms: Option<u64>,
    /// Floors that were given as symbols, in the order of the zones.
    pub floors: Vec<SymbolFloor>,
    /// What stays by default, and not because the client asked for it.
    pub soft_keeps: SoftKeeps,
    /// Latest tool results and latest turns that stay as long as nothing is let go of.
    pub keeps: [usize; 2],
    /// Zones that may not be edited and have more than their own `max`: no plan helps, so a request
    /// that enforces its settings is to be refused.
    pub over_max: Vec<OverMax>,
}

/// Which numbers of latest pieces are defaults: they yield before a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftKeeps {
    /// That of the tool results that are not cleared.
    pub results: bool,
    /// That of the turns that are not summarised.
    pub turns: bool,
}

/// How a summary is asked for; its lengths are in
/// [`CompactionRule`](crate::CompactionRule).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryRequest {
    /// What it must preserve.
    pub preserve: Vec<Preserve>,
    /// The client's own words.
    pub instructions: Option<Box<str>>,
    /// How they join the server's.
    pub instructions_mode: InstructionsMode,
    /// When it is computed.
    pub schedule: CompactionSchedule,
}

/// A floor that was given as a symbol, of a zone that may be edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolFloor {
    /// The zone.
    pub zone: Zone,
    /// The symbol.
    pub symbol: Symbol,
    /// Tokens that it stands for.
    pub tokens: usize,
    /// Tokens that are kept: fewer if the zone's own numbers allow no more, 0 if it is let go.
    pub kept: usize,
}

/// Turns settings into a policy for the request that `facts` describe.
///
/// A pure function. A profile is checked by [`resolve_profile`] when the server starts.
///
/// # Errors
/// [`SettingsError`] names the first field that cannot be, in the order of the fields of
/// [`Settings`]:
/// - a budget of 0 or above the window, or a share outside 0 to 1;
/// - marks of utilisation out of range or out of order;
/// - a zone that is neither known nor declared, a tier that allows edits where there are none, a
///   symbol where it stands for nothing, bounds out of
///   order, minima that exceed the budget together;
/// - more output asked for than `zones.output_buffer.max`;
/// - a stable prefix up to a message that does not exist;
/// - a rung twice on the ladder; a rule for a tool that is excluded; a weight below 0.
pub fn resolve(settings: &Settings, facts: &Facts<'_>) -> Result<Resolved, SettingsError> {
    let budget = budget::budget(settings.budget, facts.window)?;
    let utilization = budget::utilization(&settings.utilization)?;
    let stable_prefix_end = budget::stable_prefix_end(settings.stable_prefix, facts)?;
    let mut clearing = rules::clearing(&settings.clearing, budget)?;
    let mut compaction = rules::compaction(&settings.compaction, budget)?;
    let soft_keeps = SoftKeeps {
        results: settings.clearing.keep.is_none(),
        turns: settings.compaction.keep_raw_turns.is_none(),
    };
    keeps::fit(&mut clearing, &mut compaction, soft_keeps, facts, budget);
    let retrieval = rules::retrieval(settings.retrieval, settings.objective.diversity)?;
    let objective = rules::objective(settings.objective)?;

    let excluded_tools: BTreeSet<&str> = clearing
        .tools
        .iter()
        .filter(|tool| tool.excluded)
        .map(|tool| &*tool.name)
        .collect();
    let kept = [clearing.keep, compaction.keep_raw_turns];
    let scope = SymbolScope {
        stable_prefix_end,
        keep_raw_turns: compaction.keep_raw_turns,
        max_summary: compaction.max_tokens,
        min_score: retrieval.min_score,
        keep_results: clearing.keep,
        excluded_tools: &excluded_tools,
    };
    let (output, written) = output::bounds(settings.output, facts.output_asked, budget)?;
    let output_min = OutputMin {
        tokens: output.min,
        written,
    };
    let (zones, floors) = zones::zones(settings, facts, &scope, budget, output_min)?;

    let over_max = over_max(settings, facts, &zones);
    Ok(Resolved {
        policy: Policy {
            budget,
            utilization,
            output,
            stable_prefix_end,
            zones,
            ladder: ladder(settings.ladder.as_deref())?,
            ladder_mode: settings.ladder_mode.unwrap_or(LadderMode::Strict),
            clearing,
            thinking: rules::thinking(settings.thinking),
            compaction,
            retrieval,
            objective,
            outlook: outlook(settings, facts)?,
        },
        mode: settings.mode.unwrap_or(Mode::Enforce),
        on_infeasible: settings.on_infeasible.unwrap_or(OnInfeasible::Error),
        report: settings.report.unwrap_or(ReportLevel::Summary),
        tell_model: settings.tell_model.unwrap_or(TellModel::None),
        tool_pruning: settings.tool_pruning.unwrap_or(false),
        server_tools: settings.server_tools.unwrap_or(false),
        summary: summary(settings),
        max_planning_ms: settings.max_planning_ms,
        ttft_slo_ms: settings.ttft_slo_ms,
        floors,
        soft_keeps,
        keeps: kept,
        over_max,
    })
}

/// What a profile comes to in a window, whatever the prompt.
///
/// # Errors
/// As [`resolve`], but for a stable prefix up to a message: whether there is one, a request says.
pub fn resolve_profile(settings: &Settings, window: usize) -> Result<Resolved, SettingsError> {
    let until = settings.stable_prefix;
    let is_up_to_the_prompt = matches!(until, Some(StablePrefix::MessageIndex(_)));
    let settings = Settings {
        stable_prefix: until.filter(|_| !is_up_to_the_prompt),
        ..settings.clone()
    };
    resolve(&settings, &Facts::of_window(window))
}

/// A zone without a maximum of its own may have all of the budget; what exceeds that is for the plan
/// to say, with all that needs room.
fn over_max(settings: &Settings, facts: &Facts<'_>, zones: &[ZoneRule]) -> Vec<OverMax> {
    let asked = |zone: &Zone| {
        settings
            .zones
            .get(zone)
            .is_some_and(|rule| rule.max.is_some())
    };
    let rules = zones.iter().filter(|rule| asked(&rule.zone));
    rules
        .filter_map(|rule| OverMax::find(rule, facts.zone_tokens(&rule.zone)))
        .collect()
}

impl Resolved {
    /// The floors by symbol that are not kept in full, to be reported.
    pub fn lowered(&self) -> impl Iterator<Item = &SymbolFloor> {
        self.floors.iter().filter(|floor| floor.kept < floor.tokens)
    }

    /// The numbers of latest pieces that were let go of: the field, the number, and what is left.
    pub fn lowered_keeps(&self) -> impl Iterator<Item = (&'static str, usize, usize)> {
        let [results, turns] = self.keeps;
        let policy = &self.policy;
        let keeps = [
            ("zones.tool_outputs.keep", results, policy.clearing.keep),
            (
                "zones.history.keep_raw_turns",
                turns,
                policy.compaction.keep_raw_turns,
            ),
        ];
        keeps.into_iter().filter(|(_, asked, kept)| kept < asked)
    }

    /// Lets go of one floor by symbol, of the zone that is served last; whether there was one.
    ///
    /// [`plan`](crate::plan()) keeps every floor. What a symbol stands for was not promised in
    /// tokens, so a caller whose request turns out infeasible calls this and plans again, until it
    /// fits or there is no such floor left. Floors that are numbers stay.
    pub fn let_go_of_floor(&mut self) -> bool {
        let Policy { zones, .. } = &mut self.policy;
        let held = self.floors.iter_mut().filter(|floor| floor.kept > 0);
        let last = held
            .filter_map(|floor| {
                let rule = zones.iter().position(|rule| rule.zone == floor.zone)?;
                Some((zones[rule].priority, rule, floor))
            })
            .max_by_key(|(priority, rule, _)| (*priority, *rule));
        let Some((_, rule, floor)) = last else {
            return false;
        };
        zones[rule].bounds.min = 0;
        floor.kept = 0;
        true
    }

    /// Lets one more of the latest tool results be cleared, down to the last one; then one more of
    /// the latest turns be summarised; then the last result be cleared. Whether there was one.
    ///
    /// For a caller whose request is infeasible although no floor is left. Numbers that the client
    /// has given stay.
    pub fn let_go_of_keep(&mut self) -> bool {
        let Policy {
            clearing,
            compaction,
            ..
        } = &mut self.policy;
        let SoftKeeps { results, turns } = self.soft_keeps;
        if results && clearing.keep > 1 {
            clearing.keep -= 1;
        } else if turns && compaction.keep_raw_turns > 0 {
            compaction.keep_raw_turns -= 1;
        } else if results && clearing.keep > 0 {
            clearing.keep -= 1;
        } else {
            return false;
        }
        true
    }
}

fn ladder(asked: Option<&[Rung]>) -> Result<Vec<Rung>, SettingsError> {
    let Some(rungs) = asked else {
        return Ok(Rung::ALL.to_vec());
    };
    let mut seen = BTreeSet::new();
    match rungs.iter().position(|rung| !seen.insert(*rung)) {
        Some(at) => Err(SettingsError::new(
            format!("ladder[{at}]"),
            SettingsProblem::RepeatedRung { rung: rungs[at] },
        )),
        None => Ok(rungs.to_vec()),
    }
}

fn outlook(settings: &Settings, facts: &Facts<'_>) -> Result<Outlook, SettingsError> {
    let hints = &settings.hints;
    if let Some(turns) = hints.expected_turns {
        at_least_zero("hints.expected_turns", turns)?;
    }
    let session = facts.session;
    Ok(Outlook {
        turns: hints.expected_turns.unwrap_or(session.turns),
        growth_per_turn: session.growth_per_turn,
        output_per_turn: hints
            .expected_output_tokens
            .map_or(session.output_per_turn, |tokens| tokens as f64),
        min_turns_between_edits: settings.min_turns_between_edits.unwrap_or(3),
        turns_since_edits: session.turns_since_edits,
    })
}

fn summary(settings: &Settings) -> SummaryRequest {
    let asked = &settings.compaction;
    SummaryRequest {
        preserve: asked
            .preserve
            .clone()
            .unwrap_or_else(|| Preserve::ALL.to_vec()),
        instructions: asked.instructions.clone(),
        instructions_mode: asked.instructions_mode.unwrap_or(InstructionsMode::Append),
        schedule: asked.schedule.unwrap_or(CompactionSchedule::Background),
    }
}

/// A share or a score: from 0 to 1.
fn share(field: &str, value: f64) -> Result<f64, SettingsError> {
    in_range(field, value, 0.0, 1.0)
}

/// A weight or an expectation.
fn at_least_zero(field: &str, value: f64) -> Result<f64, SettingsError> {
    in_range(field, value, 0.0, f64::INFINITY)
}

fn in_range(field: &str, value: f64, least: f64, most: f64) -> Result<f64, SettingsError> {
    if value.is_finite() && (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(SettingsError::new(
        field,
        SettingsProblem::OutOfRange { value, least, most },
    ))
}

#[cfg(test)]
mod tests;
