//! An answer that may take several rounds: where the model calls the server's own tools, they are
//! run and it goes on, until it calls tools of the client or calls no more.

use std::time::Duration;

use context::Window;
use serde_json::Value;
use text::GrammarMatcher;

use super::answers::{Answers, Order};
use super::choice::{AnswerEvent, Finish, FinishedAs};
use super::sieve::Sieve;
use crate::app::App;
use crate::auth::Caller;
use crate::budget::server_tools::{ServerRound, ServerTools};
use crate::metrics::Forecast;
use crate::records::Origin;
use crate::traces::RequestTrace;
use crate::validate::sampling::Generation;
use crate::wire::context_report::ServerToolReport;
use crate::wire::error::ApiError;

/// Rounds of the server's tools in one answer: enough to read all that one question is about.
const MAX_ROUNDS: usize = 10;

/// [`Answers`], in which the calls of the server's tools are answered already.
pub struct Rounds {
    answers: Answers,
    serving: Option<Box<Serving>>,
}

/// What it takes to go on after the server's tools were called.
struct Serving {
    app: App,
    caller: Caller,
    origin: Option<Origin>,
    trace: RequestTrace,
    generation: Generation,
    grammar: Option<GrammarMatcher>,
    /// The tools that may be called.
    definitions: Vec<Value>,
    window: Window,
    min_output_tokens: usize,
    /// Tokens that the rounds may generate together.
    max_tokens: usize,
    /// Absent while a call is run.
    tools: Option<ServerTools>,
    sieve: Sieve,
    num_rounds: usize,
    /// Prompts of the rounds before this one.
    prompt_tokens: usize,
    /// Of all rounds that have ended.
    cached_tokens: usize,
    completion_tokens: usize,
    /// Of the first round.
    retained_tokens: Option<usize>,
    /// Of the first round.
    prefill_step_time: Option<Duration>,
}

impl Rounds {
    /// Submits the first round; `tools` are those that the server runs, if it does.
    ///
    /// # Errors
    /// As [`Answers::submit`].
    pub fn submit(
        app: &App,
        order: &Order<'_>,
        tools: Option<ServerTools>,
    ) -> Result<Self, ApiError> {
        let answers = Answers::submit(app, order)?;
        let Some(tools) = tools else {
            let serving = None;
            return Ok(Self { answers, serving });
        };
        let serving = Serving {
            app: app.clone(),
            caller: order.caller.clone(),
            origin: order.origin.cloned(),
            trace: order.trace.clone(),
            generation: order.generation.clone(),
            grammar: order.grammar.map(GrammarMatcher::fork),
            definitions: order.format.tools.to_vec(),
            window: order.window,
            min_output_tokens: order.min_output_tokens,
            max_tokens: answers.max_tokens(),
            tools: Some(tools),
            sieve: Sieve::default(),
            num_rounds: 0,
            prompt_tokens: 0,
            cached_tokens: 0,
            completion_tokens: 0,
            retained_tokens: None,
            prefill_step_time: None,
        };
        Ok(Self {
            answers,
            serving: Some(Box::new(serving)),
        })
    }

    /// Compares the first answer with what was said of the request before it ran.
    pub fn expect(&mut self, forecast: Forecast) {
        self.answers.expect(forecast);
    }

    /// As [`Answers::first_word`].
    ///
    /// # Errors
    /// The refusal.
    pub async fn first_word(&mut self, patience: Duration) -> Result<(), ApiError> {
        self.answers.first_word(patience).await
    }

    /// The next event; `None` when all choices have ended.
    pub async fn next(&mut self) -> Option<AnswerEvent> {
        loop {
            let event = self.answers.next().await?;
            let Some(serving) = &mut self.serving else {
                return Some(event);
            };
            match event {
                AnswerEvent::Delta {
                    index,
                    parts,
                    token,
                } => {
                    let parts = serving.sieve.sift(parts);
                    if !parts.is_empty() || token.is_some() {
                        return Some(AnswerEvent::Delta {
                            index,
                            parts,
                            token,
                        });
                    }
                }
                AnswerEvent::Finished(finish) => {
                    serving.count(&finish);
                    let (round, num_client_calls) = serving.sieve.end_round();
                    let is_waiting = finish.reason == FinishedAs::ToolCalls;
                    if !is_waiting || num_client_calls > 0 {
                        serving.pass_over(&round);
                        return Some(serving.finished(finish.reason, finish.stop_string));
                    }
                    match serving.go_on(round).await {
                        Err(error) => {
                            serving.trace.answers(error.status());
                            return Some(AnswerEvent::Failed(error));
                        }
                        Ok(None) => return Some(serving.finished(FinishedAs::Length, None)),
                        Ok(Some(answers)) => {
                            serving.prompt_tokens += self.answers.prompt_tokens();
                            self.answers = answers;
                        }
                    }
                }
                AnswerEvent::Admitted(_) if serving.num_rounds > 0 => {}
                other @ (AnswerEvent::Admitted(_)
                | AnswerEvent::Scored(_)
                | AnswerEvent::Failed(_)) => return Some(other),
            }
        }
    }

    /// Tokens of the prompts of all rounds so far.
    pub fn prompt_tokens(&self) -> usize {
        let earlier = self
            .serving
            .as_ref()
            .map_or(0, |serving| serving.prompt_tokens);
        earlier + self.answers.prompt_tokens()
    }

    /// Number of choices.
    pub fn num_choices(&self) -> usize {
        self.answers.num_choices()
    }

    /// The calls of the server's tools so far.
    pub fn server_tools(&self) -> &[ServerToolReport] {
        let serving = self.serving.as_ref();
        let tools = serving.and_then(|serving| serving.tools.as_ref());
        tools.map_or(&[], ServerTools::uses)
    }
}

impl Serving {
    fn count(&mut self, finish: &Finish) {
        self.cached_tokens += finish.cached_tokens;
        self.completion_tokens += finish.completion_tokens;
        self.retained_tokens.get_or_insert(finish.retained_tokens);
        self.prefill_step_time
            .get_or_insert(finish.prefill_step_time);
    }

    fn finished(&self, reason: FinishedAs, stop_string: Option<usize>) -> AnswerEvent {
        AnswerEvent::Finished(Finish {
            index: 0,
            reason,
            stop_string,
            cached_tokens: self.cached_tokens,
            completion_tokens: self.completion_tokens,
            retained_tokens: self.retained_tokens.unwrap_or_default(),
            prefill_step_time: self.prefill_step_time.unwrap_or_default(),
        })
    }

    fn pass_over(&mut self, round: &ServerRound) {
        if let Some(tools) = &mut self.tools {
            tools.pass_over(&round.calls);
        }
    }

    /// Runs the calls of a round and submits the next one; `None` if rounds, output or room have
    /// come to an end.
    async fn go_on(&mut self, round: ServerRound) -> Result<Option<Answers>, ApiError> {
        let left = self.max_tokens.saturating_sub(self.completion_tokens);
        if self.num_rounds == MAX_ROUNDS || left == 0 {
            self.pass_over(&round);
            return Ok(None);
        }
        let Some(mut tools) = self.tools.take() else {
            return Ok(None);
        };
        let reserve = self.min_output_tokens.clamp(1, left);
        let app = self.app.clone();
        let work = move || {
            let prompt = tools.go_on(&app, &round, reserve)?;
            Ok((tools, prompt))
        };
        let (tools, prompt) = self.app.text_pool().run(work).await?;
        self.tools = Some(tools);
        let Some(prompt) = prompt else {
            return Ok(None);
        };
        self.num_rounds += 1;
        let room = self.window.tokens.saturating_sub(prompt.len());
        let mut generation = self.generation.clone();
        generation.max_tokens = Some(left.min(room));
        generation.min_tokens = generation
            .min_tokens
            .saturating_sub(self.completion_tokens)
            .min(left.min(room));
        let model = self.app.model();
        let format = model.answer_format(model.preamble(&prompt), &self.definitions);
        let order = Order {
            prompts: vec![prompt],
            generation: &generation,
            default_max_tokens: None,
            grammar: self.grammar.as_ref(),
            format,
            window: self.window,
            min_output_tokens: reserve,
            caller: &self.caller,
            origin: self.origin.as_ref(),
            trace: self.trace.clone(),
            num_before: self.num_rounds,
            retention: None,
            scored: Vec::new(),
            recording: None,
        };
        Answers::submit(&self.app, &order).map(Some)
    }
}
