//! A message as a stream of events.

use serde_json::{Value, json};

use super::{begun, block_id, usage};
use crate::answer::{AnswerEvent, Begin, BlockEvent, BlockKind, Blocks, Finish, Part, Rounds};
use crate::app::App;
use crate::routes::exchange::{Told, Writer};
use crate::routes::identity::Identity;
use crate::sse::Named;
use crate::wire::error::ApiError;
use crate::wire::message::{self, MessageUsage, begun_block, block_delta, error_body};

/// Writes `message_start`, the events of each block, `message_delta` and `message_stop`.
pub(super) struct MessageWriter {
    app: App,
    identity: Identity,
    stop_sequences: Vec<String>,
    told: Told,
    blocks: Blocks,
    /// The block that is open.
    open: Option<BlockKind>,
    /// Blocks that have begun.
    num_blocks: usize,
    has_begun: bool,
    finish: Option<Finish>,
}

/// An error in the middle of a stream.
pub(super) fn failure(error: &ApiError) -> Named {
    event("error", &error_body(error))
}

impl MessageWriter {
    pub(super) fn new(
        app: App,
        identity: Identity,
        stop_sequences: Vec<String>,
        told: Told,
    ) -> Self {
        Self {
            app,
            identity,
            stop_sequences,
            told,
            blocks: Blocks::default(),
            open: None,
            num_blocks: 0,
            has_begun: false,
            finish: None,
        }
    }

    /// The stream of an answer that no model gives.
    pub(super) fn whole(&mut self, text: &str) -> Vec<Named> {
        let begin = Begin {
            prompt_tokens: 0,
            cached_tokens: 0,
        };
        let mut events = self.begin(begin);
        events.extend(self.part(Part::Content(text.to_owned())));
        events.extend(self.finish(Finish::UNCOMPUTED));
        events.extend(self.stop(0));
        events
    }

    fn begin(&mut self, begin: Begin) -> Vec<Named> {
        if std::mem::replace(&mut self.has_begun, true) {
            // A request that had to give its blocks back begins once more.
            return Vec::new();
        }
        let usage = MessageUsage::new(begin.prompt_tokens, begin.cached_tokens, 0, 0);
        let message = begun(&self.identity, usage);
        vec![
            event("message_start", &json!({"message": message})),
            event("ping", &json!({})),
        ]
    }

    fn part(&mut self, part: Part) -> Vec<Named> {
        let events = self.blocks.push(part);
        self.blocks(events)
    }

    fn blocks(&mut self, events: Vec<BlockEvent>) -> Vec<Named> {
        events
            .into_iter()
            .flat_map(|event| self.block(event))
            .collect()
    }

    fn block(&mut self, happened: BlockEvent) -> Vec<Named> {
        let index = self.num_blocks.saturating_sub(1);
        let delta = |delta: Value| {
            event(
                "content_block_delta",
                &json!({"index": index, "delta": delta}),
            )
        };
        match (happened, self.open.take()) {
            (BlockEvent::Start(kind), _) => {
                let index = self.num_blocks;
                self.num_blocks += 1;
                let block = begun_block(&kind, &block_id(&kind, &self.identity));
                self.open = Some(kind);
                let body = json!({"index": index, "content_block": block});
                vec![event("content_block_start", &body)]
            }
            (BlockEvent::Delta(text), Some(kind)) => {
                let told = delta(block_delta(&kind, &text));
                self.open = Some(kind);
                vec![told]
            }
            (BlockEvent::Stop, Some(kind)) => {
                let signature = json!({"type": "signature_delta", "signature": self.identity.id});
                let signed = (kind == BlockKind::Reasoning).then(|| delta(signature));
                let stop = event("content_block_stop", &json!({"index": index}));
                signed.into_iter().chain([stop]).collect()
            }
            (BlockEvent::Delta(_) | BlockEvent::Stop, None) => Vec::new(),
        }
    }

    fn finish(&mut self, finish: Finish) -> Vec<Named> {
        if let Some(report) = &mut self.told.report {
            report.set_prefill(finish.prefill_step_time);
        }
        self.finish = Some(finish);
        let events = self.blocks.finish();
        self.blocks(events)
    }

    fn stop(&self, prompt_tokens: usize) -> Vec<Named> {
        let Some(finish) = &self.finish else {
            return Vec::new();
        };
        let (reason, sequence) = message::stop(finish, &self.stop_sequences);
        let mut body = json!({
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": usage(prompt_tokens, finish),
        });
        self.told.put_into(&mut body);
        if let Some(cache) = self.told.explain_cache(&self.app, &self.identity.id) {
            body["cache"] = cache;
        }
        vec![
            event("message_delta", &body),
            event("message_stop", &json!({})),
        ]
    }
}

impl Writer for MessageWriter {
    type Item = Named;

    fn take(&mut self, event: AnswerEvent) -> Vec<Named> {
        match event {
            AnswerEvent::Admitted(begin) => self.begin(begin),
            AnswerEvent::Delta { parts, .. } => {
                parts.into_iter().flat_map(|part| self.part(part)).collect()
            }
            AnswerEvent::Scored(scored) => {
                self.told.judge(&self.app, &scored);
                Vec::new()
            }
            AnswerEvent::Finished(finish) => self.finish(finish),
            AnswerEvent::Failed(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &ApiError) -> Vec<Named> {
        vec![failure(error)]
    }

    fn end(&mut self, answers: &Rounds) -> Vec<Named> {
        if let Some(report) = &mut self.told.report {
            report.set_server_tools(answers);
        }
        self.stop(answers.prompt_tokens())
    }
}

/// An event, whose data repeats its name.
fn event(name: &'static str, fields: &Value) -> Named {
    let mut data = json!({"type": name});
    if let (Some(data), Some(fields)) = (data.as_object_mut(), fields.as_object()) {
        data.extend(fields.clone());
    }
    Named {
        name,
        data: data.to_string(),
    }
}
