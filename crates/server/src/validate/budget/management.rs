//! `context_management`: edits in the shapes that Anthropic and OpenAI define, compiled into the
//! same settings as `context_budget`.

use context::{
    Amount, ClearInputs, ClearTrigger, ClearingSettings, CompactTrigger, Mode, Settings,
    ThinkingKeep,
};
use serde_json::Value;

use super::rules;
use super::zones::names;
use crate::validate::fields::{Fields, wrong_type};
use crate::wire::error::ApiError;

/// Tool results that Anthropic's edit keeps by default.
const KEPT_TOOL_USES: usize = 3;

/// Turns whose reasoning Anthropic's edit keeps by default.
const KEPT_THINKING_TURNS: usize = 1;

/// An edit that the client has named; the answer says what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagedEdit {
    /// `clear_tool_uses_20250919`.
    ClearToolUses,
    /// `clear_thinking_20251015`.
    ClearThinking,
    /// `compact_20260112`, or OpenAI's `compaction`.
    Compact,
}

impl ManagedEdit {
    /// Its type in Anthropic's API.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClearToolUses => "clear_tool_uses_20250919",
            Self::ClearThinking => "clear_thinking_20251015",
            Self::Compact => "compact_20260112",
        }
    }
}

/// Takes `context_management` of a request: the edits named, and the settings that they mean.
///
/// # Errors
/// The first wrong field, by its path.
pub fn management(fields: &mut Fields) -> Result<Option<(Vec<ManagedEdit>, Settings)>, ApiError> {
    let edits = match fields.value("context_management") {
        None => return Ok(None),
        Some(Value::Array(edits)) => ("context_management".to_owned(), edits),
        Some(value @ Value::Object(_)) => {
            let mut object = Fields::from_value("context_management".to_owned(), value)?;
            let edits = object.array("edits")?.unwrap_or_default();
            object.finish(&[], &[])?;
            ("context_management.edits".to_owned(), edits)
        }
        Some(other) => {
            let expected = "an object with `edits`, or an array";
            return Err(wrong_type("context_management", expected, &other));
        }
    };
    let (path, edits) = edits;
    let mut settings = Settings {
        mode: Some(Mode::Enforce),
        ..Settings::default()
    };
    let mut named = Vec::new();
    for (index, edit) in edits.into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        let kind = one(Fields::from_value(path.clone(), edit)?, &mut settings)?;
        if named.contains(&kind) {
            let message = format!("`{path}`: {} is named twice.", kind.name());
            return Err(ApiError::field(path, message));
        }
        named.push(kind);
    }
    Ok(Some((named, settings)))
}

fn one(mut fields: Fields, settings: &mut Settings) -> Result<ManagedEdit, ApiError> {
    let kind = fields
        .string("type")?
        .ok_or_else(|| fields.missing("type"))?;
    let edit = match kind.as_str() {
        "clear_tool_uses_20250919" => {
            settings.clearing = clear_tool_uses(&mut fields)?;
            ManagedEdit::ClearToolUses
        }
        "clear_thinking_20251015" => {
            settings.thinking = Some(thinking(&mut fields)?);
            ManagedEdit::ClearThinking
        }
        "compact_20260112" => {
            let trigger = counted(&mut fields, "trigger", &["input_tokens"])?;
            settings.compaction.trigger = Some(match trigger {
                None => CompactTrigger::VendorDefault,
                Some((_, tokens)) => CompactTrigger::InputTokens(Amount::Tokens(tokens)),
            });
            settings.compaction.instructions = rules::instructions(&mut fields)?;
            settings.compaction.pause_after = fields.boolean("pause_after_compaction")?;
            ManagedEdit::Compact
        }
        "compaction" => {
            let threshold = fields.count("compact_threshold", 1..=1 << 40)?;
            settings.compaction.trigger = Some(match threshold {
                None => CompactTrigger::VendorDefault,
                Some(tokens) => CompactTrigger::InputTokens(Amount::Tokens(tokens)),
            });
            ManagedEdit::Compact
        }
        other => {
            let path = fields.path("type");
            let message = format!(
                "`{path}`: `{other}` is not known; use clear_tool_uses_20250919, \
                 clear_thinking_20251015, compact_20260112 or compaction."
            );
            return Err(ApiError::field(path, message));
        }
    };
    fields.finish(&[], &[])?;
    Ok(edit)
}

fn clear_tool_uses(fields: &mut Fields) -> Result<ClearingSettings, ApiError> {
    let trigger = match counted(fields, "trigger", &["input_tokens", "tool_uses"])? {
        None => ClearTrigger::VendorDefault,
        Some((0, tokens)) => ClearTrigger::InputTokens(Amount::Tokens(tokens)),
        Some((_, uses)) => ClearTrigger::ToolUses(uses),
    };
    let keep = counted(fields, "keep", &["tool_uses"])?.map_or(KEPT_TOOL_USES, |(_, n)| n);
    let least = counted(fields, "clear_at_least", &["input_tokens"])?;
    Ok(ClearingSettings {
        trigger: Some(trigger),
        keep: Some(keep),
        clear_at_least: least.map(|(_, tokens)| Amount::Tokens(tokens)),
        clear_inputs: clear_inputs(fields)?,
        exclude_tools: names(fields, "exclude_tools")?,
        ..ClearingSettings::default()
    })
}

fn clear_inputs(fields: &mut Fields) -> Result<Option<ClearInputs>, ApiError> {
    let path = fields.path("clear_tool_inputs");
    match fields.value("clear_tool_inputs") {
        None => Ok(None),
        Some(Value::Bool(false)) => Ok(Some(ClearInputs::None)),
        Some(Value::Bool(true)) => Ok(Some(ClearInputs::All)),
        Some(Value::Array(tools)) => {
            let tools = tools.iter().map(|tool| tool.as_str().map(Box::from));
            let tools = tools.collect::<Option<_>>().map(ClearInputs::Tools);
            let message = format!("`{path}` must be a boolean or a list of tools.");
            tools
                .map(Some)
                .ok_or_else(|| ApiError::field(path, message))
        }
        Some(other) => Err(wrong_type(&path, "a boolean or an array", &other)),
    }
}

fn thinking(fields: &mut Fields) -> Result<ThinkingKeep, ApiError> {
    let path = fields.path("keep");
    let all = match fields.value("keep") {
        None => return Ok(ThinkingKeep::OnlyTurns(KEPT_THINKING_TURNS)),
        Some(Value::String(word)) => word == "all",
        Some(value) => {
            let mut keep = Fields::from_value(path.clone(), value)?;
            let kind = keep.string("type")?;
            let turns = keep.count("value", 1..=1 << 30)?;
            keep.finish(&[], &[])?;
            match (kind.as_deref(), turns) {
                (Some("thinking_turns"), Some(turns)) => return Ok(ThinkingKeep::OnlyTurns(turns)),
                (Some("all"), None) => true,
                _ => false,
            }
        }
    };
    if all {
        return Ok(ThinkingKeep::All);
    }
    let message =
        format!("`{path}` must be {{\"type\": \"thinking_turns\", \"value\": n}} or \"all\".");
    Err(ApiError::field(path, message))
}

/// Takes `{"type": kind, "value": n}`: which of `kinds`, and the number.
fn counted(
    fields: &mut Fields,
    name: &'static str,
    kinds: &[&str],
) -> Result<Option<(usize, usize)>, ApiError> {
    let path = fields.path(name);
    let Some(value) = fields.value(name) else {
        return Ok(None);
    };
    let mut counted = Fields::from_value(path, value)?;
    let kind = counted
        .string("type")?
        .ok_or_else(|| counted.missing("type"))?;
    let Some(at) = kinds.iter().position(|known| *known == kind) else {
        let path = counted.path("type");
        let message = format!("`{path}` must be one of {}.", kinds.join(", "));
        return Err(ApiError::field(path, message));
    };
    let number = counted.count("value", 0..=1 << 40)?;
    let number = number.ok_or_else(|| counted.missing("value"))?;
    counted.finish(&[], &[])?;
    Ok(Some((at, number)))
}
