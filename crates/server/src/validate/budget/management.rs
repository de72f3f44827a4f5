//! `context_management`: edits in the shapes that Anthropic and OpenAI define, compiled into the
//! same settings as `context_budget`.

use context::{
    Amount, ClearInputs, ClearTrigger, ClearingSettings, CompactTrigger, CompactionSchedule,
    CompactionSettings, Settings, ThinkingKeep,
};
use serde_json::Value;

use super::bound::amount;
use super::rules;
use super::zones::names;
use crate::validate::fields::{Fields, wrong_type};
use crate::wire::error::ApiError;

/// Tool results that Anthropic's edit keeps by default.
const KEPT_TOOL_USES: usize = 3;

/// The kind of numbers that are tokens.
const INPUT_TOKENS: &str = "input_tokens";

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
    let mut settings = Settings::default();
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
            let trigger = input_tokens(&mut fields, "trigger")?;
            settings.compaction = compaction(trigger);
            settings.compaction.instructions = rules::instructions(&mut fields)?;
            refuse_pause(&mut fields)?;
            ManagedEdit::Compact
        }
        "compaction" => {
            let threshold = amount(&mut fields, "compact_threshold", 1)?;
            settings.compaction = compaction(threshold);
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

/// Vendors' compactions are there with the answer that they are asked for in, however little they
/// free.
fn compaction(trigger: Option<Amount>) -> CompactionSettings {
    let tokens = CompactTrigger::InputTokens;
    CompactionSettings {
        trigger: Some(trigger.map_or(CompactTrigger::VendorDefault, tokens)),
        compact_at_least: Some(Amount::Tokens(0)),
        schedule: Some(CompactionSchedule::Foreground),
        ..CompactionSettings::default()
    }
}

/// What is asked for and not there is said, rather than passed over.
fn refuse_pause(fields: &mut Fields) -> Result<(), ApiError> {
    const NAME: &str = "pause_after_compaction";
    if fields.boolean(NAME)? != Some(true) {
        return Ok(());
    }
    let path = fields.path(NAME);
    let message = format!("`{path}`: answers do not stop at a compaction yet.");
    Err(ApiError::unsupported(path, message))
}

fn clear_tool_uses(fields: &mut Fields) -> Result<ClearingSettings, ApiError> {
    let trigger = match counted(fields, "trigger", &[INPUT_TOKENS, "tool_uses"])? {
        None => ClearTrigger::VendorDefault,
        Some(Counted::Tokens(tokens)) => ClearTrigger::InputTokens(tokens),
        Some(Counted::Things(uses)) => ClearTrigger::ToolUses(uses),
    };
    let keep = match counted(fields, "keep", &["tool_uses"])? {
        Some(Counted::Things(uses)) => uses,
        Some(Counted::Tokens(_)) | None => KEPT_TOOL_USES,
    };
    Ok(ClearingSettings {
        trigger: Some(trigger),
        keep: Some(keep),
        clear_at_least: Some(input_tokens(fields, "clear_at_least")?.unwrap_or(Amount::Tokens(0))),
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

/// What a vendor's edit counts.
enum Counted {
    /// Tokens; beside whole numbers, as vendors have them, shares of B.
    Tokens(Amount),
    /// Tool uses.
    Things(usize),
}

/// Takes `{"type": "input_tokens", "value": n}`.
fn input_tokens(fields: &mut Fields, name: &'static str) -> Result<Option<Amount>, ApiError> {
    Ok(match counted(fields, name, &[INPUT_TOKENS])? {
        Some(Counted::Tokens(tokens)) => Some(tokens),
        Some(Counted::Things(_)) | None => None,
    })
}

/// Takes `{"type": kind, "value": n}`, where `kind` is one of `kinds`.
fn counted(
    fields: &mut Fields,
    name: &'static str,
    kinds: &[&str],
) -> Result<Option<Counted>, ApiError> {
    let path = fields.path(name);
    let Some(value) = fields.value(name) else {
        return Ok(None);
    };
    let mut counted = Fields::from_value(path, value)?;
    let kind = counted
        .string("type")?
        .ok_or_else(|| counted.missing("type"))?;
    if !kinds.contains(&&*kind) {
        let path = counted.path("type");
        let message = format!("`{path}` must be one of {}.", kinds.join(", "));
        return Err(ApiError::field(path, message));
    }
    let number = if kind == INPUT_TOKENS {
        amount(&mut counted, "value", 0)?.map(Counted::Tokens)
    } else {
        counted.count("value", 0..=1 << 40)?.map(Counted::Things)
    };
    let number = number.ok_or_else(|| counted.missing("value"))?;
    counted.finish(&[], &[])?;
    Ok(Some(number))
}
