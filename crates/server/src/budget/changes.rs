//! Edits made in a conversation's messages.

use std::ops::RangeInclusive;

use context::EditOp;
use serde_json::{Value, json};

use super::division::Division;
use super::place::Place;
use super::standing::StandingEdit;
use crate::validate::chat::Conversation;

/// What a summary is an answer to. Together they are a whole turn, so that templates which insist
/// on user and assistant taking turns accept them.
pub(super) const SUMMARY_REQUEST: &str = "Summarise our conversation so far.";

/// The conversation with `edits`, which are in order and do not overlap. Messages without an edit
/// stay as they are, byte for byte.
pub(super) fn apply(
    conversation: &Conversation,
    division: &Division,
    edits: &[StandingEdit],
) -> Conversation {
    let mut changed = conversation.clone();
    let mut spans: Vec<(usize, usize, Option<&str>)> = Vec::new();
    let mut documents: Vec<usize> = Vec::new();
    let mut tools: Vec<usize> = Vec::new();
    for edit in edits {
        let place = division.places[*edit.segments.start()];
        let text = &*edit.edit.replacement;
        match &edit.edit.op {
            op @ (EditOp::Compact(_) | EditOp::DropExample) => {
                let summary = matches!(op, EditOp::Compact(_)).then_some(text);
                let messages = messages(conversation, division, &edit.segments);
                spans.extend(messages.map(|(first, last)| (first, last, summary)));
            }
            EditOp::ClearReasoning => {
                if let Some(at) = place.message() {
                    Place::remove_reasoning(&mut changed.messages[at]);
                }
            }
            EditOp::ClearToolInput => clear_input(&mut changed, place, text),
            EditOp::DropDocument => {
                if let Place::Document(document) = place {
                    documents.push(document);
                } else {
                    place.replace(&mut changed, text);
                }
            }
            EditOp::PruneTool => {
                if let Place::Tool(tool) = place {
                    tools.push(tool);
                }
            }
            EditOp::Dedupe { .. }
            | EditOp::ClearToolResult
            | EditOp::Compress(_)
            | EditOp::ExtractDocument
            | EditOp::Offload => place.replace(&mut changed, text),
        }
    }
    if let Some(list) = &mut changed.documents {
        remove(list, &documents);
    }
    remove(&mut changed.tools.definitions, &tools);
    // From the end, so that the numbers of what precedes stay right.
    for (first, last, summary) in spans.into_iter().rev() {
        let turn = summary.map(|text| {
            [
                json!({"role": "user", "content": SUMMARY_REQUEST}),
                json!({"role": "assistant", "content": text}),
            ]
        });
        let turn = turn.into_iter().flatten();
        drop(changed.messages.splice(first..=last, turn));
    }
    changed
}

/// The first and the last message of whole turns, by their segments.
pub(super) fn messages(
    conversation: &Conversation,
    division: &Division,
    segments: &RangeInclusive<usize>,
) -> Option<(usize, usize)> {
    let message = |at: &usize| division.places[*at].message();
    let (first, last) = (message(segments.start())?, message(segments.end())?);
    Some((turn_start(conversation, division, first), last))
}

/// Takes items out of a list, by their numbers.
fn remove(list: &mut Vec<Value>, numbers: &[usize]) {
    let mut number = 0;
    list.retain(|_| {
        number += 1;
        !numbers.contains(&(number - 1))
    });
}

/// Where the turn begins whose first text is in that message: what the user said may be nothing.
fn turn_start(conversation: &Conversation, division: &Division, message: usize) -> usize {
    let mut places = division.places.iter();
    match message.checked_sub(1) {
        Some(before)
            if conversation.messages[before]["role"] == "user"
                && places.all(|place| place.message() != Some(before)) =>
        {
            before
        }
        _ => message,
    }
}

fn clear_input(conversation: &mut Conversation, place: Place, text: &str) {
    let Place::Call(message, call) = place else {
        return;
    };
    let pointer = format!("/tool_calls/{call}/function/arguments");
    if let Some(arguments) = conversation.messages[message].pointer_mut(&pointer) {
        *arguments = Value::String(text.to_owned());
    }
}
