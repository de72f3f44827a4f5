//! A whole engine that decodes, with the time between its forward passes.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use engine::{
    EngineHandle, EngineThread, Event, EventSink, GenerateRequest, SamplingParams, SchedulerConfig,
    TokenId,
};
use kernels::{KernelError, StepBatch};
use models::{
    Device, Dtype, KvCacheDtype, Limits, LoadOptions, Logits, ModelRunner, Quantization, SumOrder,
};
use serde::Serialize;

use crate::model_under_test::source;
use crate::quantiles::Quantiles;
use crate::stopwatch::Stopwatch;
use crate::workload::token;

const BLOCK_SIZE: usize = 16;
const PROMPT_TOKENS: usize = 32;

/// A way of choosing tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// The likeliest token.
    Greedy,
    /// Any token, at temperature 0.8.
    Temperature,
    /// As `Temperature`, of the likeliest tokens that have 95 % of the probability.
    TopP,
    /// As `Temperature`, of the 40 likeliest tokens.
    TopK,
    /// As `Temperature`, of tokens at least 5 % as likely as the likeliest.
    MinP,
    /// The likeliest token after penalties for those that were there before.
    Penalties,
    /// The likeliest token, with the log probabilities of five.
    Logprobs,
}

impl Sampling {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Greedy,
        Self::Temperature,
        Self::TopP,
        Self::TopK,
        Self::MinP,
        Self::Penalties,
        Self::Logprobs,
    ];

    fn params(self, seed: u64) -> SamplingParams {
        let greedy = SamplingParams::greedy();
        let warm = SamplingParams {
            temperature: 0.8,
            seed,
            ..greedy.clone()
        };
        match self {
            Self::Greedy => greedy,
            Self::Temperature => warm,
            Self::TopP => SamplingParams {
                top_p: 0.95,
                ..warm
            },
            Self::TopK => SamplingParams {
                top_k: Some(40),
                ..warm
            },
            Self::MinP => SamplingParams {
                min_p: 0.05,
                ..warm
            },
            Self::Penalties => SamplingParams {
                repetition_penalty: 1.1,
                frequency_penalty: 0.1,
                ..greedy
            },
            Self::Logprobs => SamplingParams {
                logprobs: Some(5),
                ..greedy
            },
        }
    }
}

impl std::fmt::Display for Sampling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value().ok_or(std::fmt::Error)?;
        f.write_str(value.get_name())
    }
}

/// Medians over the decoding steps.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shares {
    /// Of a forward pass.
    pub forward_seconds: f64,
    /// From the end of one to the start of the next.
    pub between_seconds: f64,
    /// The second over their sum.
    pub between_share: f64,
}

/// A forward pass.
struct Pass {
    tokens: usize,
    start: Duration,
    end: Duration,
}

/// All of them.
type Passes = Arc<Mutex<Vec<Pass>>>;

/// An engine on a model that notes its passes.
pub struct DecodingEngine {
    handle: EngineHandle,
    thread: EngineThread,
    passes: Passes,
    description: String,
    vocab_size: usize,
    tokens: usize,
}

struct NotingRunner {
    inner: Box<dyn ModelRunner>,
    stopwatch: Stopwatch,
    passes: Passes,
}

impl ModelRunner for NotingRunner {
    fn forward(&mut self, batch: &StepBatch) -> Result<Logits<'_>, KernelError> {
        let start = self.stopwatch.elapsed();
        let logits = self.inner.forward(batch)?;
        let end = self.stopwatch.elapsed();
        let mut passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        passes.push(Pass {
            tokens: batch.num_tokens(),
            start,
            end,
        });
        Ok(logits)
    }
}

struct Sink(Sender<Event>);

impl EventSink for Sink {
    fn send(&mut self, event: Event) {
        // Nobody listens any more once the measurement has failed.
        let _ = self.0.send(event);
    }

    fn is_closed(&self) -> bool {
        false
    }
}

impl DecodingEngine {
    /// Loads `model` (a folder, a file, or `embedded`) on the CPU, with room for `streams` that
    /// generate `tokens` each.
    ///
    /// # Errors
    /// What is wrong with the model or the sizes.
    pub fn load(
        model: &str,
        streams: usize,
        tokens: usize,
        threads: Option<NonZero<usize>>,
    ) -> anyhow::Result<Self> {
        let model = models::open(&source(model)).with_context(|| format!("opening {model}"))?;
        let vocab_size = model.config().vocab_size;
        let max_model_len = PROMPT_TOKENS + tokens;
        let num_blocks = 1 + streams * max_model_len.div_ceil(BLOCK_SIZE);
        let mut config = SchedulerConfig::new(BLOCK_SIZE, num_blocks as u32, max_model_len);
        config.max_num_seqs = streams;
        config.max_num_batched_tokens = 512.max(streams);
        // Every prompt is computed in one step, so that the streams decode side by side.
        config.target_itl = None;
        let loaded = model.load(
            &LoadOptions {
                device: Device::Cpu,
                dtype: Dtype::Auto,
                quantization: Quantization::None,
                limits: Limits {
                    num_blocks,
                    window_blocks: None,
                    block_size: BLOCK_SIZE,
                    max_num_batched_tokens: config.max_num_batched_tokens,
                    max_num_seqs: streams,
                    max_model_len,
                },
                threads,
                pin_threads: false,
                sum_order: SumOrder::Free,
                kv_cache_dtype: KvCacheDtype::Auto,
                lora: None,
            },
            &mut |_| {},
        )?;
        let passes = Passes::default();
        let runner = NotingRunner {
            inner: loaded.runner,
            stopwatch: Stopwatch::start(),
            passes: Arc::clone(&passes),
        };
        let (handle, thread) = engine::start(config, Box::new(runner))?;
        Ok(Self {
            handle,
            thread,
            passes,
            description: loaded.description,
            vocab_size,
            tokens,
        })
    }

    /// Device, features in use, threads.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Decodes `streams` prompts to the end.
    ///
    /// # Errors
    /// A request that is refused or fails.
    pub fn measure(&self, streams: usize, sampling: Sampling) -> anyhow::Result<Shares> {
        let events: Vec<Receiver<Event>> = (0..streams)
            .map(|stream| self.submit(stream, sampling))
            .collect::<anyhow::Result<_>>()?;
        for events in events {
            loop {
                match events.recv().context("the engine has ended")? {
                    Event::Finished(_) => break,
                    Event::Failed(error) => bail!("a request failed: {error}"),
                    _ => {}
                }
            }
        }
        let mut passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        let passes = std::mem::take(&mut *passes);
        // Those of all streams: prompts have more tokens, and not all streams begin together.
        let pairs = passes.windows(2).filter(|pair| {
            let tokens = [pair[0].tokens, pair[1].tokens];
            tokens == [streams; 2]
        });
        let (forward, between): (Vec<f64>, Vec<f64>) = pairs
            .map(|pair| {
                let forward = pair[1].end - pair[1].start;
                let between = pair[1].start - pair[0].end;
                (forward.as_secs_f64(), between.as_secs_f64())
            })
            .unzip();
        ensure!(!forward.is_empty(), "no two steps of all streams in a row");
        let [forward, between] = [forward, between].map(|values| Quantiles::of(&values).median);
        Ok(Shares {
            forward_seconds: forward,
            between_seconds: between,
            between_share: between / (forward + between),
        })
    }

    /// Ends the engine's thread.
    pub fn shut_down(self) {
        self.handle.shutdown();
        self.thread.join();
    }

    fn submit(&self, stream: usize, sampling: Sampling) -> anyhow::Result<Receiver<Event>> {
        let (sender, events) = channel();
        let prompt = (0..PROMPT_TOKENS).map(|at| token(stream, at, self.vocab_size));
        let prompt = prompt.map(TokenId).collect();
        self.handle.submit(GenerateRequest {
            sampling: sampling.params(stream as u64),
            ..GenerateRequest::greedy(prompt, self.tokens, Box::new(Sink(sender)))
        })?;
        Ok(events)
    }
}
