//! One episode under one policy: its turns one after the other, then its questions.

use serde::Serialize;
use serde_json::{Map, Value};

use super::asker::{Asker, Outcome, Prompt, Request};
use super::compose::{self, ANSWER_TOKENS, Composed, Limits, ReportLevel};
use super::error::EvalError;
use super::failures::{self, Cause};
use super::message::{Message, Role};
use super::policy::Policy;
use super::rendered::{Moment, Rendered};
use super::scoring::is_right;
use super::trace::Trace;
use super::trimmed::Kept;
use crate::measure::client::StreamAnswer;

/// Tokens of the answers of a replay, which the recorded ones replace.
pub(super) const TURN_TOKENS: u32 = 1;

/// An episode that is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replay<'a> {
    pub(super) asker: &'a Asker,
    pub(super) trace: &'a Trace,
    pub(super) rendered: &'a Rendered,
    /// Its number in the run.
    pub(super) number: usize,
    /// More fields of `context_budget`.
    pub(super) settings: &'a Map<String, Value>,
}

/// What a history may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Budget {
    /// Of the whole episode.
    pub(super) percent: u32,
    /// Of prompt and answer together.
    pub(super) tokens: usize,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Run {
    /// Number of the episode.
    pub(super) trace: usize,
    pub(super) policy: Policy,
    /// `None` for policies without one.
    pub(super) budget: Option<Budget>,
    pub(super) turns: Vec<Turn>,
    pub(super) probes: Vec<Probe>,
}

/// One turn of the replay; tokens as the server counts them.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Turn {
    pub(super) prompt_tokens: u64,
    pub(super) cached_tokens: u64,
    pub(super) ttft_ms: f64,
    /// Edits in the server's report.
    pub(super) edits: usize,
    /// What the server's report says was computed; `None` without a report.
    pub(super) prefilled_reported: Option<u64>,
    /// How long the server's report says that computing takes; `None` without a report.
    pub(super) predicted_prefill_ms: Option<f64>,
    /// How long the server's report says that planning took; `None` without a report.
    pub(super) planning_ms: Option<f64>,
    /// Why there is no answer.
    pub(super) refused: Option<String>,
}

/// One question.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Probe {
    /// Number of the fact in its episode.
    pub(super) fact: usize,
    pub(super) answer: String,
    pub(super) right: bool,
    pub(super) prompt_tokens: u64,
    pub(super) cached_tokens: u64,
    /// What became of the fact; `None` for right answers.
    pub(super) cause: Option<Cause>,
}

impl Replay<'_> {
    /// Replays and asks under `policy`, which is not [`Policy::Oracle`].
    ///
    /// # Errors
    /// When the server cannot be reached or breaks off.
    pub(super) async fn run(
        self,
        policy: Policy,
        budget: Option<Budget>,
        kept: Option<&Kept>,
    ) -> Result<Run, EvalError> {
        let limits = |report: ReportLevel| Limits {
            budget: budget.map_or(usize::MAX, |budget| budget.tokens),
            settings: self.settings,
            report,
        };
        let salt = self.salt(policy.name(), budget);
        let mut turns = Vec::new();
        for (at, answer) in self.trace.turns().into_iter().enumerate() {
            let moment = self.rendered.turn(self.trace, answer);
            let kept = kept.map(|kept| kept.turns[at].as_slice());
            let limits = limits(ReportLevel::Summary);
            let composed = compose::compose(policy, &moment, limits, kept);
            let request = request(composed, TURN_TOKENS, &salt);
            turns.push(Turn::of(self.asker.ask(&request).await?));
        }
        let mut probes = Vec::new();
        for fact in 0..self.trace.facts.len() {
            let question = self.question(fact);
            let moment = self.rendered.probe(self.trace, fact, &question);
            let kept = kept.map(|kept| kept.questions[fact].as_slice());
            let limits = limits(ReportLevel::Full);
            let composed = compose::compose(policy, &moment, limits, kept);
            probes.push(self.probe(fact, composed, &salt, &moment).await?);
        }
        Ok(Run {
            trace: self.number,
            policy,
            budget,
            turns,
            probes,
        })
    }

    /// Asks with nothing but the statements of all facts, or of the one that is asked for.
    ///
    /// # Errors
    /// When the server cannot be reached or breaks off.
    pub(super) async fn oracle(self, all: bool) -> Result<Run, EvalError> {
        let salt = self.salt(if all { "oracle" } else { "gold" }, None);
        let mut probes = Vec::new();
        for (number, planted) in self.trace.facts.iter().enumerate() {
            let facts = self
                .trace
                .facts
                .iter()
                .filter(|other| all || *other == planted);
            let statements: Vec<&str> = facts
                .map(|planted| planted.fact.statement.as_str())
                .filter(|statement| !statement.is_empty())
                .collect();
            let question = self.question(number);
            let composed = Composed {
                prompt: compose::oracle(&statements, self.trace, &question),
                context_budget: None,
            };
            let moment = self.rendered.probe(self.trace, number, &question);
            probes.push(self.probe(number, composed, &salt, &moment).await?);
        }
        Ok(Run {
            trace: self.number,
            policy: Policy::Oracle,
            budget: None,
            turns: Vec::new(),
            probes,
        })
    }

    fn question(self, fact: usize) -> Message {
        Message::new(Role::User, &self.trace.facts[fact].fact.question)
    }

    fn salt(self, policy: &str, budget: Option<Budget>) -> String {
        let percent = budget.map_or(100, |budget| budget.percent);
        format!("{}-{policy}-{percent}", self.number)
    }

    async fn probe(
        self,
        fact: usize,
        composed: Composed,
        salt: &str,
        moment: &Moment<'_>,
    ) -> Result<Probe, EvalError> {
        let planted = &self.trace.facts[fact];
        let request = request(composed, ANSWER_TOKENS as u32, salt);
        let answer = match self.asker.ask(&request).await? {
            Outcome::Answer(answer) => answer,
            Outcome::Refused(refusal) => {
                return Ok(Probe {
                    fact,
                    answer: String::new(),
                    right: false,
                    prompt_tokens: 0,
                    cached_tokens: 0,
                    cause: Some(Cause::Refused {
                        message: refusal.message,
                    }),
                });
            }
        };
        let right = is_right(&planted.fact, &answer.text);
        let cause = match (right, &answer.context_budget) {
            (true, _) => None,
            (false, Some(report)) => Some(failures::in_report(report, planted, moment)),
            (false, None) => Some(failures::in_prompt(
                &self.text_of(&request.prompt).await,
                &planted.fact,
            )),
        };
        Ok(Probe {
            fact,
            right,
            prompt_tokens: answer.usage.prompt_tokens.unwrap_or(0),
            cached_tokens: answer.usage.cached_tokens.unwrap_or(0),
            answer: answer.text,
            cause,
        })
    }

    /// What the model has read, as far as it can be told.
    async fn text_of(self, prompt: &Prompt) -> Option<String> {
        match prompt {
            Prompt::Chat(messages) => {
                let contents = messages.as_array()?.iter();
                let contents = contents.filter_map(|message| message["content"].as_str());
                Some(contents.collect::<Vec<_>>().join("\n"))
            }
            Prompt::Tokens(tokens) => self.asker.text(tokens).await,
        }
    }
}

impl Turn {
    fn of(outcome: Outcome) -> Self {
        let answer: StreamAnswer = match outcome {
            Outcome::Answer(answer) => *answer,
            Outcome::Refused(refusal) => {
                return Self {
                    refused: Some(refusal.message),
                    ..Self::default()
                };
            }
        };
        let report = answer.context_budget.unwrap_or(Value::Null);
        Self {
            prompt_tokens: answer.usage.prompt_tokens.unwrap_or(0),
            cached_tokens: answer.usage.cached_tokens.unwrap_or(0),
            ttft_ms: answer.ttft.as_secs_f64() * 1e3,
            edits: number_of_edits(&report),
            prefilled_reported: report["cache"]["prefilled"].as_u64(),
            predicted_prefill_ms: report["cost"]["predicted_prefill_ms"].as_f64(),
            planning_ms: report["cost"]["planning_ms"].as_f64(),
            refused: None,
        }
    }

    /// Tokens that had to be computed.
    pub(super) fn prefilled(&self) -> u64 {
        self.prompt_tokens.saturating_sub(self.cached_tokens)
    }
}

/// A summary says how many there are, a full report what they are.
fn number_of_edits(report: &Value) -> usize {
    match &report["edits"] {
        Value::Array(edits) => edits.len(),
        count => count.as_u64().map_or(0, |count| count as usize),
    }
}

fn request(composed: Composed, max_tokens: u32, salt: &str) -> Request {
    Request {
        prompt: composed.prompt,
        max_tokens,
        salt: salt.to_owned(),
        context_budget: composed.context_budget,
    }
}
