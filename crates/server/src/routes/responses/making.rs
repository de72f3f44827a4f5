//! A response in the making.

use engine::PromptLogprob;
use memory::Tenant;
use serde_json::{Map, Value, json};

use crate::answer::{Block, BlockEvent, BlockKind, Blocks, Finish, Part, Rounds};
use crate::app::App;
use crate::routes::exchange::{Told, ToldReport};
use crate::routes::identity::Identity;
use crate::stored_responses::StoredResponse;
use crate::wire::response::{self, ItemIds, ResponseUsage};

/// What a response is of its request.
pub(super) struct Frame {
    pub(super) tenant: Tenant,
    pub(super) is_stored: bool,
    pub(super) previous: Option<String>,
    pub(super) input: Vec<Value>,
    pub(super) messages: Vec<Value>,
    pub(super) repeated: Map<String, Value>,
}

/// A response that grows with its answer.
pub(super) struct Making {
    app: App,
    identity: Identity,
    frame: Frame,
    told: Told,
    blocks: Blocks,
    output: Vec<(Block, ItemIds)>,
    is_thinking: bool,
    reasoning_tokens: usize,
    finish: Option<Finish>,
}

impl Making {
    pub(super) fn new(app: App, identity: Identity, frame: Frame, told: Told) -> Self {
        Self {
            app,
            identity,
            frame,
            told,
            blocks: Blocks::default(),
            output: Vec::new(),
            is_thinking: false,
            reasoning_tokens: 0,
            finish: None,
        }
    }

    /// What a piece of the answer does to the output; [`Self::grow`] does it.
    pub(super) fn push(&mut self, part: Part) -> Vec<BlockEvent> {
        self.blocks.push(part)
    }

    /// Counts a token of the answer, whose pieces have been taken.
    pub(super) fn count_token(&mut self) {
        self.reasoning_tokens += usize::from(self.is_thinking);
    }

    pub(super) fn judge(&mut self, scored: &[PromptLogprob]) {
        self.told.judge(&self.app, scored);
    }

    /// The answer has ended; what that does to the output.
    pub(super) fn finish(&mut self, finish: Finish) -> Vec<BlockEvent> {
        if let Some(report) = &mut self.told.report {
            report.set_prefill(finish.prefill_step_time);
        }
        self.finish = Some(finish);
        self.blocks.finish()
    }

    /// An answer that no model gives.
    pub(super) fn say(&mut self, text: String) -> Vec<BlockEvent> {
        let mut events = self.push(Part::Content(text));
        events.extend(self.finish(Finish::UNCOMPUTED));
        events
    }

    /// The item that grows, and its number.
    pub(super) fn last(&self) -> Option<(usize, &Block, &ItemIds)> {
        let (block, ids) = self.output.last()?;
        Some((self.output.len() - 1, block, ids))
    }

    /// The response as it is while it is made.
    pub(super) fn begun(&self) -> Value {
        let mut response = json!({
            "id": self.identity.id,
            "object": "response",
            "created_at": self.identity.created,
            "status": "in_progress",
            "background": false,
            "error": null,
            "incomplete_details": null,
            "model": self.identity.model,
            "output": [],
            "service_tier": "default",
            "truncation": "disabled",
            "usage": null,
        });
        if let Some(fields) = response.as_object_mut() {
            fields.extend(self.frame.repeated.clone());
        }
        response
    }

    /// The response that has failed.
    pub(super) fn failed(&self, code: &str, message: &str) -> Value {
        let mut response = self.begun();
        response["status"] = "failed".into();
        response["error"] = json!({"code": code, "message": message});
        response["output"] = self.items("incomplete");
        response
    }

    /// The complete response, which is kept if the request does not say otherwise. `answers` is none
    /// where no model was asked.
    pub(super) fn end(&mut self, answers: Option<&Rounds>) -> Value {
        let finish = self.finish.unwrap_or(Finish::UNCOMPUTED);
        if let (Some(report), Some(answers)) = (&mut self.told.report, answers) {
            report.set_server_tools(answers);
        }
        let (status, details) = response::status(&finish);
        let usage = ResponseUsage::new(
            answers.map_or(0, Rounds::prompt_tokens),
            finish.cached_tokens,
            finish.completion_tokens,
            self.reasoning_tokens.min(finish.completion_tokens),
        );
        let mut response = self.begun();
        response["status"] = status.into();
        response["incomplete_details"] = details;
        response["output"] = self.items(status);
        response["usage"] = json!(usage);
        if let Some(report) = self.told.report.as_ref().map(ToldReport::to_json) {
            response["context_budget"] = report;
        }
        if let Some(cache) = self.told.explain_cache(&self.app, &self.identity.id) {
            response["cache"] = cache;
        }
        // What no model has said is no turn to go on from.
        if self.frame.is_stored && answers.is_some() {
            self.keep(&response);
        }
        response
    }

    /// The items of the output; the last one has the status of the whole.
    fn items(&self, status: &str) -> Value {
        let last = self.output.len().saturating_sub(1);
        let items = self.output.iter().enumerate().map(|(index, (block, ids))| {
            let status = if index == last { status } else { "completed" };
            response::item(block, ids, status)
        });
        Value::Array(items.collect())
    }

    fn keep(&mut self, response: &Value) {
        let mut messages = std::mem::take(&mut self.frame.messages);
        messages.push(response::as_message(&self.output));
        let stored = StoredResponse {
            response: response.clone(),
            input: named(std::mem::take(&mut self.frame.input)),
            messages,
            previous: self.frame.previous.clone(),
        };
        let store = self.app.responses();
        store.put(self.frame.tenant, &self.identity.id, stored);
    }

    /// Does to the output what has happened.
    pub(super) fn grow(&mut self, event: &BlockEvent) {
        match event {
            BlockEvent::Start(kind) => {
                self.is_thinking = *kind == BlockKind::Reasoning;
                let ids = ItemIds {
                    item: Identity::item(kind),
                    call: Identity::call(),
                };
                let block = Block {
                    kind: kind.clone(),
                    text: String::new(),
                };
                self.output.push((block, ids));
            }
            BlockEvent::Delta(text) => {
                if let Some((block, _)) = self.output.last_mut() {
                    block.text.push_str(text);
                }
            }
            BlockEvent::Stop => self.is_thinking = false,
        }
    }
}

/// The items of a request with the ids that those have which come without.
fn named(mut items: Vec<Value>) -> Vec<Value> {
    for item in &mut items {
        let kind = item["type"].as_str().unwrap_or("message").to_owned();
        if item.get("id").is_none_or(Value::is_null) {
            item["id"] = Identity::input_item(&kind).into();
        }
        item["type"] = kind.into();
    }
    items
}
