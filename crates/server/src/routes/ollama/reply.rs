//! An answer in the words of Ollama's API: lines of a stream, or one that has all.

use std::time::{Duration, Instant};

use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::answer::{
    AnswerEvent, Block, BlockEvent, BlockKind, Blocks, Finish, FinishedAs, Rounds,
};
use crate::clock;
use crate::routes::exchange::Writer;
use crate::wire::error::ApiError;

/// Where the answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// In `message`.
    Chat,
    /// In `response`.
    Generate,
}

/// An answer in the making.
pub(super) struct Reply {
    shape: Shape,
    model: String,
    started: Instant,
    first_token: Option<Instant>,
    blocks: Blocks,
    /// All blocks so far.
    said: Vec<Block>,
    finish: Option<Finish>,
}

impl Shape {
    /// Where it is asked for.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/api/chat",
            Self::Generate => "/api/generate",
        }
    }
}

impl Reply {
    /// Of a model of this name.
    pub(super) fn new(model: String, shape: Shape) -> Self {
        Self {
            shape,
            model,
            started: clock::now(),
            first_token: None,
            blocks: Blocks::default(),
            said: Vec::new(),
            finish: None,
        }
    }

    /// The answer to nothing: the model is loaded.
    pub(super) fn loaded(&self) -> Value {
        let mut line = self.line(Vec::new());
        line["done"] = true.into();
        line["done_reason"] = "load".into();
        line
    }

    /// The whole answer.
    pub(super) fn whole(&mut self, prompt_tokens: usize) -> Value {
        let said = std::mem::take(&mut self.said);
        let mut line = self.line(said);
        self.close(&mut line, prompt_tokens);
        line
    }

    /// An answer that no model gives.
    pub(super) fn declined(&mut self, text: String) -> Value {
        let mut line = self.line(vec![Block {
            kind: BlockKind::Text,
            text,
        }]);
        self.close(&mut line, 0);
        line
    }

    /// The same as a stream.
    pub(super) fn declined_lines(&mut self, text: String) -> Vec<Value> {
        let mut last = self.line(Vec::new());
        self.close(&mut last, 0);
        let mut first = self.declined(text);
        first = json!({"model": first["model"], "created_at": first["created_at"],
            self.field(): first[self.field()], "done": false});
        vec![first, last]
    }

    fn field(&self) -> &'static str {
        match self.shape {
            Shape::Chat => "message",
            Shape::Generate => "response",
        }
    }

    /// Takes what happens to a block, and tells what is said at once: text as it comes, calls when
    /// they are complete.
    fn happened(&mut self, event: BlockEvent) -> Option<Block> {
        Block::collect(&mut self.said, event.clone());
        let last = self.said.last()?;
        let is_call = matches!(last.kind, BlockKind::Call(_));
        match event {
            BlockEvent::Delta(text) if !is_call => Some(Block {
                kind: last.kind.clone(),
                text,
            }),
            BlockEvent::Stop if is_call => Some(last.clone()),
            _ => None,
        }
    }

    fn lines_of(&mut self, events: Vec<BlockEvent>) -> Vec<Value> {
        let told: Vec<Block> = events
            .into_iter()
            .filter_map(|event| self.happened(event))
            .collect();
        told.into_iter()
            .map(|block| self.line(vec![block]))
            .collect()
    }

    /// A line that says these blocks.
    fn line(&self, blocks: Vec<Block>) -> Value {
        let (mut content, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
        for block in blocks {
            match &block.kind {
                BlockKind::Text => content += &block.text,
                BlockKind::Reasoning => thinking += &block.text,
                BlockKind::Call(name) => {
                    let arguments = block.arguments();
                    calls.push(json!({"function": {"name": name, "arguments": arguments}}));
                }
            }
        }
        let created_at = chrono::Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let mut line = json!({"model": self.model, "created_at": created_at});
        let holder = match self.shape {
            Shape::Chat => {
                line["message"] = json!({"role": "assistant", "content": content});
                &mut line["message"]
            }
            Shape::Generate => {
                line["response"] = content.into();
                &mut line
            }
        };
        if !thinking.is_empty() {
            holder["thinking"] = thinking.into();
        }
        if !calls.is_empty() {
            holder["tool_calls"] = calls.into();
        }
        line["done"] = false.into();
        line
    }

    /// Makes a line the last one.
    fn close(&self, line: &mut Value, prompt_tokens: usize) {
        let now = clock::now();
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let finish = self.finish.as_ref();
        let reason = match finish.map(|finish| finish.reason) {
            Some(FinishedAs::Length) => "length",
            _ => "stop",
        };
        let decode = self.first_token.map_or(Duration::ZERO, |first| now - first);
        let prefill = finish.map_or(Duration::ZERO, |finish| finish.prefill_step_time);
        line["done"] = true.into();
        line["done_reason"] = reason.into();
        line["total_duration"] = nanoseconds(now - self.started).into();
        line["load_duration"] = 0.into();
        line["prompt_eval_count"] = prompt_tokens.into();
        line["prompt_eval_duration"] = nanoseconds(prefill).into();
        line["eval_count"] = finish.map_or(0, |finish| finish.completion_tokens).into();
        line["eval_duration"] = nanoseconds(decode).into();
    }
}

impl Writer for Reply {
    type Item = Value;

    fn take(&mut self, event: AnswerEvent) -> Vec<Value> {
        match event {
            AnswerEvent::Delta { parts, .. } => {
                self.first_token.get_or_insert_with(clock::now);
                let events = parts.into_iter().flat_map(|part| self.blocks.push(part));
                let events = events.collect();
                self.lines_of(events)
            }
            AnswerEvent::Finished(finish) => {
                self.finish = Some(finish);
                let events = self.blocks.finish();
                self.lines_of(events)
            }
            AnswerEvent::Admitted(_) | AnswerEvent::Scored(_) => Vec::new(),
            AnswerEvent::Failed(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &ApiError) -> Vec<Value> {
        vec![json!({"error": error.message()})]
    }

    fn end(&mut self, answers: &Rounds) -> Vec<Value> {
        let mut line = self.line(Vec::new());
        self.close(&mut line, answers.prompt_tokens());
        vec![line]
    }
}
