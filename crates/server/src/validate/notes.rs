//! What clients write into a conversation for the server: `cache_control` marks and `context`
//! notes. Templates never see them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::budget::{Annotation, Target, annotation};
use super::fields::Fields;
use crate::budget::place::Place;
use crate::wire::error::ApiError;

/// What a request says of the pieces of its conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notes {
    /// For each message, its number in the request's `messages`; `None` where it stood elsewhere.
    pub origins: Vec<Option<usize>>,
    /// Who speaks in each of the request's `messages`.
    pub roles: Vec<String>,
    /// What `context` objects say.
    pub annotations: Vec<Annotation>,
    /// Texts that were documents or search results.
    pub documents: BTreeSet<Place>,
    /// `cache_control` marks.
    pub marks: Vec<Mark>,
    /// Blocks of reasoning that only their maker can read.
    pub num_redacted: usize,
}

/// Where a `cache_control` mark stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Behind all of a message.
    Message(usize),
    /// Behind one piece.
    Place(Place),
}

impl Mark {
    /// Whether a piece stands in front of the mark.
    pub fn covers(self, place: Place) -> bool {
        match self {
            Self::Message(marked) => place.message().is_none_or(|message| message <= marked),
            Self::Place(marked) => place.rank() <= marked.rank(),
        }
    }
}

impl Notes {
    /// The number that a message has in the request; none for one that was not in its `messages`.
    pub fn origin(&self, message: usize) -> Option<usize> {
        self.origins.get(message).copied().flatten()
    }
}

/// What was noted of one object.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) is_marked: bool,
    pub(super) annotation: Option<Annotation>,
}

impl Noted {
    /// Takes mark and note out of an object.
    ///
    /// # Errors
    /// When one of them is not what it should be, by its path.
    pub(super) fn take(
        object: &mut Map<String, Value>,
        path: &str,
        target: Target,
    ) -> Result<Self, ApiError> {
        let is_marked = take_mark(object, path)?;
        let annotation = match remove(object, "context") {
            None => None,
            Some(note) => {
                let mut fields = Fields::from_value(format!("{path}.context"), note)?;
                let annotation = annotation(&mut fields, target)?;
                fields.finish(&[], &[])?;
                Some(annotation)
            }
        };
        Ok(Self {
            is_marked,
            annotation,
        })
    }

    /// Says it of `place`.
    pub(super) fn put(self, place: Place, notes: &mut Notes) {
        if self.is_marked {
            notes.marks.push(Mark::Place(place));
        }
        if let Some(annotation) = self.annotation {
            let target = Target::Place(place);
            notes.annotations.push(Annotation {
                target,
                ..annotation
            });
        }
    }
}

/// Takes out Anthropic's `{"type": "ephemeral", "ttl": "5m" | "1h"}`; whether it was there.
///
/// # Errors
/// When it is something else.
pub(super) fn take_mark(object: &mut Map<String, Value>, path: &str) -> Result<bool, ApiError> {
    let Some(mark) = remove(object, "cache_control") else {
        return Ok(false);
    };
    check_mark(&mark, format!("{path}.cache_control"))?;
    Ok(true)
}

/// Checks a mark.
///
/// # Errors
/// When it is none.
pub(super) fn check_mark(mark: &Value, path: String) -> Result<(), ApiError> {
    let has_ttl = mark["ttl"].is_null() || matches!(mark["ttl"].as_str(), Some("5m" | "1h"));
    let has_no_more = mark.as_object().is_some_and(|fields| {
        let known = |name: &String| matches!(name.as_str(), "type" | "ttl");
        fields.keys().all(known)
    });
    if mark["type"] == "ephemeral" && has_ttl && has_no_more {
        return Ok(());
    }
    let message =
        format!("`{path}` must be {{\"type\": \"ephemeral\"}}, with a `ttl` of 5m or 1h.");
    Err(ApiError::field(path, message))
}

fn remove(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    object.shift_remove(name).filter(|value| !value.is_null())
}
