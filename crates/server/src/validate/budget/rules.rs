//! `context_budget.compaction` and `context_budget.hints`.

use context::{
    CompactTrigger, CompactionSchedule, CompactionSettings, InstructionsMode, Preserve, Settings,
    SummaryLevel,
};
use serde_json::Value;

use super::bound::{Start, amount, start};
use super::zones::zone;
use super::{MapNames, choice, exact, object};
use crate::validate::fields::{Fields, integer};
use crate::wire::error::ApiError;

/// Longest instructions of a client for a summary, in bytes.
const MAX_INSTRUCTIONS: usize = 16 << 10;

/// Takes `compaction`.
pub(super) fn compaction(
    fields: &mut Fields,
    settings: &mut CompactionSettings,
) -> Result<(), ApiError> {
    let Some(mut fields) = object(fields, "compaction")? else {
        return Ok(());
    };
    choice(&mut fields, "model", &[("self", ())])?;
    settings.trigger = match start(&mut fields, "trigger", false)? {
        None => None,
        Some(Start::Tokens(tokens)) => Some(CompactTrigger::InputTokens(tokens)),
        Some(Start::Need | Start::ToolUses(_)) => Some(CompactTrigger::Need),
    };
    settings.compact_at_least = amount(&mut fields, "compact_at_least", 0)?;
    settings.max_tokens = fields.count("max_tokens", 1..=1 << 30)?;
    let levels = SummaryLevel::ALL.map(|level| (level.name(), level));
    settings.level = choice(&mut fields, "level", &levels)?;
    settings.preserve = preserve(&mut fields)?;
    settings.instructions = instructions(&mut fields)?;
    settings.instructions_mode = choice(
        &mut fields,
        "instructions_mode",
        &InstructionsMode::ALL.map_names(InstructionsMode::name),
    )?;
    settings.schedule = choice(
        &mut fields,
        "schedule",
        &CompactionSchedule::ALL.map_names(CompactionSchedule::name),
    )?;
    if let Some(mut gate) = object(&mut fields, "quality_gate")? {
        let recall = gate.number("critical_recall", 0.0..=1.0)?;
        settings.critical_recall = recall.map(exact);
        let delta = gate.number("max_nll_delta", 0.0..=1e3)?;
        settings.max_nll_delta = delta.map(exact);
        gate.finish(&[], &[])?;
    }
    fields.finish(&[], &[])
}

/// Takes `hints`.
pub(super) fn hints(fields: &mut Fields, settings: &mut Settings) -> Result<(), ApiError> {
    let Some(mut fields) = object(fields, "hints")? else {
        return Ok(());
    };
    let hints = &mut settings.hints;
    hints.expected_turns = fields.number("expected_turns", 0.0..=1e6)?.map(exact);
    hints.expected_output_tokens = fields.count("expected_output_tokens", 0..=1 << 30)?;
    hints.task = fields.string("task")?.map(Box::from);
    let path = fields.path("useful_tokens");
    for (name, value) in fields.object("useful_tokens")?.unwrap_or_default() {
        let path = format!("{path}.{name}");
        let tokens = integer(&path, &value, 0..=1 << 40)?;
        let zone = settings.zones.entry(zone(&path, &name)?).or_default();
        zone.useful = Some(tokens as usize);
    }
    let idle = "nothing waits for it: a summary is begun as soon as it can be foreseen.";
    fields.finish(&[], &[("expected_idle_ms", idle)])
}

/// Takes `instructions`, of at most 16 KiB.
pub(super) fn instructions(fields: &mut Fields) -> Result<Option<Box<str>>, ApiError> {
    let path = fields.path("instructions");
    let Some(text) = fields.string("instructions")? else {
        return Ok(None);
    };
    if text.len() > MAX_INSTRUCTIONS {
        let message = format!(
            "`{path}` has {} bytes, at most {MAX_INSTRUCTIONS}.",
            text.len()
        );
        return Err(ApiError::field(path, message));
    }
    Ok(Some(text.into()))
}

fn preserve(fields: &mut Fields) -> Result<Option<Vec<Preserve>>, ApiError> {
    let path = fields.path("preserve");
    let Some(words) = fields.array("preserve")? else {
        return Ok(None);
    };
    let kinds = words.iter().enumerate().map(|(index, word)| {
        let path = format!("{path}[{index}]");
        let kind = word.as_str().and_then(Preserve::from_name);
        kind.ok_or_else(|| not_one_of(path, word))
    });
    kinds.collect::<Result<_, _>>().map(Some)
}

fn not_one_of(path: String, word: &Value) -> ApiError {
    let known: Vec<&str> = Preserve::ALL.iter().map(|kind| kind.name()).collect();
    let message = format!(
        "`{path}` is {word}; it must be one of {}.",
        known.join(", ")
    );
    ApiError::field(path, message)
}
