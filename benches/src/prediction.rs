//! An engine that is asked what a prompt will take, and then computes it.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context, bail, ensure};
use engine::{
    CacheProbe, EngineHandle, EngineThread, Event, EventSink, GenerateRequest, ProbePrompt,
    ProbeRequest, SchedulerConfig, StepCosts, TokenId,
};
use models::{Device, Dtype, KvCacheDtype, Limits, LoadOptions, Quantization, SumOrder};
use serde::Serialize;

use crate::model_under_test::source;
use crate::workload::token;

/// Tokens per block of the KV cache.
const BLOCK_SIZE: usize = 16;

/// A prompt of `tokens` tokens of which the first `cached` were computed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PromptShape {
    /// Tokens of the prompt.
    pub tokens: usize,
    /// Tokens of it that another request has computed.
    pub cached: usize,
}

/// One prompt's times, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// As the engine predicted it.
    pub predicted: f64,
    /// In the steps that computed the prompt.
    pub measured: f64,
    /// From the admission to the first token: what is between the steps as well.
    pub elapsed: f64,
}

/// An engine that serves one request at a time, each with a prompt of its own.
pub struct PredictingEngine {
    handle: EngineHandle,
    thread: EngineThread,
    description: String,
    vocab_size: usize,
    served: usize,
}

/// What an engine said of a request at its end.
struct Served {
    cached_tokens: usize,
    measured: f64,
    elapsed: f64,
}

struct ChannelSink(Sender<Event>);

impl EventSink for ChannelSink {
    fn send(&mut self, event: Event) {
        // Whoever asked may have failed already.
        let _ = self.0.send(event);
    }

    fn is_closed(&self) -> bool {
        false
    }
}

impl PredictingEngine {
    /// Starts an engine with `model` (a folder, or `embedded`) on the CPU, for prompts of at most
    /// `max_prompt_tokens`.
    ///
    /// # Errors
    /// What is wrong with the model or the sizes.
    pub fn start(
        model: &str,
        max_prompt_tokens: usize,
        max_num_batched_tokens: usize,
        threads: Option<NonZero<usize>>,
    ) -> anyhow::Result<Self> {
        let model = models::open(&source(model)).with_context(|| format!("opening {model}"))?;
        let max_model_len = model.config().max_position_embeddings;
        ensure!(
            max_prompt_tokens < max_model_len,
            "prompts of {max_prompt_tokens} tokens leave none of the model's {max_model_len}"
        );
        // Room for four of the longest prompts: what was planted is not evicted before it is used.
        let num_blocks = 4 * max_model_len.div_ceil(BLOCK_SIZE) + 1;
        let mut config =
            SchedulerConfig::new(BLOCK_SIZE, u32::try_from(num_blocks)?, max_model_len);
        config.max_num_seqs = 8;
        config.max_num_batched_tokens = max_num_batched_tokens;
        config.fingerprint = model.fingerprint().to_vec();
        let options = LoadOptions {
            device: Device::Cpu,
            dtype: Dtype::Auto,
            quantization: Quantization::None,
            limits: Limits {
                num_blocks,
                window_blocks: None,
                block_size: BLOCK_SIZE,
                max_num_batched_tokens,
                max_num_seqs: config.max_num_seqs,
                max_model_len,
            },
            threads,
            pin_threads: false,
            sum_order: SumOrder::Free,
            kv_cache_dtype: KvCacheDtype::Auto,
            lora: None,
        };
        let vocab_size = model.config().vocab_size;
        let loaded = model.load(&options, &mut |_| {})?;
        let (handle, thread) = engine::start(config, loaded.runner)?;
        Ok(Self {
            handle,
            thread,
            description: loaded.description,
            vocab_size,
            served: 0,
        })
    }

    /// Device, features in use, threads.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What a step costs, as far as the engine has learnt.
    ///
    /// # Errors
    /// When the engine has ended.
    pub fn step_costs(&self) -> anyhow::Result<StepCosts> {
        Ok(self.probe(&[])?.step_costs)
    }

    /// Computes the cached part of a prompt, asks what the rest will take, and computes that and
    /// `output_tokens` tokens of output.
    ///
    /// # Errors
    /// When the engine refuses or fails, or has not cached what it should have.
    pub fn compare(
        &mut self,
        shape: PromptShape,
        output_tokens: usize,
    ) -> anyhow::Result<Comparison> {
        self.served += 1;
        ensure!(
            self.served < self.vocab_size,
            "{} prompts are as many as there are tokens to tell them apart",
            self.served
        );
        let prompt = self.prompt(shape.tokens);
        if shape.cached > 0 {
            self.serve(&prompt[..shape.cached], 1)?;
        }
        let probe = self.probe(&prompt)?;
        let predicted = probe.prompts[0];
        let served = self.serve(&prompt, output_tokens)?;
        let expected = shape.cached.min(shape.tokens - 1);
        ensure!(
            predicted.cached_tokens == expected && served.cached_tokens == expected,
            "{expected} tokens of the prompt are cached, {} were predicted and {} found",
            predicted.cached_tokens,
            served.cached_tokens
        );
        Ok(Comparison {
            predicted: predicted.prefill_seconds,
            measured: served.measured,
            elapsed: served.elapsed,
        })
    }

    /// Ends the engine.
    pub fn stop(self) {
        self.handle.shutdown();
        self.thread.join();
    }

    /// A prompt that differs from all others in its first token.
    fn prompt(&self, tokens: usize) -> Vec<TokenId> {
        let first = self.served as u32 % self.vocab_size as u32;
        let others = (1..tokens).map(|position| token(0, position, self.vocab_size));
        std::iter::once(first).chain(others).map(TokenId).collect()
    }

    fn probe(&self, prompt: &[TokenId]) -> anyhow::Result<CacheProbe> {
        let (sender, receiver) = channel();
        let prompts = [ProbePrompt {
            tokens: prompt.to_vec(),
            cache_salt: Vec::new(),
        }];
        self.handle.probe(ProbeRequest {
            prompts: prompts.into(),
            priority: 0,
            // Whoever asked may have failed already.
            sink: Box::new(move |answer| drop(sender.send(answer))),
        })?;
        receiver.recv().context("the engine has ended")
    }

    fn serve(&self, prompt: &[TokenId], output_tokens: usize) -> anyhow::Result<Served> {
        let (sender, events) = channel();
        let sink = Box::new(ChannelSink(sender));
        let request = GenerateRequest::greedy(prompt.to_vec(), output_tokens, sink);
        self.handle.submit(request)?;
        end(&events)
    }
}

fn end(events: &Receiver<Event>) -> anyhow::Result<Served> {
    loop {
        match events.recv().context("the engine has ended")? {
            Event::Admitted(_) | Event::Scored(_) | Event::Embedded(_) | Event::Token(_) => {}
            Event::Finished(completion) => {
                return Ok(Served {
                    cached_tokens: completion.cached_tokens,
                    measured: completion.prefill_step_time.as_secs_f64(),
                    elapsed: completion.prefill_time.as_secs_f64(),
                });
            }
            Event::Failed(error) => bail!(error),
        }
    }
}
