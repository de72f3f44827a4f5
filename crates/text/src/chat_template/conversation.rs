//! What happens to messages before the template sees them.

use serde_json::{Map, Value as Json, json};

use super::TemplateError;

/// What a template makes of a message's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentShape {
    /// It takes text and parts.
    Any,
    /// Parts must be joined to text.
    Text,
    /// Text must be made a part.
    Parts,
}

/// A final message that the model is to continue.
pub(super) struct OpenMessage {
    /// The message as it was.
    text: String,
}

/// Put at the end of the message that is continued, to find its end in the rendered text.
const CONTINUE_TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// Names of a message's reasoning; the first is the one that most templates read.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Finds out what the template does with content, by rendering a message both ways.
pub(super) fn probe_content_shape(render: impl Fn(Json) -> Option<String>) -> ContentShape {
    const MARK: &str = "content probe";
    let shows = |content: Json| {
        let text = render(json!({"role": "user", "content": content})).unwrap_or_default();
        // A template that prints the list itself prints the part's fields, as Python or as JSON.
        let printed = text.contains("'text': 'content probe'");
        let dumped = text.contains("\"text\": \"content probe\"");
        text.contains(MARK) && !printed && !dumped
    };
    match (
        shows(json!(MARK)),
        shows(json!([{"type": "text", "text": MARK}])),
    ) {
        (true, true) => ContentShape::Any,
        (false, true) => ContentShape::Parts,
        (_, false) => ContentShape::Text,
    }
}

/// Messages in OpenAI's shape, as templates take them.
pub(super) fn prepare(messages: &[Json], shape: ContentShape) -> Vec<Json> {
    let mut messages = messages.to_vec();
    for message in messages.iter_mut().filter_map(Json::as_object_mut) {
        if let Some(content) = message.get_mut("content") {
            shape_content(content, shape);
        }
        let calls = message.get_mut("tool_calls").and_then(Json::as_array_mut);
        for call in calls.into_iter().flatten() {
            let arguments = call.pointer_mut("/function/arguments");
            arguments.into_iter().for_each(parse_arguments);
        }
    }
    messages
}

/// Drops null fields, and fills in the other names of the reasoning.
pub(super) fn normalise(messages: &[Json]) -> Result<Vec<Map<String, Json>>, TemplateError> {
    if messages.is_empty() {
        return Err(TemplateError::NoMessages);
    }
    let normalised = messages.iter().map(|message| {
        let fields = message
            .as_object()
            .ok_or(TemplateError::NotObjects("messages"))?;
        let mut fields = fields.clone();
        fields.retain(|_, value| !value.is_null());
        let reasoning = REASONING.iter().find_map(|name| fields.get(*name)).cloned();
        if let Some(reasoning) = reasoning {
            if !fields.contains_key("thinking") {
                fields.shift_insert(0, "thinking".into(), reasoning.clone());
            }
            fields.insert("reasoning_content".into(), reasoning);
        }
        Ok(fields)
    });
    normalised.collect()
}

/// Marks the end of the last message's content.
pub(super) fn tag_final_message(
    messages: &mut [Map<String, Json>],
    source: &str,
) -> Result<OpenMessage, TemplateError> {
    let content = messages.last_mut().and_then(|last| last.get_mut("content"));
    let content = content.ok_or(TemplateError::Continue("the last message has no content"))?;
    if !source.contains("content") {
        return Err(TemplateError::Continue(
            "the chat template does not show content",
        ));
    }
    let text = match content {
        Json::Array(parts) => parts.iter_mut().rev().find_map(|part| part.get_mut("text")),
        other => Some(other),
    };
    match text {
        Some(Json::String(text)) => {
            let open = OpenMessage { text: text.clone() };
            text.push_str(CONTINUE_TAG);
            Ok(open)
        }
        _ => Err(TemplateError::Continue("the last message has no text")),
    }
}

impl OpenMessage {
    /// Cuts the rendered conversation where the message ends.
    pub(super) fn cut(&self, mut rendered: String) -> Result<String, TemplateError> {
        let tag_at = rendered.rfind(CONTINUE_TAG.trim_end());
        let Some(tag_at) = tag_at.filter(|_| rendered.contains(self.text.trim())) else {
            return Err(TemplateError::Continue(
                "the chat template does not show the last message",
            ));
        };
        let spacing_kept = rendered[tag_at..].starts_with(CONTINUE_TAG);
        rendered.truncate(tag_at);
        if !spacing_kept {
            rendered.truncate(rendered.trim_end().len());
        }
        Ok(rendered)
    }
}

fn shape_content(content: &mut Json, shape: ContentShape) {
    match (shape, &*content) {
        (ContentShape::Text, Json::Array(parts)) => {
            let texts: Option<Vec<&str>> = parts.iter().map(part_text).collect();
            if let Some(texts) = texts {
                *content = Json::String(texts.join("\n"));
            }
        }
        (ContentShape::Parts, Json::String(text)) => {
            *content = json!([{"type": "text", "text": text}]);
        }
        _ => {}
    }
}

fn part_text(part: &Json) -> Option<&str> {
    match part {
        Json::String(text) => Some(text),
        _ if part.get("type").and_then(Json::as_str) == Some("text") => {
            part.get("text").and_then(Json::as_str)
        }
        _ => None,
    }
}

fn parse_arguments(arguments: &mut Json) {
    let Some(text) = arguments.as_str() else {
        return;
    };
    if text.trim().is_empty() {
        *arguments = Json::Object(Map::new());
    } else if let Ok(object) = serde_json::from_str::<Map<String, Json>>(text) {
        *arguments = Json::Object(object);
    }
}
