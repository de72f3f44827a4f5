//! One line at the very end of the prompt that tells the model how much room is left, so that it
//! asks its tools for no more than that (`tell_model: tail_note`).
//!
//! It is no part of the history: the next request, which has another number, is sent without this
//! one. So what is cached ends where the line begins.

use serde_json::{Value, json};

use crate::validate::chat::Conversation;
use crate::wire::error::ApiError;

/// How often the number is corrected by the tokens that it has itself.
const ATTEMPTS: usize = 4;

/// A conversation with the note, and its tokens. `budget` is B, `room` what prompt and the rest may
/// have together, `prompt` a guess of the prompt's tokens, and `encode` makes tokens.
///
/// The number in the note is what is really left, or one less where no number is its own.
///
/// # Errors
/// When no message can bear the note, or what `encode` says.
pub(super) fn encode_noted(
    conversation: &Conversation,
    (budget, room): (usize, usize),
    prompt: usize,
    encode: impl Fn(&Conversation) -> Result<Vec<u32>, ApiError>,
) -> Result<(Conversation, Vec<u32>), ApiError> {
    let mut left = room.saturating_sub(prompt);
    let mut told = None;
    for _ in 0..ATTEMPTS {
        let mut noted = conversation.clone();
        append(&mut noted, &note(left, budget))?;
        let tokens = encode(&noted)?;
        let real = room.saturating_sub(tokens.len());
        // Of numbers that are not their own, the one that promises less.
        if real >= left || told.is_none() {
            told = Some((noted, tokens));
        }
        if real == left {
            break;
        }
        left = real;
    }
    match told {
        Some(told) => Ok(told),
        None => Ok((conversation.clone(), encode(conversation)?)),
    }
}

fn note(left: usize, budget: usize) -> String {
    format!("[context: {left} of {budget} tokens left for this task]")
}

/// Writes a note at the end of the last message of a user or a tool.
fn append(conversation: &mut Conversation, note: &str) -> Result<(), ApiError> {
    let bears = |message: &&mut Value| {
        matches!(message["role"].as_str(), Some("user" | "tool" | "function"))
    };
    let message = conversation.messages.iter_mut().rev().find(bears);
    let Some(message) = message else {
        let path = "context_budget.tell_model";
        let message = format!("`{path}`: there is no message of a user or a tool to end with it.");
        return Err(ApiError::field(path, message));
    };
    let content = &mut message["content"];
    match content {
        Value::String(text) => *text = format!("{text}\n\n{note}"),
        Value::Array(parts) => parts.push(json!({"type": "text", "text": format!("\n\n{note}")})),
        _ => *content = json!(note),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
