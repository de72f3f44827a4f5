//! One answer in the making.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::{Event, FinishReason, PromptLogprob, RequestError, TokenLogprobs, TokenOutput};
use text::{AnswerParser, AnswerPart, Detokenizer, StopMatcher};

use crate::budget::drift::Recorder;
use crate::metrics::RequestMetrics;
use crate::records::RecordWriter;
use crate::traces::RequestTrace;
use crate::wire::error::ApiError;

/// What has become of a choice.
#[derive(Clone, Debug)]
pub enum AnswerEvent {
    /// More of the answer. The parts may be empty while text is held back.
    Delta {
        /// The choice.
        index: usize,
        /// Text, reasoning and tool calls.
        parts: Vec<Part>,
        /// The token behind it, when log probabilities were asked for.
        token: Option<TokenPiece>,
    },
    /// The engine has begun with the first choice.
    Admitted(Begin),
    /// The prompt has been computed, and with it how likely some of its tokens are.
    Scored(Vec<PromptLogprob>),
    /// The choice has ended.
    Finished(Finish),
    /// The choice has no answer.
    Failed(ApiError),
}

/// What is known when the engine begins with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// How many of them are taken from the prefix cache.
    pub cached_tokens: usize,
}

/// A piece of an answer.
pub type Part = AnswerPart;

/// A token with its log probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenPiece {
    /// Its id.
    pub token: u32,
    /// Its log probabilities.
    pub logprobs: TokenLogprobs,
}

/// How a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish {
    /// The choice.
    pub index: usize,
    /// Why.
    pub reason: FinishedAs,
    /// Which of the request's stop strings has ended it.
    pub stop_string: Option<usize>,
    /// Prompt tokens taken from the prefix cache.
    pub cached_tokens: usize,
    /// Tokens generated.
    pub completion_tokens: usize,
    /// Tokens of the prompt that are retained.
    pub retained_tokens: usize,
    /// How long the steps took that computed the prompt.
    pub prefill_step_time: Duration,
}

impl Finish {
    /// Of an answer that no model gives: nothing was computed.
    pub const UNCOMPUTED: Self = Self {
        index: 0,
        reason: FinishedAs::Stop,
        stop_string: None,
        cached_tokens: 0,
        completion_tokens: 0,
        retained_tokens: 0,
        prefill_step_time: Duration::ZERO,
    };
}

/// OpenAI's `finish_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishedAs {
    /// A stop token or stop string.
    Stop,
    /// No tokens were left.
    Length,
    /// The answer calls tools.
    ToolCalls,
}

impl FinishedAs {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// The state of a choice between events.
pub(super) struct Choice {
    pub(super) index: usize,
    pub(super) detokenizer: Detokenizer,
    pub(super) stops: StopMatcher,
    pub(super) parser: AnswerParser,
    /// Tokens before which stop strings are not looked for.
    pub(super) min_tokens: usize,
    pub(super) prompt_tokens: usize,
    pub(super) ended: Arc<AtomicBool>,
    pub(super) metrics: RequestMetrics,
    pub(super) record: RecordWriter,
    /// Held until the record is written: it stands behind it because fields are dropped in order.
    pub(super) _trace: RequestTrace,
    pub(super) cached_tokens: usize,
    pub(super) num_tokens: usize,
    pub(super) retained_tokens: usize,
    /// Known with the first token, or with an end before it.
    pub(super) prefill_step_time: Option<Duration>,
    pub(super) called: bool,
    /// Whether the client has asked for log probabilities.
    pub(super) tells_logprobs: bool,
    /// Takes down how likely the answer was.
    pub(super) recorder: Option<Recorder>,
}

impl Choice {
    /// Takes an event of the engine and returns what follows from it.
    pub(super) fn take(&mut self, event: Event) -> Vec<AnswerEvent> {
        if self.ended.load(Ordering::Relaxed) {
            // What the engine computed before it noticed that the choice has ended.
            return Vec::new();
        }
        match event {
            Event::Admitted(admission) => {
                self.cached_tokens = admission.cached_tokens;
                self.metrics.admitted(&admission, self.prompt_tokens);
                self.record.admitted(&admission);
                let begin = Begin {
                    prompt_tokens: self.prompt_tokens,
                    cached_tokens: self.cached_tokens,
                };
                let is_first = self.index == 0;
                is_first
                    .then_some(AnswerEvent::Admitted(begin))
                    .into_iter()
                    .collect()
            }
            // No answer asks for it.
            Event::Embedded(_) => Vec::new(),
            Event::Scored(scored) => vec![AnswerEvent::Scored(scored)],
            Event::Token(output) => self.token(output),
            Event::Finished(completion) => {
                self.prefilled(Some(completion.prefill_step_time));
                self.num_tokens = completion.completion_tokens;
                self.retained_tokens = completion.retained_tokens;
                self.ended.store(true, Ordering::Relaxed);
                let reason = match completion.reason {
                    FinishReason::Stop(_) => FinishedAs::Stop,
                    FinishReason::Length => FinishedAs::Length,
                };
                let held = self.detokenizer.finish();
                let (mut parts, stop_string) = self.watch(&held);
                let reason = stop_string.map_or(reason, |_| FinishedAs::Stop);
                parts.extend(self.flush());
                self.metrics.completed(&completion);
                self.record.completed(&completion);
                if let Some(recorder) = self.recorder.take().filter(|_| stop_string.is_none()) {
                    recorder.keep();
                }
                self.end(parts, reason, stop_string)
            }
            Event::Failed(error) => {
                self.ended.store(true, Ordering::Relaxed);
                match error {
                    RequestError::Refused(_) => {
                        self.metrics.refused();
                        self.record.refused(error.to_string());
                    }
                    _ => {
                        self.metrics.failed();
                        self.record.failed(error.to_string());
                    }
                }
                vec![AnswerEvent::Failed(error.into())]
            }
        }
    }

    fn token(&mut self, output: TokenOutput) -> Vec<AnswerEvent> {
        self.num_tokens += 1;
        self.prefilled(output.prefill.map(|prefill| prefill.step_time));
        let ttft = self.metrics.token();
        let token = output.token.0;
        self.record.token(token, ttft, output.prefill.as_ref());
        if let Some(prefill) = output.prefill {
            self.retained_tokens = prefill.retained_tokens;
        }
        if let (Some(recorder), Some(logprobs)) = (&mut self.recorder, &output.logprobs) {
            recorder.push(token, logprobs.chosen);
        }
        let text = self.detokenizer.push(token);
        let (mut parts, stop_string) = self.watch(&text);
        let told = output.logprobs.filter(|_| self.tells_logprobs);
        let token = told.map(|logprobs| TokenPiece { token, logprobs });
        if stop_string.is_none() {
            return vec![AnswerEvent::Delta {
                index: self.index,
                parts,
                token,
            }];
        }
        self.ended.store(true, Ordering::Relaxed);
        parts.extend(self.flush());
        self.metrics.stopped();
        let mut events = vec![AnswerEvent::Delta {
            index: self.index,
            parts,
            token,
        }];
        events.extend(self.end(Vec::new(), FinishedAs::Stop, stop_string));
        events
    }

    fn prefilled(&mut self, step_time: Option<Duration>) {
        if let (None, Some(time)) = (self.prefill_step_time, step_time) {
            self.prefill_step_time = Some(time);
            self.metrics.prefilled(time);
        }
    }

    /// Passes text through the stop strings and the parser, and tells which stop string has ended
    /// the answer.
    fn watch(&mut self, text: &str) -> (Vec<Part>, Option<usize>) {
        if self.num_tokens < self.min_tokens {
            return (self.parse(text), None);
        }
        let delta = self.stops.push(text);
        (self.parse(&delta.text), delta.matched)
    }

    fn parse(&mut self, text: &str) -> Vec<Part> {
        let parts = self.parser.push(text);
        self.note_calls(parts)
    }

    /// What stop strings and parser have held back.
    fn flush(&mut self) -> Vec<Part> {
        let held = self.stops.finish();
        let mut parts = self.parse(&held);
        parts.extend(self.parser.finish());
        self.note_calls(parts)
    }

    fn note_calls(&mut self, parts: Vec<Part>) -> Vec<Part> {
        self.called |= parts
            .iter()
            .any(|part| matches!(part, Part::CallStart { .. }));
        parts
    }

    fn end(
        &mut self,
        parts: Vec<Part>,
        reason: FinishedAs,
        stop_string: Option<usize>,
    ) -> Vec<AnswerEvent> {
        let reason = match reason {
            FinishedAs::Stop if self.called => FinishedAs::ToolCalls,
            other => other,
        };
        self.record.finished(reason.as_str());
        let mut events = Vec::new();
        if !parts.is_empty() {
            events.push(AnswerEvent::Delta {
                index: self.index,
                parts,
                token: None,
            });
        }
        events.push(AnswerEvent::Finished(Finish {
            index: self.index,
            reason,
            stop_string,
            cached_tokens: self.cached_tokens,
            completion_tokens: self.num_tokens,
            retained_tokens: self.retained_tokens,
            prefill_step_time: self.prefill_step_time.unwrap_or_default(),
        }));
        events
    }
}
