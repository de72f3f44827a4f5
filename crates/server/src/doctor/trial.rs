//! One request on the engine, to see what the forecast is worth.

use std::sync::mpsc::{self, Sender};

use anyhow::{Context, bail};
use engine::{Completion, EngineHandle, Event, EventSink, GenerateRequest, TokenId};
use serde::Serialize;

use super::forecast::Forecast;

/// How long prompt and answer are, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) prompt: usize,
    pub(super) output: usize,
}

/// What a request took.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Trial {
    /// Tokens of the prompt, none of them cached.
    pub(super) prompt_tokens: usize,
    /// Tokens of the answer.
    pub(super) output_tokens: usize,
    /// Prompt tokens computed per second.
    pub(super) prefill_tokens_per_second: f64,
    /// Tokens generated per second after the first.
    pub(super) decode_tokens_per_second: f64,
}

impl Length {
    /// As much as takes about a second each, if the forecast is right; not too little to measure.
    pub(super) fn for_a_second(forecast: &Forecast) -> Self {
        let tokens = |rate: f64, most: usize| (rate as usize).clamp(16, most);
        // Half of the longest sequence for the prompt, and a quarter for the answer.
        let longest = forecast.max_model_len;
        Self {
            prompt: tokens(forecast.prefill_tokens_per_second, 512).min((longest / 2).max(1)),
            output: tokens(forecast.decode_tokens_per_second, 64).min((longest / 4).max(2)),
        }
    }
}

/// Runs a short request, which is not counted, and one of `length`.
///
/// # Errors
/// When the engine refuses or fails.
pub(super) fn run(
    engine: &EngineHandle,
    vocab_size: usize,
    length: Length,
) -> anyhow::Result<Trial> {
    let short = Length {
        prompt: length.prompt.min(32),
        output: 2,
    };
    complete(engine, vocab_size, short, b"doctor: first")?;
    let completion = complete(engine, vocab_size, length, b"doctor: measured")?;
    let prefill = completion.prefill_step_time.as_secs_f64();
    let decode = completion.decode_time.as_secs_f64();
    let decoded = completion.completion_tokens.saturating_sub(1);
    Ok(Trial {
        prompt_tokens: completion.prompt_tokens,
        output_tokens: completion.completion_tokens,
        prefill_tokens_per_second: completion.prompt_tokens as f64 / prefill.max(1e-9),
        decode_tokens_per_second: decoded as f64 / decode.max(1e-9),
    })
}

fn complete(
    engine: &EngineHandle,
    vocab_size: usize,
    length: Length,
    salt: &[u8],
) -> anyhow::Result<Completion> {
    let (sender, events) = mpsc::channel();
    // Tokens far from each other; which ones they are does not change what computing them takes.
    let tokens = (0..length.prompt).map(|at| (at * 7_919 + 1) % vocab_size);
    let prompt = tokens.map(|token| TokenId(token as u32)).collect();
    let request = GenerateRequest {
        cache_salt: salt.to_vec(),
        ..GenerateRequest::greedy(prompt, length.output, Box::new(Channel(sender)))
    };
    engine.submit(request).context("submitting a request")?;
    for event in events {
        match event {
            Event::Finished(completion) => return Ok(completion),
            Event::Failed(error) => return Err(error).context("running a request"),
            Event::Admitted(_) | Event::Scored(_) | Event::Embedded(_) | Event::Token(_) => {}
        }
    }
    bail!("the engine ended before the request did")
}

/// Hands every event on.
struct Channel(Sender<Event>);

impl EventSink for Channel {
    fn send(&mut self, event: Event) {
        // Whoever waits for the end listens until then.
        let _ = self.0.send(event);
    }

    fn is_closed(&self) -> bool {
        false
    }
}
