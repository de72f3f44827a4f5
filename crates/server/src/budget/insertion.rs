//! Texts of the server's own in a conversation: directly before what the user has said last, so
//! that everything before the last user message stays cached when they change.
//!
//! They belong to one request. The client never sees them, so its next request has the history
//! without them; the chain that edits are found by leaves them aside.

use context::{SegmentKind, Zone};
use serde_json::{Value, json};

use super::place::Place;
use crate::validate::budget::{Annotation, Target};
use crate::validate::chat::Conversation;
use crate::validate::notes::MarkPlace;

/// A text to be put in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Inset {
    /// What it is.
    pub(super) kind: SegmentKind,
    /// What it is there for.
    pub(super) zone: Zone,
    /// The text, with the line breaks that part it from what follows.
    pub(super) text: String,
}

/// Where a text was put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Insertion {
    /// Its place.
    pub(super) place: Place,
    /// What it is.
    pub(super) kind: SegmentKind,
    /// What it is there for.
    pub(super) zone: Zone,
}

/// The message that says what is wanted: the last one of a user.
pub(super) fn live_message(conversation: &Conversation) -> Option<usize> {
    let messages = conversation.messages.iter();
    messages
        .rev()
        .position(|message| message["role"] == "user")
        .map(|from_end| conversation.messages.len() - 1 - from_end)
}

/// Puts texts before the last user message's own, in their order, each as a part of its content.
/// Notes and `annotations` go on meaning what they meant. Without a user message nothing is put in.
pub(super) fn insert(
    conversation: &mut Conversation,
    annotations: &mut [Annotation],
    insets: &[Inset],
) -> Vec<Insertion> {
    let Some(at) = live_message(conversation).filter(|_| !insets.is_empty()) else {
        return Vec::new();
    };
    let moved = |place: Place| match place {
        Place::Message(message) if message == at => Place::Part(at, insets.len()),
        Place::Part(message, part) if message == at => Place::Part(at, part + insets.len()),
        place => place,
    };
    let notes = &mut conversation.notes;
    for annotation in annotations.iter_mut().chain(&mut notes.annotations) {
        if let Target::Place(place) = &mut annotation.target {
            *place = moved(*place);
        }
    }
    notes.documents = notes.documents.iter().copied().map(moved).collect();
    for mark in &mut notes.marks {
        if let MarkPlace::Place(place) = &mut mark.place {
            *place = moved(*place);
        }
    }
    let part = |text: &str| json!({"type": "text", "text": text});
    let content = &mut conversation.messages[at]["content"];
    let own = match content.take() {
        Value::Array(parts) => parts,
        Value::String(text) => vec![part(&text)],
        _ => Vec::new(),
    };
    let parts = insets.iter().map(|inset| part(&inset.text)).chain(own);
    *content = parts.collect();
    let insertions = insets.iter().enumerate().map(|(number, inset)| Insertion {
        place: Place::Part(at, number),
        kind: inset.kind.clone(),
        zone: inset.zone.clone(),
    });
    insertions.collect()
}

#[cfg(test)]
mod tests;
