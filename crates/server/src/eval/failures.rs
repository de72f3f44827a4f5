//! What became of a fact that the model did not give.

use serde::Serialize;
use serde_json::Value;

use super::facts::Fact;
use super::rendered::Moment;
use super::trace::Planted;

/// Why an answer is wrong, as far as it can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(super) enum Cause {
    /// The statement is in the prompt: the model failed.
    Kept,
    /// The statement is not in the prompt.
    Cut,
    /// An edit of the server's concerns the message with the statement.
    Edited {
        /// `op`.
        op: String,
        /// `reason`, empty if the report has none.
        reason: String,
    },
    /// The server's report names no edit of the message.
    NotEdited,
    /// The fact was never stated, and the model made one up.
    MadeUp,
    /// The server could not answer.
    Refused {
        /// Its words.
        message: String,
    },
    /// The prompt cannot be read back.
    Unknown,
}

impl Cause {
    /// For tables.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Kept => "in the prompt, not found by the model".to_owned(),
            Self::Cut => "cut away".to_owned(),
            Self::Edited { op, reason } if reason.is_empty() => op.clone(),
            Self::Edited { op, reason } => format!("{op}: {reason}"),
            Self::NotEdited => "not edited, not found by the model".to_owned(),
            Self::MadeUp => "never stated, made up".to_owned(),
            Self::Refused { message } => format!("refused: {message}"),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}

/// By the text of the prompt.
pub(super) fn in_prompt(prompt: &Option<String>, fact: &Fact) -> Cause {
    match prompt {
        _ if fact.statement.is_empty() => Cause::MadeUp,
        Some(text) if text.contains(&fact.statement) => Cause::Kept,
        Some(_) => Cause::Cut,
        None => Cause::Unknown,
    }
}

/// By the server's report of its edits: the last one that concerns the message with the statement.
pub(super) fn in_report(report: &Value, planted: &Planted, moment: &Moment<'_>) -> Cause {
    if planted.fact.statement.is_empty() {
        return Cause::MadeUp;
    }
    let edits = report["edits"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let text = |edit: &Value, field: &str| edit[field].as_str().unwrap_or_default().to_owned();
    let concerned = edits
        .iter()
        .rev()
        .find(|edit| concerns(&edit["ref"], planted, moment));
    match concerned {
        Some(edit) => Cause::Edited {
            op: text(edit, "op"),
            reason: text(edit, "reason"),
        },
        None => Cause::NotEdited,
    }
}

/// Whether an edit's `ref` is one of the messages that state the fact: a call, a message, or the
/// first and the last of several.
fn concerns(place: &Value, planted: &Planted, moment: &Moment<'_>) -> bool {
    let number = |value: &Value| {
        value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
    };
    planted.messages.iter().any(|&at| {
        let call = moment
            .messages
            .get(at)
            .and_then(|message| message.call_id.as_deref());
        let by_call = call.is_some() && place["tool_call_id"].as_str() == call;
        let by_message = number(&place["message_index"]) == Some(at);
        let by_span = matches!(
            (number(&place["messages"][0]), number(&place["messages"][1])),
            (Some(first), Some(last)) if (first..=last).contains(&at)
        );
        by_call || by_message || by_span
    })
}

#[cfg(test)]
mod tests;
