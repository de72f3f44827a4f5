//! What a call of the server's tools gives the model to read.

use memory::{Handle, Tenant};
use serde_json::{Map, Value, json};
use text::Tokenizer;

use super::ServerCall;
use super::page::page;
use crate::app::App;
use crate::budget::restored;
use crate::wire::error::ApiError;

/// The result of a call.
pub(super) struct Outcome {
    /// What the model reads.
    pub(super) text: String,
    /// The text that was asked for.
    pub(super) handle: Option<Handle>,
    /// For the report.
    pub(super) result: &'static str,
}

impl Outcome {
    /// Answers `context_status`: tokens of the budget that are taken, kept for the answer, and left.
    pub(super) fn status(budget: usize, reserved: usize, left: usize) -> Self {
        let used = budget.saturating_sub(reserved + left);
        let text = json!({"budget": budget, "used": used, "reserved_for_answer": reserved,
            "remaining": left});
        Self {
            text: text.to_string(),
            handle: None,
            result: "status",
        }
    }

    /// Answers `context_restore`: the text behind a handle of this tenant, as much of it as `room`
    /// tokens hold. What the model could mend is told to it, and is no error of the request.
    ///
    /// # Errors
    /// When the memory store fails.
    pub(super) fn restore(
        app: &App,
        tenant: &Tenant,
        call: &ServerCall,
        room: usize,
        tokenizer: &Tokenizer,
    ) -> Result<Self, ApiError> {
        let (handle, offset) = match arguments(&call.arguments) {
            Ok(read) => read,
            Err(why) => return Ok(Self::error(None, why)),
        };
        let Some(text) = restored::text(app, tenant, &handle)? else {
            let why = format!("there is no text behind {handle}");
            return Ok(Self::error(Some(handle), &why));
        };
        let chars = text.chars().count();
        if offset > 0 && offset >= chars {
            let why = format!("the text has {chars} characters");
            return Ok(Self::error(Some(handle), &why));
        }
        Ok(match page(&text, offset, room, tokenizer) {
            Ok(page) => Self {
                result: if page.is_whole { "whole" } else { "page" },
                text: page.text,
                handle: Some(handle),
            },
            Err(tokens) => Self {
                text: format!("Error: the text has {tokens} tokens, and {room} are left."),
                handle: Some(handle),
                result: "no_room",
            },
        })
    }

    fn error(handle: Option<Handle>, why: &str) -> Self {
        Self {
            text: format!("Error: {why}."),
            handle,
            result: "error",
        }
    }
}

/// Handle and offset.
fn arguments(text: &str) -> Result<(Handle, usize), &'static str> {
    let fields: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| "the arguments must be a JSON object")?;
    let handle = fields.get("handle").and_then(Value::as_str);
    let handle = handle.and_then(|handle| handle.trim().parse().ok());
    let handle = handle.ok_or("`handle` must be ctx:// and 13 letters in lower case")?;
    let offset = match fields.get("offset") {
        None | Some(Value::Null) => Some(0),
        Some(offset) => offset.as_u64().and_then(|offset| offset.try_into().ok()),
    };
    let offset = offset.ok_or("`offset` must be a number of characters")?;
    Ok((handle, offset))
}
