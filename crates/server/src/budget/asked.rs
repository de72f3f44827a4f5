//! What a request asks for: whether its context is edited at all, and what it is told where its
//! settings do not act as they are written.

use std::collections::HashSet;

use context::{ClearInputs, Mode, Resolved, Settings, TellModel, Zone};
use serde_json::{Value, json};

use super::pipeline::Wish;
use crate::app::App;
use crate::validate::budget::{Annotation, Incoming};
use crate::validate::chat::Conversation;
use crate::wire::context_report::Warning;
use crate::wire::error::ApiError;

impl Wish {
    /// What is done with the request: what it says itself, else its profile, else edits if it asks
    /// for a budget at all; without one, what the server does with such requests.
    ///
    /// # Errors
    /// When there is no such profile, or when the request is left alone although it asks for what
    /// only a budgeter does.
    pub fn mode(&self, app: &App) -> Result<Mode, ApiError> {
        if self.budget.is_none() && self.management.is_none() {
            return Ok(app.budgeter().mode());
        }
        let budget = self.budget.as_ref();
        let asked = budget.and_then(|budget| budget.settings.mode);
        let mode = match asked {
            Some(mode) => mode,
            None => {
                let name = budget.and_then(|budget| budget.profile.as_deref());
                let (_, profile) = app.budgeter().profile(name)?;
                profile.mode.unwrap_or(Mode::Enforce)
            }
        };
        if mode == Mode::Off {
            self.refuse_ineffective()?;
        }
        Ok(mode)
    }

    /// The tools of the server take part in one answer at a time.
    ///
    /// # Errors
    /// When a request that wants them, by itself or by its profile, wants more answers.
    pub fn check_answers(&self, app: &App, n: usize) -> Result<(), ApiError> {
        let budget = self.budget.as_ref();
        let asked = budget.and_then(|budget| budget.settings.server_tools);
        let wants = match asked {
            Some(asked) => asked,
            None => {
                let name = budget.and_then(|budget| budget.profile.as_deref());
                let (_, profile) = app.budgeter().profile(name)?;
                profile.server_tools.unwrap_or(false)
            }
        };
        if wants && n > 1 {
            let message = "`n`: with `context_budget.server_tools` there is one answer.";
            return Err(ApiError::field("n", message));
        }
        Ok(())
    }

    /// What the server would do to the prompt is not passed over because nothing is to be done.
    fn refuse_ineffective(&self) -> Result<(), ApiError> {
        let budget = self.budget.as_ref();
        let tells = |tell: &TellModel| *tell != TellModel::None;
        let asked = [
            (
                budget.is_some_and(|budget| !budget.documents.is_empty()),
                "context_budget.documents",
            ),
            (
                budget.is_some_and(|budget| budget.memory_namespace.is_some()),
                "context_budget.store.memory_namespace",
            ),
            (
                budget.is_some_and(|budget| budget.settings.tell_model.is_some_and(|t| tells(&t))),
                "context_budget.tell_model",
            ),
            (
                budget.is_some_and(|budget| budget.settings.server_tools == Some(true)),
                "context_budget.server_tools",
            ),
            (self.management.is_some(), "context_management"),
        ];
        match asked.into_iter().find(|(is_asked, _)| *is_asked) {
            None => Ok(()),
            Some((_, path)) => {
                let message = format!("`{path}`: with mode `off` the prompt is left as it is.");
                Err(ApiError::field(path, message))
            }
        }
    }
}

/// Zones that annotations and announced tokens name must be known, or declared in `settings`.
///
/// # Errors
/// The first that is not, by its path.
pub(super) fn check_zones(
    settings: &Settings,
    annotations: &[Annotation],
    incoming: &[Incoming],
) -> Result<(), ApiError> {
    let noted = annotations.iter().filter_map(|annotation| {
        let zone = annotation.zone.as_ref()?;
        Some((format!("{}.zone", annotation.path), zone))
    });
    let announced = incoming.iter().enumerate();
    let announced =
        announced.map(|(at, one)| (format!("context_budget.incoming[{at}].zone"), &one.zone));
    let unknown = |(_, zone): &(String, &Zone)| !settings.declares(zone);
    match noted.chain(announced).find(unknown) {
        None => Ok(()),
        Some((path, zone)) => {
            let message = format!(
                "`{path}`: no zone `{zone}`; a zone of your own is declared in \
                 `context_budget.zones` by a tier or a bound."
            );
            Err(ApiError::setting(
                path,
                message,
                json!({"code": "unknown_zone"}),
            ))
        }
    }
}

/// What the client is told of its settings: which tools neither the request nor its history has.
pub(super) fn notices(
    own: &Settings,
    incoming: &[Incoming],
    conversation: &Conversation,
) -> Vec<Warning> {
    let known = tools(conversation);
    let named = named_tools(own, incoming).into_iter();
    let unknown = named.filter(|(_, name)| !known.contains(name));
    let unknown = unknown.map(|(path, name)| {
        let message = format!("`{path}`: the request has no tool `{name}` and no call of one.");
        Warning::new("unknown_tool", message)
    });
    unknown.collect()
}

/// Floors and numbers of latest pieces that did not hold in full.
pub(super) fn lowered(resolved: &Resolved) -> Vec<Warning> {
    let floors = resolved.lowered().map(|floor| {
        let message = format!(
            "`context_budget.zones.{}.min`: `{}` stands for {} tokens, of which {} are kept.",
            floor.zone,
            floor.symbol.name(),
            floor.tokens,
            floor.kept
        );
        Warning::new("floor_lowered", message)
    });
    let keeps = resolved.lowered_keeps().map(|(field, asked, kept)| {
        let message = format!("`context_budget.{field}`: {kept} of {asked} stay.");
        Warning::new("floor_lowered", message)
    });
    floors.chain(keeps).collect()
}

/// The tools that settings name, with the path of each.
fn named_tools<'a>(own: &'a Settings, incoming: &'a [Incoming]) -> Vec<(String, &'a str)> {
    let zone = "context_budget.zones.tool_outputs";
    let clearing = &own.clearing;
    let excluded = clearing.exclude_tools.iter().flatten();
    let excluded = excluded.map(|name| (format!("{zone}.exclude_tools"), &**name));
    let ruled = clearing.per_tool.keys();
    let ruled = ruled.map(|name| (format!("{zone}.per_tool.{name}"), &**name));
    let inputs: &[Box<str>] = match &clearing.clear_inputs {
        Some(ClearInputs::Tools(names)) => names,
        Some(ClearInputs::None | ClearInputs::All) | None => &[],
    };
    let inputs = inputs.iter();
    let inputs = inputs.map(|name| ("context_management: clear_tool_inputs".to_owned(), &**name));
    let announced = incoming.iter().enumerate().filter_map(|(at, one)| {
        let path = format!("context_budget.incoming[{at}].tool");
        Some((path, one.tool.as_deref()?))
    });
    excluded
        .chain(ruled)
        .chain(inputs)
        .chain(announced)
        .collect()
}

/// Names of the tools that a conversation offers or has called.
fn tools(conversation: &Conversation) -> HashSet<&str> {
    let calls = conversation.messages.iter();
    let calls = calls.filter_map(|message| message["tool_calls"].as_array());
    let definitions = conversation.tools.all().map(|(_, tool)| tool);
    definitions
        .chain(calls.flatten())
        .filter_map(|tool: &Value| tool["function"]["name"].as_str())
        .collect()
}
