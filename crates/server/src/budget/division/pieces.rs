//! The pieces that a conversation is planned in, and the zone of each.

use std::collections::HashMap;

use context::{SegmentKind, Tier, Zone, segment_digest};
use serde_json::Value;

use crate::budget::insertion::Insertion;
use crate::budget::place::Place;
use crate::validate::budget::{Annotation, Target};
use crate::validate::chat::Conversation;
use crate::wire::error::ApiError;

/// A piece before its tokens are counted.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::budget) struct Pieced {
    /// Where its text stands.
    pub(in crate::budget) place: Place,
    /// What it is.
    pub(in crate::budget) kind: SegmentKind,
    /// What it is there for.
    pub(in crate::budget) zone: Zone,
    /// What may be done to it, if that is not up to its zone.
    pub(in crate::budget) tier: Option<Tier>,
    /// Where the client says so.
    pub(in crate::budget) tier_path: Option<String>,
    /// Number of its turn.
    pub(in crate::budget) turn: usize,
    /// Whether it belongs to the live turn.
    pub(in crate::budget) live: bool,
    /// Whether the client asked to leave it alone.
    pub(in crate::budget) pinned: bool,
    /// Relevance that the client gave it.
    pub(in crate::budget) score: Option<f64>,
    /// Calls without whose results, and names of pieces without which, it is useless; and where
    /// the client says so.
    pub(in crate::budget) depends_on: Vec<(String, String)>,
    /// A name that the client gave it.
    pub(in crate::budget) id: Option<String>,
    /// The id of its call, for a call and its result.
    pub(in crate::budget) call_id: Option<String>,
    /// Its text; a call's arguments.
    pub(in crate::budget) text: String,
    /// Identity of everything that makes its tokens what they are.
    pub(in crate::budget) digest: [u8; 32],
    /// Whether the server has put it in, for this request only.
    pub(in crate::budget) is_inserted: bool,
}

/// Wrappings of a user's message by which agents mark retrieved text.
const RETRIEVAL_TAGS: [&str; 3] = ["documents", "context", "search_results"];

/// Lists the pieces of a conversation, tools first, then messages in order.
///
/// The first rule that matches gives the zone: annotations; tools; the leading system messages;
/// examples by their names; tool results; documents, and text wrapped as retrieved; the live turn;
/// history. What the server has put in is none of the client's, so annotations do not touch it.
///
/// # Errors
/// An annotation of a message or a call that there is not.
pub(in crate::budget) fn pieces(
    conversation: &Conversation,
    annotations: &[Annotation],
    insertions: &[Insertion],
) -> Result<Vec<Pieced>, ApiError> {
    let mut listing = Listing::new(conversation);
    for tool in 0..conversation.tools.definitions.len() {
        listing.tool(tool);
    }
    for document in 0..conversation.documents.as_ref().map_or(0, Vec::len) {
        listing.document(document);
    }
    for message in 0..conversation.messages.len() {
        listing.message(message);
    }
    listing.insert(insertions);
    listing.annotate(annotations)?;
    Ok(listing.pieces)
}

struct Listing<'a> {
    conversation: &'a Conversation,
    pieces: Vec<Pieced>,
    /// Numbers of calls by their ids.
    calls: HashMap<String, (usize, Box<str>)>,
    num_calls: usize,
    turn: usize,
    /// The first message of the live turn.
    live_from: usize,
    /// The first message that is no system message.
    first_spoken: usize,
}

impl<'a> Listing<'a> {
    fn new(conversation: &'a Conversation) -> Self {
        let role = |message: &Value| message["role"].as_str().unwrap_or_default().to_owned();
        let messages = &conversation.messages;
        let is_system = |message: &Value| matches!(&*role(message), "system" | "developer");
        let live_from = messages.iter().rposition(|message| role(message) == "user");
        let first_spoken = messages.iter().position(|message| !is_system(message));
        Self {
            conversation,
            pieces: Vec::new(),
            calls: HashMap::new(),
            num_calls: 0,
            turn: 0,
            live_from: live_from.unwrap_or(messages.len()),
            first_spoken: first_spoken.unwrap_or(messages.len()),
        }
    }

    fn tool(&mut self, tool: usize) {
        let definition = &self.conversation.tools.definitions[tool];
        let name = definition["function"]["name"].as_str().unwrap_or_default();
        let kind = SegmentKind::Tool { name: name.into() };
        let text = definition.to_string();
        self.push(Place::Tool(tool), kind, Zone::ToolSchemas, text);
    }

    fn document(&mut self, document: usize) {
        let place = Place::Document(document);
        let text = place
            .text(self.conversation)
            .unwrap_or_default()
            .into_owned();
        self.push(place, SegmentKind::Document, Zone::Retrieval, text);
    }

    fn message(&mut self, at: usize) {
        let message = &self.conversation.messages[at];
        let role = message["role"].as_str().unwrap_or_default();
        if role == "user" {
            self.turn += 1;
        }
        let reasoning = Place::Reasoning(at);
        if let Some(text) = reasoning.text(self.conversation) {
            let zone = self.spoken_zone(at, message);
            self.push(reasoning, SegmentKind::Reasoning, zone, text.into_owned());
        }
        // A tool's result is edited as a whole, so its parts are one piece. Others are divided
        // always, and not only where marks ask for it: clients move their marks with every request,
        // and edits of earlier ones are found by the pieces.
        let is_whole = matches!(role, "tool" | "function");
        let contents: Vec<Place> = match message["content"].as_array() {
            Some(parts) if !is_whole => {
                (0..parts.len()).map(|part| Place::Part(at, part)).collect()
            }
            _ => vec![Place::Message(at)],
        };
        for place in contents {
            if let Some(text) = place
                .text(self.conversation)
                .filter(|text| !text.is_empty())
            {
                let text = text.into_owned();
                self.content(place, at, role, text);
            }
        }
        for call in 0..message["tool_calls"].as_array().map_or(0, Vec::len) {
            self.call(at, call);
        }
    }

    fn content(&mut self, place: Place, at: usize, role: &str, text: String) {
        let message = &self.conversation.messages[at];
        let (kind, zone) = match role {
            "system" | "developer" if at < self.first_spoken => (SegmentKind::System, Zone::System),
            "system" | "developer" => (SegmentKind::System, Zone::History),
            "tool" | "function" => (self.result(message), Zone::ToolOutputs),
            "assistant" => (SegmentKind::Assistant, self.spoken_zone(at, message)),
            _ if self.conversation.notes.documents.contains(&place) => {
                (SegmentKind::Document, Zone::Retrieval)
            }
            _ if is_retrieved(&text) && (at < self.live_from || self.is_beside_others(place)) => {
                (SegmentKind::User, Zone::Retrieval)
            }
            _ => (SegmentKind::User, self.spoken_zone(at, message)),
        };
        let is_document = zone == Zone::Retrieval;
        let is_late_rule = kind == SegmentKind::System && zone == Zone::History;
        let call_id = message["tool_call_id"].as_str().map(str::to_owned);
        self.push(place, kind, zone, text);
        if let Some(piece) = self.pieces.last_mut() {
            piece.tier = is_late_rule.then_some(Tier::Protected);
            piece.call_id = call_id;
            // Only now: its digest is the same as when it was the live turn's.
            if is_document {
                piece.kind = SegmentKind::Document;
            }
        }
    }

    /// Whether it is a part of a message that also says something that was not retrieved.
    fn is_beside_others(&self, place: Place) -> bool {
        let Place::Part(message, _) = place else {
            return false;
        };
        let parts = self.conversation.messages[message]["content"].as_array();
        let mut texts = parts
            .into_iter()
            .flatten()
            .filter_map(|part| part["text"].as_str());
        texts.any(|text| !text.trim().is_empty() && !is_retrieved(text))
    }

    fn call(&mut self, at: usize, call: usize) {
        let value = &self.conversation.messages[at]["tool_calls"][call];
        let name: Box<str> = value["function"]["name"]
            .as_str()
            .unwrap_or_default()
            .into();
        let text = match &value["function"]["arguments"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let id = value["id"].as_str().map(str::to_owned);
        let number = self.num_calls;
        self.num_calls += 1;
        if let Some(id) = &id {
            self.calls.insert(id.clone(), (number, name.clone()));
        }
        let zone = self.spoken_zone(at, &self.conversation.messages[at]);
        let kind = SegmentKind::ToolCall { name, call: number };
        self.push(Place::Call(at, call), kind, zone, text);
        if let Some(piece) = self.pieces.last_mut() {
            piece.call_id = id;
        }
    }

    /// What a tool's result is; one without a known call gets a number of its own.
    fn result(&mut self, message: &Value) -> SegmentKind {
        let id = message["tool_call_id"].as_str();
        let (call, name) = match id.and_then(|id| self.calls.get(id)) {
            Some((call, name)) => (*call, name.clone()),
            None => {
                let number = self.num_calls;
                self.num_calls += 1;
                (number, message["name"].as_str().unwrap_or_default().into())
            }
        };
        SegmentKind::ToolResult {
            name,
            call,
            recallable: true,
        }
    }

    /// The zone of what a user or the model says.
    fn spoken_zone(&self, at: usize, message: &Value) -> Zone {
        let name = message["name"].as_str().unwrap_or_default();
        if at >= self.live_from {
            Zone::LiveTurn
        } else if matches!(name, "example_user" | "example_assistant") {
            Zone::Examples
        } else {
            Zone::History
        }
    }

    fn push(&mut self, place: Place, kind: SegmentKind, zone: Zone, text: String) {
        let role = place
            .message()
            .and_then(|at| self.conversation.messages[at]["role"].as_str());
        // Not the number of its call: a call that is made again has the same result.
        let label = match &kind {
            SegmentKind::ToolCall { name, .. } => format!("call of {name}"),
            SegmentKind::ToolResult { name, .. } => format!("result of {name}"),
            other => format!("{other:?}"),
        };
        let digest = segment_digest(&[
            role.unwrap_or_default().as_bytes(),
            label.as_bytes(),
            text.as_bytes(),
        ]);
        self.pieces.push(Pieced {
            live: place.message().is_some_and(|at| at >= self.live_from),
            turn: self.turn,
            place,
            kind,
            zone,
            tier: None,
            tier_path: None,
            pinned: false,
            score: None,
            depends_on: Vec::new(),
            id: None,
            call_id: None,
            text,
            digest,
            is_inserted: false,
        });
    }

    /// Sets apart what the server has put in.
    fn insert(&mut self, insertions: &[Insertion]) {
        for insertion in insertions {
            let mut pieces = self.pieces.iter_mut();
            if let Some(piece) = pieces.find(|piece| piece.place == insertion.place) {
                piece.kind = insertion.kind.clone();
                piece.zone = insertion.zone.clone();
                piece.is_inserted = true;
            }
        }
    }

    /// Applies what the client says of single messages and results; the last word counts.
    fn annotate(&mut self, annotations: &[Annotation]) -> Result<(), ApiError> {
        for annotation in annotations {
            self.check_target(annotation)?;
            for piece in &mut self.pieces {
                let message = piece.place.message();
                let is_meant = match &annotation.target {
                    Target::Place(place) => piece.place == *place,
                    Target::Message(at) => {
                        let origin = message.and_then(|at| self.conversation.notes.origin(at));
                        origin == Some(*at)
                    }
                    Target::ToolCall(id) => {
                        let is_result = matches!(piece.kind, SegmentKind::ToolResult { .. });
                        is_result && piece.call_id.as_deref() == Some(id)
                    }
                };
                if is_meant && !piece.is_inserted {
                    piece.apply(annotation);
                }
            }
        }
        Ok(())
    }

    fn check_target(&self, annotation: &Annotation) -> Result<(), ApiError> {
        let Annotation { target, path, .. } = annotation;
        let notes = &self.conversation.notes;
        let messages = 0..self.conversation.messages.len();
        let (is_known, path, message) = match target {
            Target::Place(_) => return Ok(()),
            Target::Message(at) => (
                messages
                    .rev()
                    .any(|message| notes.origin(message) == Some(*at)),
                format!("{path}.message_index"),
                format!("there is no message {at}"),
            ),
            Target::ToolCall(id) => (
                self.pieces
                    .iter()
                    .any(|piece| piece.call_id.as_ref() == Some(id)),
                format!("{path}.tool_call_id"),
                format!("there is no call {id:?}"),
            ),
        };
        if is_known {
            return Ok(());
        }
        let message = format!("`{path}`: {message}.");
        Err(ApiError::field(path, message))
    }
}

impl Pieced {
    fn apply(&mut self, annotation: &Annotation) {
        if let Some(zone) = &annotation.zone {
            self.zone = zone.clone();
        }
        if let Some(tier) = annotation.tier {
            self.tier = Some(tier);
            self.tier_path = Some(format!("{}.tier", annotation.path));
        }
        self.score = annotation.score.or(self.score);
        self.pinned |= annotation.pin.unwrap_or(false);
        let paths = (0..).map(|at| format!("{}.depends_on[{at}]", annotation.path));
        let needed = annotation.depends_on.iter().cloned().zip(paths);
        self.depends_on.extend(needed);
        self.id = annotation.id.clone().or(self.id.take());
        match (&self.kind, &annotation.zone) {
            (SegmentKind::User, Some(Zone::Retrieval)) => self.kind = SegmentKind::Document,
            (SegmentKind::User, Some(Zone::Memory)) => self.kind = SegmentKind::Memory,
            _ => {}
        }
        if let SegmentKind::ToolResult { recallable, .. } = &mut self.kind {
            *recallable = annotation.recallable.unwrap_or(*recallable);
        }
    }
}

/// Whether the whole text is wrapped in a tag of retrieved text.
fn is_retrieved(text: &str) -> bool {
    let text = text.trim();
    RETRIEVAL_TAGS.iter().any(|tag| {
        text.strip_prefix(&format!("<{tag}>"))
            .is_some_and(|rest| rest.ends_with(&format!("</{tag}>")))
    })
}
