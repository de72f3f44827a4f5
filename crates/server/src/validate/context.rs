//! `/v1/context/plan` and `/v1/context/compact`: the body of a chat completion, and what is asked
//! of its context.

use context::{Mode, OnInfeasible};

use super::chat::{self, ChatRequest};
use super::fields::Fields;
use crate::budget::pipeline::Wish;
use crate::config::serve::RequestLimits;
use crate::model::ServedModel;
use crate::wire::error::ApiError;

/// A completion that is to be planned only.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRequest {
    /// The completion.
    pub chat: ChatRequest,
    /// Whether the plans that were compared are told, too.
    pub frontier: bool,
    /// Whether all parts of the prompt are told, too, and how much each matters.
    pub segments: bool,
}

/// Reads a body of `plan`.
///
/// # Errors
/// The first wrong field.
pub fn plan(
    body: &[u8],
    model: &ServedModel,
    limits: &RequestLimits,
) -> Result<PlanRequest, ApiError> {
    let mut fields = Fields::from_body(body)?;
    let frontier = fields.boolean("frontier")?.unwrap_or(false);
    let segments = fields.boolean("segments")?.unwrap_or(false);
    if fields.boolean("commit")? == Some(true) {
        let message = "`commit`: a plan is not kept; send the completion, or `compact`.";
        return Err(ApiError::unsupported("commit", message));
    }
    Ok(PlanRequest {
        chat: chat::from_fields(fields, model, limits)?,
        frontier,
        segments,
    })
}

/// Reads a body of `compact`, whose edits are always made.
///
/// # Errors
/// The first wrong field.
pub fn compact(
    body: &[u8],
    model: &ServedModel,
    limits: &RequestLimits,
) -> Result<ChatRequest, ApiError> {
    let mut chat = chat::request(body, model, limits)?;
    enforce(&mut chat.wish)?;
    Ok(chat)
}

/// Makes a request one whose edits are made, and that fails if they are not enough.
///
/// # Errors
/// When it asks for anything else.
pub(super) fn enforce(wish: &mut Wish) -> Result<(), ApiError> {
    let settings = &mut wish.budget.get_or_insert_default().settings;
    if let Some(mode @ (Mode::Off | Mode::Observe)) = settings.mode {
        let path = "context_budget.mode";
        let message = format!("`{path}`: nothing would be edited with `{}`.", mode.name());
        return Err(ApiError::field(path, message));
    }
    if let Some(answer @ (OnInfeasible::Ask | OnInfeasible::Chunk)) = settings.on_infeasible {
        let path = "context_budget.on_infeasible";
        let name = answer.name();
        let message = format!("`{path}`: there is no answer here that `{name}` could stand in.");
        return Err(ApiError::field(path, message));
    }
    if settings.server_tools == Some(true) {
        let path = "context_budget.server_tools";
        let message = format!("`{path}`: there is no answer here in which the model calls them.");
        return Err(ApiError::field(path, message));
    }
    settings.server_tools = Some(false);
    settings.mode = Some(Mode::Enforce);
    settings.on_infeasible = Some(OnInfeasible::Error);
    Ok(())
}
