//! What clients write into a conversation for the server: `cache_control` marks and `context`
//! notes. Templates never see them.

use std::collections::BTreeSet;
use std::time::Duration;

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
    /// Lines of the system prompt that are for an account and not for a model.
    pub num_billing_lines: usize,
}

/// A `cache_control` mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Where it stands.
    pub place: MarkPlace,
    /// How long what stands before it is kept.
    pub ttl: CacheTtl,
}

/// How long a marked prefix is kept after its last use, in Anthropic's steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheTtl {
    /// `5m`, which is also what a mark without `ttl` means.
    #[default]
    FiveMinutes,
    /// `1h`.
    Hour,
}

impl CacheTtl {
    /// As a time.
    pub fn duration(self) -> Duration {
        match self {
            Self::FiveMinutes => Duration::from_secs(300),
            Self::Hour => Duration::from_secs(3_600),
        }
    }
}

/// Where a `cache_control` mark stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkPlace {
    /// Behind all of a message.
    Message(usize),
    /// Behind one piece.
    Place(Place),
}

impl MarkPlace {
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
    pub(super) mark: Option<CacheTtl>,
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
        let mark = take_mark(object, path)?;
        let annotation = match remove(object, "context") {
            None => None,
            Some(note) => {
                let mut fields = Fields::from_value(format!("{path}.context"), note)?;
                let annotation = annotation(&mut fields, target)?;
                fields.finish(&[], &[])?;
                Some(annotation)
            }
        };
        Ok(Self { mark, annotation })
    }

    /// Says it of `place`.
    pub(super) fn put(self, place: Place, notes: &mut Notes) {
        if let Some(ttl) = self.mark {
            let place = MarkPlace::Place(place);
            notes.marks.push(Mark { place, ttl });
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

/// Takes out Anthropic's `{"type": "ephemeral", "ttl": "5m" | "1h"}`, if it is there.
///
/// # Errors
/// When it is something else.
pub(super) fn take_mark(
    object: &mut Map<String, Value>,
    path: &str,
) -> Result<Option<CacheTtl>, ApiError> {
    let mark = remove(object, "cache_control");
    mark.map(|mark| mark_ttl(&mark, format!("{path}.cache_control")))
        .transpose()
}

/// How long a mark keeps what it marks.
///
/// # Errors
/// When it is none.
pub(super) fn mark_ttl(mark: &Value, path: String) -> Result<CacheTtl, ApiError> {
    let ttl = match mark["ttl"].as_str() {
        None if mark["ttl"].is_null() => Some(CacheTtl::default()),
        Some("5m") => Some(CacheTtl::FiveMinutes),
        Some("1h") => Some(CacheTtl::Hour),
        _ => None,
    };
    let has_no_more = mark.as_object().is_some_and(|fields| {
        let known = |name: &String| matches!(name.as_str(), "type" | "ttl");
        fields.keys().all(known)
    });
    if let Some(ttl) = ttl.filter(|_| mark["type"] == "ephemeral" && has_no_more) {
        return Ok(ttl);
    }
    let message =
        format!("`{path}` must be {{\"type\": \"ephemeral\"}}, with a `ttl` of 5m or 1h.");
    Err(ApiError::field(path, message))
}

fn remove(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    object.shift_remove(name).filter(|value| !value.is_null())
}
