//! `documents`, `incoming` and `annotations`: what the client says of single pieces.

use std::collections::HashSet;

use context::{Tier, Zone};
use serde_json::Value;

use super::{choice, exact};
use crate::budget::place::Place;
use crate::validate::fields::Fields;
use crate::wire::error::ApiError;

/// A document that the server may choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its name in citations and reports.
    pub id: String,
    /// What it says.
    pub text: String,
    /// How relevant it is, 0 to 1, if the client knows.
    pub score: Option<f64>,
    /// Where it is from.
    pub source: Option<String>,
    /// Documents of a group belong together.
    pub group: Option<String>,
}

/// Tokens that the next request will add.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// Where they will stand.
    pub zone: Zone,
    /// The tool that they come from.
    pub tool: Option<String>,
    /// How many.
    pub tokens: usize,
}

/// What the client knows of a message or of a tool's result.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// Which.
    pub target: Target,
    /// Where the client says it, for errors.
    pub path: String,
    /// A name by which others can depend on it.
    pub id: Option<String>,
    /// Its zone.
    pub zone: Option<Zone>,
    /// What may be done to it.
    pub tier: Option<Tier>,
    /// How relevant it is, 0 to 1.
    pub score: Option<f64>,
    /// Whether it must be left alone.
    pub pin: Option<bool>,
    /// Whether the model can get it again.
    pub recallable: Option<bool>,
    /// Calls, and names of pieces, without which it is useless.
    pub depends_on: Vec<String>,
}

/// What an [`Annotation`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The message of this number in the request, from 0.
    Message(usize),
    /// The result of this call.
    ToolCall(String),
    /// What stands there in the conversation that is rendered.
    Place(Place),
}

/// Takes `documents`.
pub(super) fn documents(fields: &mut Fields) -> Result<Vec<Document>, ApiError> {
    let documents = items(fields, "documents", |document| {
        let required = |document: &mut Fields, name| match document.string(name)? {
            Some(text) => Ok(text),
            None => Err(document.missing(name)),
        };
        Ok(Document {
            id: required(document, "id")?,
            text: required(document, "text")?,
            score: document.number("score", 0.0..=1.0)?.map(exact),
            source: document.string("source")?,
            group: document.string("group")?,
        })
    })?;
    let mut ids = HashSet::new();
    for (index, document) in documents.iter().enumerate() {
        if !ids.insert(&*document.id) {
            let path = fields.path(&format!("documents[{index}].id"));
            let message = format!("`{path}`: another document is named {:?}.", document.id);
            return Err(ApiError::field(path, message));
        }
    }
    Ok(documents)
}

/// Takes `incoming`.
pub(super) fn incoming(fields: &mut Fields) -> Result<Vec<Incoming>, ApiError> {
    items(fields, "incoming", |item| {
        Ok(Incoming {
            zone: item
                .string("zone")?
                .map_or(Zone::ToolOutputs, |name| Zone::from_name(&name)),
            tool: item.string("tool")?,
            tokens: item
                .count("tokens", 0..=1 << 40)?
                .ok_or_else(|| item.missing("tokens"))?,
        })
    })
}

/// Takes `annotations`.
pub(super) fn annotations(fields: &mut Fields) -> Result<Vec<Annotation>, ApiError> {
    items(fields, "annotations", |item| {
        let message = item.count("message_index", 0..=1 << 30)?;
        let call = item.string("tool_call_id")?;
        let target = match (message, call) {
            (Some(index), None) => Target::Message(index),
            (None, Some(call)) => Target::ToolCall(call),
            _ => {
                let path = item.path("tool_call_id");
                let message = format!("`{path}` or `message_index`: say one of them.");
                return Err(ApiError::field(path, message));
            }
        };
        annotation(item, target)
    })
}

/// The fields that an annotation shares with a message's own `context`.
pub fn annotation(fields: &mut Fields, target: Target) -> Result<Annotation, ApiError> {
    let tiers = Tier::ALL.map(|tier| (tier.name(), tier));
    Ok(Annotation {
        target,
        path: fields.name().to_owned(),
        id: fields.string("id")?,
        zone: fields.string("zone")?.map(|name| Zone::from_name(&name)),
        tier: choice(fields, "tier", &tiers)?,
        score: fields.number("score", 0.0..=1.0)?.map(exact),
        pin: fields.boolean("pin")?,
        recallable: fields.boolean("recallable")?,
        depends_on: super::zones::names(fields, "depends_on")?
            .unwrap_or_default()
            .into_iter()
            .map(String::from)
            .collect(),
    })
}

/// A list of objects.
fn items<T>(
    fields: &mut Fields,
    name: &'static str,
    read: impl Fn(&mut Fields) -> Result<T, ApiError>,
) -> Result<Vec<T>, ApiError> {
    let path = fields.path(name);
    let values: Vec<Value> = fields.array(name)?.unwrap_or_default();
    let items = values.into_iter().enumerate().map(|(index, value)| {
        let mut item = Fields::from_value(format!("{path}[{index}]"), value)?;
        let read = read(&mut item)?;
        item.finish(&[], &[])?;
        Ok(read)
    });
    items.collect()
}
