//! The rules of clearing, compaction, retrieval and of weighing plans.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    Amount, ClearTrigger, ClearingSettings, CompactTrigger, CompactionSettings, ObjectiveSettings,
    RetrievalSettings, SettingsError, SettingsProblem, ThinkingKeep, ToolSettings, share_of,
};
use super::budget::amount;
use super::{at_least_zero, share};
use crate::{
    ClearInputs, ClearingRule, CompactionRule, Objective, Placement, PrefillWeight, RetrievalRule,
    SummaryLevel, ThinkingRule, ToolRule, Trigger,
};

/// Windows in which the vendor's own triggers are meant, in tokens.
const VENDOR_WINDOW: usize = 200_000;

/// Anthropic's default trigger of `clear_tool_uses_20250919`, in tokens.
const CLEAR_TRIGGER: usize = 100_000;

/// Anthropic's default trigger of `compact_20260112`, in tokens.
const COMPACT_TRIGGER: usize = 150_000;

/// The part of a trigger that its edits must free.
const LEAST: usize = 10;

pub(super) fn clearing(
    asked: &ClearingSettings,
    budget: usize,
) -> Result<ClearingRule, SettingsError> {
    let large = || (budget >= VENDOR_WINDOW).then_some(Trigger::InputTokens(CLEAR_TRIGGER));
    let trigger = match asked.trigger {
        None => large(),
        Some(ClearTrigger::Need) => None,
        Some(ClearTrigger::VendorDefault) => {
            Some(Trigger::InputTokens(vendor_trigger(CLEAR_TRIGGER, budget)))
        }
        Some(ClearTrigger::InputTokens(tokens)) => {
            let tokens = amount("zones.tool_outputs.trigger", tokens, budget)?;
            Some(Trigger::InputTokens(tokens))
        }
        Some(ClearTrigger::ToolUses(uses)) => Some(Trigger::ToolUses(uses)),
    };
    let least = match trigger {
        Some(Trigger::InputTokens(tokens)) => tokens / LEAST,
        Some(Trigger::ToolUses(_)) | None => 0,
    };
    let clear_at_least = asked.clear_at_least.unwrap_or(Amount::Tokens(least));
    Ok(ClearingRule {
        trigger,
        keep: asked.keep.unwrap_or(3),
        clear_at_least: amount("zones.tool_outputs.clear_at_least", clear_at_least, budget)?,
        clear_inputs: asked.clear_inputs.clone().unwrap_or(ClearInputs::None),
        tools: tools(asked, budget)?,
    })
}

/// The vendor's number in large windows, the same share of a smaller budget.
fn vendor_trigger(tokens: usize, budget: usize) -> usize {
    if budget >= VENDOR_WINDOW {
        tokens
    } else {
        share_of(tokens as f64 / VENDOR_WINDOW as f64, budget)
    }
}

fn tools(asked: &ClearingSettings, budget: usize) -> Result<Vec<ToolRule>, SettingsError> {
    let excluded: BTreeSet<&str> = asked
        .exclude_tools
        .iter()
        .flatten()
        .map(|name| &**name)
        .collect();
    let mut by_name: BTreeMap<&str, ToolSettings> = excluded
        .iter()
        .map(|&name| (name, ToolSettings::default()))
        .collect();
    by_name.extend(asked.per_tool.iter().map(|(name, tool)| (&**name, *tool)));
    by_name
        .into_iter()
        .map(|(name, tool)| tool_rule(name, tool, excluded.contains(name), budget))
        .collect()
}

fn tool_rule(
    name: &str,
    asked: ToolSettings,
    is_listed: bool,
    budget: usize,
) -> Result<ToolRule, SettingsError> {
    let field = |of: &str| format!("zones.tool_outputs.per_tool.{name}.{of}");
    if is_listed && asked.excluded == Some(false) {
        let problem = SettingsProblem::ExcludedTool;
        return Err(SettingsError::new(field("excluded"), problem));
    }
    let excluded = is_listed || asked.excluded == Some(true);
    if excluded && asked.max.is_some() {
        let problem = SettingsProblem::ExcludedTool;
        return Err(SettingsError::new(field("max"), problem));
    }
    let max = asked.max.map(|max| amount(&field("max"), max, budget));
    Ok(ToolRule {
        name: name.into(),
        excluded,
        max: max.transpose()?,
        recallable: asked.recallable,
    })
}

pub(super) fn thinking(asked: Option<ThinkingKeep>) -> Option<ThinkingRule> {
    match asked {
        None | Some(ThinkingKeep::All) => None,
        Some(ThinkingKeep::Turns(keep_turns)) => Some(ThinkingRule {
            keep_turns,
            always: false,
        }),
        Some(ThinkingKeep::OnlyTurns(keep_turns)) => Some(ThinkingRule {
            keep_turns,
            always: true,
        }),
    }
}

/// Tokens of the longest summary where none is given: an eighth of the budget up to 800, but of a
/// small one up to a quarter, for there an eighth is a handful of sentences.
fn longest_summary(budget: usize) -> usize {
    let least = (budget / 4).clamp(1, 400);
    (budget / 8).clamp(least, 800)
}

pub(super) fn compaction(
    asked: &CompactionSettings,
    budget: usize,
) -> Result<CompactionRule, SettingsError> {
    let trigger = match asked.trigger {
        None => (budget >= VENDOR_WINDOW).then_some(COMPACT_TRIGGER),
        Some(CompactTrigger::Need) => None,
        Some(CompactTrigger::VendorDefault) => Some(vendor_trigger(COMPACT_TRIGGER, budget)),
        Some(CompactTrigger::InputTokens(tokens)) => {
            Some(amount("compaction.trigger", tokens, budget)?)
        }
    };
    let least = Amount::Tokens(trigger.unwrap_or(0) / LEAST);
    let compact_at_least = asked.compact_at_least.unwrap_or(least);
    const FIELD: &str = "compaction.max_tokens";
    let max_tokens = asked.max_tokens.unwrap_or_else(|| longest_summary(budget));
    if max_tokens == 0 {
        return Err(SettingsError::new(FIELD, SettingsProblem::Zero));
    }
    if max_tokens > budget {
        let problem = SettingsProblem::AboveBudget {
            tokens: max_tokens,
            budget,
        };
        return Err(SettingsError::new(FIELD, problem));
    }
    let critical_recall = asked.critical_recall.unwrap_or(0.95);
    Ok(CompactionRule {
        trigger,
        compact_at_least: amount("compaction.compact_at_least", compact_at_least, budget)?,
        keep_raw_turns: asked.keep_raw_turns.unwrap_or(5),
        max_tokens,
        level: asked.level.unwrap_or(SummaryLevel::Detailed),
        critical_recall: share("compaction.quality_gate.critical_recall", critical_recall)?,
        max_nll_delta: at_least_zero(
            "compaction.quality_gate.max_nll_delta",
            asked.max_nll_delta.unwrap_or(0.5),
        )?,
    })
}

pub(super) fn retrieval(
    asked: RetrievalSettings,
    diversity: Option<f64>,
) -> Result<RetrievalRule, SettingsError> {
    let min_score = asked.min_score.unwrap_or(0.0);
    Ok(RetrievalRule {
        min_score: share("zones.retrieval.min_score", min_score)?,
        placement: asked.placement.unwrap_or(Placement::Auto),
        diversity: at_least_zero("objective.diversity", diversity.unwrap_or(0.0))?,
    })
}

pub(super) fn objective(asked: ObjectiveSettings) -> Result<Objective, SettingsError> {
    let weight = |field: &str, asked: Option<f64>, default: f64| {
        at_least_zero(&format!("objective.{field}"), asked.unwrap_or(default))
    };
    Ok(Objective {
        loss: weight("loss", asked.loss, 1.0)?,
        prefill: match asked.prefill {
            None => PrefillWeight::Whole(1.0),
            Some(PrefillWeight::Whole(whole)) => {
                PrefillWeight::Whole(weight("prefill", Some(whole), 1.0)?)
            }
            Some(PrefillWeight::Millisecond(each)) => {
                PrefillWeight::Millisecond(weight("prefill_ms", Some(each), 0.0)?)
            }
        },
        tokens: weight("tokens", asked.tokens, 0.1)?,
    })
}
