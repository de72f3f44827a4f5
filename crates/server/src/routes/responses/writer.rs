//! A response as a stream of events.

use serde_json::{Value, json};

use super::making::Making;
use crate::answer::{AnswerEvent, Block, BlockEvent, BlockKind, Part, Rounds};
use crate::routes::exchange::Writer;
use crate::sse::Named;
use crate::wire::error::ApiError;
use crate::wire::response::{self, ItemIds};

/// Writes the events of a response, numbered.
pub(super) struct ResponseWriter {
    making: Making,
    /// Events so far.
    num_events: usize,
}

/// An error in the middle of a stream.
pub(super) fn failure(error: &ApiError, sequence_number: usize) -> Named {
    let body = error.body();
    let error = &body["error"];
    let data = json!({"type": "error", "sequence_number": sequence_number, "code": error["code"],
        "message": error["message"], "param": error["param"]});
    Named {
        name: "error",
        data: data.to_string(),
    }
}

impl ResponseWriter {
    pub(super) fn new(making: Making) -> Self {
        Self {
            making,
            num_events: 0,
        }
    }

    /// The events with which a stream begins.
    pub(super) fn begin(&mut self) -> Vec<Named> {
        let response = self.making.begun();
        ["response.created", "response.in_progress"]
            .map(|name| self.event(name, json!({"response": response})))
            .into()
    }

    /// The stream of an answer that no model gives.
    pub(super) fn whole(mut self, text: String) -> Vec<Named> {
        let mut events = self.begin();
        let said = self.making.say(text);
        events.extend(self.blocks(&said));
        events.extend(self.done(None));
        events
    }

    fn done(&mut self, answers: Option<&Rounds>) -> Vec<Named> {
        let response = self.making.end(answers);
        let name = match response["status"].as_str() {
            Some("incomplete") => "response.incomplete",
            _ => "response.completed",
        };
        vec![self.event(name, json!({"response": response}))]
    }

    fn parts(&mut self, parts: Vec<Part>) -> Vec<Named> {
        let mut told = Vec::new();
        for part in parts {
            let events = self.making.push(part);
            told.extend(self.blocks(&events));
        }
        self.making.count_token();
        told
    }

    /// Each event is told before the next one changes the output.
    fn blocks(&mut self, events: &[BlockEvent]) -> Vec<Named> {
        let mut told = Vec::new();
        for event in events {
            self.making.grow(event);
            told.extend(self.block(event));
        }
        told
    }

    /// What happens to the last item.
    fn block(&mut self, happened: &BlockEvent) -> Vec<Named> {
        let Some((index, block, ids)) = self.making.last() else {
            return Vec::new();
        };
        let (block, ids) = (block.clone(), ids.clone());
        match happened {
            BlockEvent::Start(_) => self.start(index, &block, &ids),
            BlockEvent::Delta(text) => {
                let name = delta_name(&block.kind);
                let mut body = place(index, &block.kind, &ids);
                body["delta"] = text.as_str().into();
                if block.kind == BlockKind::Text {
                    body["logprobs"] = json!([]);
                }
                vec![self.event(name, body)]
            }
            BlockEvent::Stop => self.stop(index, &block, &ids),
        }
    }

    fn start(&mut self, index: usize, block: &Block, ids: &ItemIds) -> Vec<Named> {
        let empty = Block {
            kind: block.kind.clone(),
            text: String::new(),
        };
        let item = response::item(&empty, ids, "in_progress");
        let added = json!({"output_index": index, "item": item});
        let mut events = vec![self.event("response.output_item.added", added)];
        if !matches!(block.kind, BlockKind::Call(_)) {
            let mut body = place(index, &block.kind, ids);
            body["part"] = response::part(&block.kind, "");
            events.push(self.event("response.content_part.added", body));
        }
        events
    }

    fn stop(&mut self, index: usize, block: &Block, ids: &ItemIds) -> Vec<Named> {
        let mut body = place(index, &block.kind, ids);
        let mut events = Vec::new();
        match &block.kind {
            BlockKind::Call(name) => {
                body["name"] = name.as_str().into();
                body["arguments"] = block.text.as_str().into();
                events.push(self.event("response.function_call_arguments.done", body));
            }
            BlockKind::Text => {
                let mut part = body.clone();
                body["text"] = block.text.as_str().into();
                body["logprobs"] = json!([]);
                events.push(self.event("response.output_text.done", body));
                part["part"] = response::part(&block.kind, &block.text);
                events.push(self.event("response.content_part.done", part));
            }
            BlockKind::Reasoning => {
                let mut part = body.clone();
                body["text"] = block.text.as_str().into();
                events.push(self.event("response.reasoning_text.done", body));
                part["part"] = response::part(&block.kind, &block.text);
                events.push(self.event("response.content_part.done", part));
            }
        }
        let item = response::item(block, ids, "completed");
        let done = json!({"output_index": index, "item": item});
        events.push(self.event("response.output_item.done", done));
        events
    }

    fn event(&mut self, name: &'static str, fields: Value) -> Named {
        let mut data = json!({"type": name, "sequence_number": self.num_events});
        self.num_events += 1;
        if let (Some(data), Value::Object(fields)) = (data.as_object_mut(), fields) {
            data.extend(fields);
        }
        Named {
            name,
            data: data.to_string(),
        }
    }
}

impl Writer for ResponseWriter {
    type Item = Named;

    fn take(&mut self, event: AnswerEvent) -> Vec<Named> {
        match event {
            AnswerEvent::Admitted(_) => Vec::new(),
            AnswerEvent::Delta { parts, .. } => self.parts(parts),
            AnswerEvent::Scored(scored) => {
                self.making.judge(&scored);
                Vec::new()
            }
            AnswerEvent::Finished(finish) => {
                let events = self.making.finish(finish);
                self.blocks(&events)
            }
            AnswerEvent::Failed(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &ApiError) -> Vec<Named> {
        let response = self.making.failed("server_error", error.message());
        vec![self.event("response.failed", json!({"response": response}))]
    }

    fn end(&mut self, answers: &Rounds) -> Vec<Named> {
        self.done(Some(answers))
    }
}

/// Where something happens.
fn place(index: usize, kind: &BlockKind, ids: &ItemIds) -> Value {
    let mut place = json!({"item_id": ids.item, "output_index": index});
    if !matches!(kind, BlockKind::Call(_)) {
        place["content_index"] = 0.into();
    }
    place
}

fn delta_name(kind: &BlockKind) -> &'static str {
    match kind {
        BlockKind::Text => "response.output_text.delta",
        BlockKind::Reasoning => "response.reasoning_text.delta",
        BlockKind::Call(_) => "response.function_call_arguments.delta",
    }
}
