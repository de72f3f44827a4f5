//! `context_budget.zones`.

use context::{
    ClearTrigger, OutputSettings, Placement, Settings, StablePrefix, Tier, ToolSettings, Zone,
    ZoneSettings,
};
use serde_json::{Map, Value};

use super::bound::{Start, amount, bound, start};
use super::{MapNames, choice};
use crate::validate::fields::{Fields, wrong_type};
use crate::wire::error::ApiError;

/// Longest name of a zone of the client's own.
const MAX_ZONE_NAME: usize = 64;

/// Takes `zones` into `settings`.
pub(super) fn zones(fields: &mut Fields, settings: &mut Settings) -> Result<(), ApiError> {
    let path = fields.path("zones");
    for (name, value) in fields.object("zones")?.unwrap_or_default() {
        let path = format!("{path}.{name}");
        let zone = Fields::from_value(path.clone(), value)?;
        match name.as_str() {
            "stable_prefix" => stable_prefix(zone, settings)?,
            "output_buffer" => output_buffer(zone, settings)?,
            _ => one_zone(&path, &name, zone, settings)?,
        }
    }
    Ok(())
}

fn one_zone(
    path: &str,
    name: &str,
    mut fields: Fields,
    settings: &mut Settings,
) -> Result<(), ApiError> {
    let zone = zone(path, name)?;
    let rule = ZoneSettings {
        tier: tier(&mut fields)?,
        min: bound(&mut fields, "min")?,
        target: bound(&mut fields, "target")?,
        max: bound(&mut fields, "max")?,
        priority: fields.count("priority", 1..=1_000)?.map(|n| n as u32),
        useful: None,
    };
    match zone {
        Zone::History => {
            let turns = fields.count("keep_raw_turns", 0..=1_000_000)?;
            settings.compaction.keep_raw_turns = turns;
        }
        Zone::ToolOutputs => tool_outputs(&mut fields, settings)?,
        Zone::Retrieval => {
            let score = fields.number("min_score", 0.0..=1.0)?;
            settings.retrieval.min_score = score.map(super::exact);
            settings.retrieval.placement = choice(
                &mut fields,
                "placement",
                &Placement::ALL.map_names(Placement::name),
            )?;
        }
        Zone::ToolSchemas => {
            choice(&mut fields, "select", &[("all", ())])?;
            settings.tool_pruning = tool_pruning(&mut fields, rule.tier)?;
        }
        _ => {}
    }
    fields.finish(&[], &[])?;
    settings.zones.insert(zone, rule);
    Ok(())
}

fn tool_pruning(fields: &mut Fields, tier: Option<Tier>) -> Result<Option<bool>, ApiError> {
    let path = fields.path("allow_tool_pruning");
    let allowed = fields.boolean("allow_tool_pruning")?;
    match tier {
        Some(tier @ (Tier::Committed | Tier::Protected)) if allowed == Some(true) => {
            let name = tier.name();
            let message = format!("`{path}`: nothing of a zone that is {name} is left out.");
            Err(ApiError::field(path, message))
        }
        _ => Ok(allowed),
    }
}

fn tool_outputs(fields: &mut Fields, settings: &mut Settings) -> Result<(), ApiError> {
    settings.clearing.trigger = start(fields, "trigger", true)?.map(|start| match start {
        Start::Need => ClearTrigger::Need,
        Start::Tokens(tokens) => ClearTrigger::InputTokens(tokens),
        Start::ToolUses(uses) => ClearTrigger::ToolUses(uses),
    });
    settings.clearing.clear_at_least = amount(fields, "clear_at_least", 0)?;
    settings.clearing.keep = fields.count("keep", 0..=1_000_000)?;
    settings.clearing.exclude_tools = names(fields, "exclude_tools")?;
    let path = fields.path("per_tool");
    let tools: Map<String, Value> = fields.object("per_tool")?.unwrap_or_default();
    for (name, value) in tools {
        let mut tool = Fields::from_value(format!("{path}.{name}"), value)?;
        let rule = ToolSettings {
            max: amount(&mut tool, "max", 0)?,
            recallable: tool.boolean("recallable")?,
            excluded: tool.boolean("excluded")?,
        };
        tool.finish(&[], &[])?;
        settings.clearing.per_tool.insert(name.into(), rule);
    }
    Ok(())
}

fn output_buffer(mut fields: Fields, settings: &mut Settings) -> Result<(), ApiError> {
    settings.output = OutputSettings {
        min: bound(&mut fields, "min")?,
        target: bound(&mut fields, "target")?,
        max: bound(&mut fields, "max")?,
    };
    choice(&mut fields, "tier", &[("protected", ())])?;
    fields.finish(&[], &[])
}

fn stable_prefix(mut fields: Fields, settings: &mut Settings) -> Result<(), ApiError> {
    choice(&mut fields, "tier", &[("committed", ())])?;
    let path = fields.path("until");
    settings.stable_prefix = match fields.value("until") {
        None => None,
        Some(Value::String(word)) if word == "cache_control" => Some(StablePrefix::CacheControl),
        Some(Value::String(word)) if word == "auto" => Some(StablePrefix::Auto),
        Some(value @ Value::Object(_)) => {
            let mut until = Fields::from_value(path.clone(), value)?;
            let index = until.count("message_index", 0..=usize::MAX >> 1)?;
            let tokens = until.count("tokens", 0..=usize::MAX >> 1)?;
            until.finish(&[], &[])?;
            match (index, tokens) {
                (Some(index), None) => Some(StablePrefix::MessageIndex(index)),
                (None, Some(tokens)) => Some(StablePrefix::Tokens(tokens)),
                _ => return Err(wrong_until(path)),
            }
        }
        Some(_) => return Err(wrong_until(path)),
    };
    fields.finish(&[], &[])
}

/// A list of names.
pub(super) fn names(
    fields: &mut Fields,
    name: &'static str,
) -> Result<Option<Vec<Box<str>>>, ApiError> {
    let path = fields.path(name);
    let Some(values) = fields.array(name)? else {
        return Ok(None);
    };
    let names = values.iter().enumerate().map(|(index, value)| {
        let path = format!("{path}[{index}]");
        let name = value.as_str();
        name.map(Box::from)
            .ok_or_else(|| wrong_type(&path, "a string", value))
    });
    names.collect::<Result<_, _>>().map(Some)
}

fn tier(fields: &mut Fields) -> Result<Option<Tier>, ApiError> {
    choice(fields, "tier", &Tier::ALL.map(|tier| (tier.name(), tier)))
}

/// The zone of that name.
pub(super) fn zone(path: &str, name: &str) -> Result<Zone, ApiError> {
    let zone = Zone::from_name(name);
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_name = !name.is_empty() && name.len() <= MAX_ZONE_NAME && name.bytes().all(valid);
    if matches!(zone, Zone::Custom(_)) && !is_name {
        let message = format!(
            "`{path}`: a zone's name is 1 to {MAX_ZONE_NAME} letters, digits, `_`, `-` or `.`."
        );
        return Err(ApiError::field(path, message));
    }
    Ok(zone)
}

fn wrong_until(path: String) -> ApiError {
    let message = format!(
        "`{path}` must be \"cache_control\", \"auto\", {{\"message_index\": n}} or {{\"tokens\": n}}."
    );
    ApiError::field(path, message)
}
