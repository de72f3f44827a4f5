//! All answers to one API request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use context::Window;
use engine::{Event, GenerateRequest, RetentionRequest, StopConditions, TokenId};
use text::{
    AnswerFormat, AnswerParser, Detokenizer, GrammarMatcher, SpecialTokenText, StopMatcher,
};
use tokio::sync::mpsc;

use super::choice::{AnswerEvent, Choice};
use super::sink::ChoiceSink;
use crate::app::App;
use crate::auth::Caller;
use crate::budget::drift::Recording;
use crate::metrics::Forecast;
use crate::records::{Origin, RecordWriter};
use crate::traces::RequestTrace;
use crate::validate::sampling::Generation;
use crate::wire::error::ApiError;
use crate::{grammars, thinking};

/// What is asked of the engine: `generation.n` answers to each prompt.
pub struct Order<'a> {
    /// Prompts as token ids.
    pub prompts: Vec<Vec<u32>>,
    /// How to answer.
    pub generation: &'a Generation,
    /// Output tokens when the request does not say.
    pub default_max_tokens: Option<usize>,
    /// What `generation.grammar` has been compiled to.
    pub grammar: Option<&'a GrammarMatcher>,
    /// How the answer is written.
    pub format: AnswerFormat<'a>,
    /// What prompt and output may have together.
    pub window: Window,
    /// Tokens of output that the engine keeps room for.
    pub min_output_tokens: usize,
    /// Who asks.
    pub caller: &'a Caller,
    /// Where the request comes from; `None` keeps no record of it.
    pub origin: Option<&'a Origin>,
    /// What follows the request that it is asked for.
    pub trace: RequestTrace,
    /// Requests to the engine that were made for it before; their number is part of a record's name.
    pub num_before: usize,
    /// What of the prompts is kept beyond its turn.
    pub retention: Option<RetentionRequest>,
    /// Positions of tokens of the first prompt whose log probability is wanted, ascending.
    pub scored: Vec<usize>,
    /// Where it is kept how likely the answers were.
    pub recording: Option<Recording>,
}

/// The answers as they are made. Dropping it cancels what still runs.
pub struct Answers {
    events: mpsc::Receiver<(usize, Event)>,
    choices: Vec<Choice>,
    ready: VecDeque<AnswerEvent>,
    /// Tokens of all prompts.
    prompt_tokens: usize,
    /// Tokens that the answers to the first prompt may have.
    max_tokens: usize,
    /// Answers to each prompt.
    n: usize,
    num_finished: usize,
}

impl Answers {
    /// Submits the requests; choice `p * n + i` is answer `i` to prompt `p`.
    ///
    /// # Errors
    /// When a prompt is empty or does not fit, or the engine refuses; nothing is left running.
    pub fn submit(app: &App, order: &Order<'_>) -> Result<Self, ApiError> {
        let num_prompts = order.prompts.len();
        order
            .trace
            .asks(app.model().name(), order.generation, num_prompts);
        let outputs = output_tokens(order)?;
        let n = order.generation.n;
        // Room for every event of every choice, so that the engine never finds the channel full.
        let capacity: usize = outputs.iter().map(|output| n * (output + 4)).sum();
        let (sender, events) = mpsc::channel(capacity.min(tokio::sync::Semaphore::MAX_PERMITS));
        let seed = order.generation.seed.unwrap_or_else(|| app.draw_seed());
        let mut choices = Vec::new();
        let prompt_tokens = order.prompts.iter().map(Vec::len).sum();
        for (prompt, &max_tokens) in order.prompts.iter().zip(&outputs) {
            for answer in 0..n {
                let index = choices.len();
                let mut choice = choice(app, order, index, prompt, max_tokens)?;
                let sink = ChoiceSink {
                    index,
                    events: sender.clone(),
                    ended: Arc::clone(&choice.ended),
                };
                let seed = seed.wrapping_add(answer as u64);
                let request = GenerateRequest {
                    prompt: prompt.iter().copied().map(TokenId).collect(),
                    // The other answers find the prompt in the cache.
                    retention: order.retention.clone().filter(|_| answer == 0),
                    scored: match choices.is_empty() {
                        true => order.scored.clone(),
                        false => Vec::new(),
                    },
                    ..order.request(app, seed, max_tokens, Box::new(sink))
                };
                let submitted = app.engine().submit(request);
                match submitted {
                    Ok(id) => choice.record.submitted(id),
                    Err(refusal) => {
                        choice.metrics.refused();
                        choice.record.refused(refusal.to_string());
                        return Err(refusal.into());
                    }
                }
                choices.push(choice);
            }
        }
        let ready = VecDeque::new();
        Ok(Self {
            events,
            choices,
            ready,
            prompt_tokens,
            max_tokens: outputs.first().copied().unwrap_or(0),
            n,
            num_finished: 0,
        })
    }

    /// Compares the first answer with what was said of the request before it ran.
    pub fn expect(&mut self, forecast: Forecast) {
        if let Some(first) = self.choices.first_mut() {
            first.metrics.expect(forecast);
        }
    }

    /// Waits until the engine has said something, or `patience` is over. A refusal usually arrives
    /// in this time, when it can still be an HTTP status.
    ///
    /// # Errors
    /// The refusal.
    pub async fn first_word(&mut self, patience: Duration) -> Result<(), ApiError> {
        match tokio::time::timeout(patience, self.events.recv()).await {
            Ok(Some((index, event))) => {
                self.take(index, event);
                match self.ready.front() {
                    Some(AnswerEvent::Failed(error)) => Err(error.clone()),
                    _ => Ok(()),
                }
            }
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// The next event; `None` when all choices have ended. Safe to cancel.
    pub async fn next(&mut self) -> Option<AnswerEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.num_finished += usize::from(matches!(event, AnswerEvent::Finished(_)));
                return Some(event);
            }
            if self.num_finished == self.choices.len() {
                return None;
            }
            let (index, event) = self.events.recv().await?;
            self.take(index, event);
        }
    }

    /// Tokens of all prompts, each once however many answers it has.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// Tokens that an answer to the first prompt may have.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Number of choices.
    pub fn num_choices(&self) -> usize {
        self.choices.len()
    }

    /// Choices whose end [`Answers::next`] has told.
    pub fn num_finished(&self) -> usize {
        self.num_finished
    }

    /// Whether the choice is the first answer to its prompt.
    pub fn is_first_of_prompt(&self, index: usize) -> bool {
        index.is_multiple_of(self.n)
    }

    fn take(&mut self, index: usize, event: Event) {
        let events = self.choices[index].take(event);
        self.ready.extend(events);
    }
}

impl Order<'_> {
    /// A request to the engine without its prompt.
    fn request(
        &self,
        app: &App,
        seed: u64,
        max_tokens: usize,
        sink: Box<ChoiceSink>,
    ) -> GenerateRequest {
        let generation = self.generation;
        let mut sampling = generation.sampling.clone();
        sampling.seed = seed;
        if self.recording.is_some() {
            sampling.logprobs.get_or_insert(0);
        }
        GenerateRequest {
            prompt: Vec::new(),
            sampling,
            stop: stop_conditions(generation, max_tokens),
            priority: generation.priority,
            cache_salt: self.caller.cache_salt(&generation.cache_salt),
            adapter: generation
                .adapter
                .as_ref()
                .map(|adapter| adapter.handle.clone()),
            min_output_tokens: self.min_output_tokens.min(max_tokens),
            background: false,
            constraint: thinking::constraint(
                app.model(),
                &self.format,
                generation.thinking_budget,
                self.grammar.map(grammars::constraint),
            ),
            retention: None,
            scored: Vec::new(),
            embed: false,
            sink,
        }
    }

    /// Where the request to the engine for a choice comes from. The first has the answer's name, the
    /// others a number behind it.
    fn record_origin(&self, index: usize) -> Option<Origin> {
        let mut origin = self.origin?.clone();
        let number = self.num_before + index;
        if number > 0 {
            origin.id = format!("{}.{number}", origin.id);
        }
        Some(origin)
    }
}

fn stop_conditions(generation: &Generation, max_tokens: usize) -> StopConditions {
    StopConditions {
        max_tokens,
        min_tokens: generation.min_tokens,
        stop_token_ids: generation.stop_token_ids.clone(),
    }
}

/// Output tokens of each prompt.
fn output_tokens(order: &Order<'_>) -> Result<Vec<usize>, ApiError> {
    order
        .prompts
        .iter()
        .map(|prompt| {
            if prompt.is_empty() {
                return Err(ApiError::field("prompt", "The prompt has no tokens."));
            }
            order
                .window
                .output_tokens(
                    prompt.len(),
                    order.generation.max_tokens,
                    order.default_max_tokens,
                )
                .map_err(ApiError::context_length)
        })
        .collect()
}

fn choice(
    app: &App,
    order: &Order<'_>,
    index: usize,
    prompt: &[u32],
    max_tokens: usize,
) -> Result<Choice, ApiError> {
    let generation = order.generation;
    let model = app.model();
    let special = if generation.skip_special_tokens {
        SpecialTokenText::Skip
    } else {
        SpecialTokenText::Keep
    };
    let stops = StopMatcher::new(generation.stop.clone(), generation.include_stop)
        .map_err(|error| ApiError::field("stop", error.to_string()))?;
    let markers = order.format.special_markers();
    let record = match order.record_origin(index) {
        Some(origin) => app.records().begin(origin, prompt),
        None => RecordWriter::silent(),
    };
    if let Some(record) = record.record() {
        order.trace.submits(record);
    }
    Ok(Choice {
        index,
        detokenizer: Detokenizer::new(&model.tokenizer, special).keeping(&markers),
        stops,
        parser: AnswerParser::new(&order.format),
        min_tokens: generation.min_tokens,
        prompt_tokens: prompt.len(),
        ended: Arc::new(AtomicBool::new(false)),
        metrics: app.metrics().request_started(max_tokens),
        record,
        _trace: order.trace.clone(),
        cached_tokens: 0,
        num_tokens: 0,
        retained_tokens: 0,
        prefill_step_time: None,
        called: false,
        tells_logprobs: generation.sampling.logprobs.is_some(),
        recorder: order.recording.as_ref().map(Recording::recorder),
    })
}
