//! A loaded model that computes workloads.

use std::num::NonZero;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use models::{
    Device, Dtype, HubOptions, KvCacheDtype, Limits, LoadOptions, LoraAdapter, LoraLimits,
    ModelConfig, ModelRunner, ModelSource, Quantization, SumOrder,
};
use serde::Serialize;

use crate::sequences::Sequences;
use crate::stopwatch::Stopwatch;
use crate::workload::{Workload, token};

/// Largest rank of an adapter that is measured.
const MAX_LORA_RANK: usize = 64;

/// How to load and drive a model.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Element type of the weights.
    pub dtype: Dtype,
    /// Element type of the KV cache.
    pub kv_cache_dtype: KvCacheDtype,
    /// Threads; `None` takes what the machine offers.
    pub threads: Option<NonZero<usize>>,
    /// Most tokens in one step.
    pub max_num_batched_tokens: usize,
    /// Tokens per block.
    pub block_size: usize,
    /// What is to be measured: there is room for each of these.
    pub workloads: &'a [Workload],
    /// Most tokens that [`ModelUnderTest::greedy`] and [`ModelUnderTest::logits`] compute.
    pub max_len: usize,
    /// Whether [`ModelUnderTest::logits`] is to be called, which needs room for more rows.
    pub all_logits: bool,
    /// Folders of LoRA adapters to load beside the model.
    pub adapters: &'a [PathBuf],
}

/// What one repetition took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Timing {
    /// Tokens computed in the timed part.
    pub tokens: usize,
    /// Duration of the timed part.
    pub seconds: f64,
    /// The ratio of the two.
    pub tokens_per_second: f64,
}

/// A model with room for the sequences of its workloads.
pub struct ModelUnderTest {
    runner: Box<dyn ModelRunner>,
    sequences: Sequences,
    /// The workload whose context lies in the KV cache.
    prepared: Option<Workload>,
    block_size: usize,
    max_len: usize,
    description: String,
    vocab_size: usize,
    chunk_size: usize,
    /// Adapters that the sequences use; 0 is the base model.
    adapters_in_use: usize,
}

impl Settings<'_> {
    fn limits(&self) -> Limits {
        let most = |of: fn(&Workload) -> usize| self.workloads.iter().map(of).max().unwrap_or(0);
        let alone = Sequences::new(1, self.max_len, 0, self.block_size).num_blocks();
        let blocks = self
            .workloads
            .iter()
            .map(|workload| layout(workload, self.block_size).num_blocks());
        let rows = if self.all_logits {
            self.max_num_batched_tokens
        } else {
            1
        };
        Limits {
            num_blocks: blocks.fold(alone, usize::max),
            window_blocks: None,
            block_size: self.block_size,
            max_num_batched_tokens: self.max_num_batched_tokens,
            max_num_seqs: most(Workload::sequences).max(rows),
            max_model_len: most(Workload::context).max(self.max_len),
        }
    }
}

/// Each workload has the KV cache to itself.
fn layout(workload: &Workload, block_size: usize) -> Sequences {
    let (count, max_len) = (workload.sequences(), workload.context());
    Sequences::new(count, max_len, workload.shared_len(), block_size)
}

/// `embedded` for the model that is part of the program, otherwise what `purser serve` takes a name
/// for; nothing is fetched.
pub fn source(model: &str) -> ModelSource {
    match model {
        "embedded" => ModelSource::Embedded,
        name => ModelSource::named(
            name,
            HubOptions {
                offline: true,
                ..HubOptions::default()
            },
        ),
    }
}

/// Adapters of a model.
fn adapters(config: &ModelConfig, folders: &[PathBuf]) -> anyhow::Result<Vec<LoraAdapter>> {
    let open = |folder: &PathBuf| {
        let adapter = LoraAdapter::open(folder, config, MAX_LORA_RANK);
        adapter.with_context(|| format!("opening {}", folder.display()))
    };
    folders.iter().map(open).collect()
}

impl ModelUnderTest {
    /// Loads `model`, as [`source`] reads the name, on the CPU.
    ///
    /// # Errors
    /// What is wrong with the model or the settings.
    pub fn load(model: &str, settings: &Settings<'_>) -> anyhow::Result<Self> {
        let limits = settings.limits();
        let model = models::open(&source(model)).with_context(|| format!("opening {model}"))?;
        let config = model.config();
        ensure!(
            limits.max_model_len <= config.max_position_embeddings,
            "{} tokens are more than the model's {}",
            limits.max_model_len,
            config.max_position_embeddings
        );
        let vocab_size = config.vocab_size;
        let adapters = adapters(config, settings.adapters)?;
        let options = LoadOptions {
            device: Device::Cpu,
            dtype: settings.dtype,
            quantization: Quantization::None,
            limits,
            threads: settings.threads,
            pin_threads: false,
            sum_order: SumOrder::Free,
            kv_cache_dtype: settings.kv_cache_dtype,
            lora: (!adapters.is_empty()).then_some(LoraLimits {
                max_loras: adapters.len(),
                max_lora_rank: MAX_LORA_RANK,
            }),
        };
        let mut loaded = model.load(&options, &mut |_| {})?;
        if let Some(slots) = loaded.runner.adapters() {
            for (slot, adapter) in adapters.iter().enumerate() {
                slots.load(slot, adapter)?;
            }
        }
        Ok(Self {
            runner: loaded.runner,
            sequences: Sequences::new(1, settings.max_len, 0, settings.block_size),
            prepared: None,
            block_size: settings.block_size,
            max_len: settings.max_len,
            description: loaded.description,
            vocab_size,
            chunk_size: settings.max_num_batched_tokens,
            adapters_in_use: 0,
        })
    }

    /// From now on the sequences of a workload are divided over the first `count` adapters; 0 is the
    /// base model.
    pub fn use_adapters(&mut self, count: usize) {
        if count != self.adapters_in_use {
            self.adapters_in_use = count;
            self.prepared = None;
        }
    }

    /// Device, features in use, threads.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Computes `workload` once, after an untimed step that wakes the threads and touches the
    /// weights. The context of a decoding workload is computed the first time only: asked for the
    /// same one again, its steps are taken anew behind it.
    ///
    /// # Errors
    /// What the device reports.
    pub fn measure(&mut self, workload: &Workload) -> anyhow::Result<Timing> {
        self.prepare(workload)?;
        let seconds = match *workload {
            Workload::Prefill { tokens } => {
                self.decode(1, 0)?;
                let prompt = self.tokens(0, 0, tokens);
                let stopwatch = Stopwatch::start();
                self.prefill(0, &prompt)?;
                stopwatch.elapsed().as_secs_f64()
            }
            Workload::Decode {
                tokens,
                sequences,
                context,
                ..
            } => {
                self.decode(1, context)?;
                let stopwatch = Stopwatch::start();
                for position in context..context + tokens {
                    self.decode(sequences, position)?;
                }
                stopwatch.elapsed().as_secs_f64()
            }
        };
        let tokens = workload.timed_tokens();
        Ok(Timing {
            tokens,
            seconds,
            tokens_per_second: tokens as f64 / seconds,
        })
    }

    /// Gives the KV cache to `workload` and computes what its sequences have behind them.
    fn prepare(&mut self, workload: &Workload) -> anyhow::Result<()> {
        if self.prepared == Some(*workload) {
            return Ok(());
        }
        self.prepared = None;
        let sequences = layout(workload, self.block_size);
        self.sequences = sequences.with_adapters(self.adapters_in_use);
        if let Workload::Decode {
            sequences,
            context,
            is_shared,
            ..
        } = *workload
        {
            let computed = if is_shared { 1 } else { sequences };
            for sequence in 0..computed {
                let prompt = self.tokens(sequence, 0, context);
                self.prefill(sequence, &prompt)?;
            }
            // What is left of the prefix behind its last whole block lies in a block of each one's.
            let rest = workload.shared_len() % self.block_size;
            for sequence in computed..sequences {
                let prompt = self.tokens(0, context - rest, rest);
                self.prefill_from(sequence, context - rest, &prompt)?;
            }
        }
        self.prepared = Some(*workload);
        Ok(())
    }

    /// Gives the KV cache to one sequence.
    fn prepare_alone(&mut self) {
        self.prepared = None;
        self.sequences = Sequences::new(1, self.max_len, 0, self.block_size);
    }

    /// The `num_tokens` most likely tokens after `prompt`, each given those before it.
    ///
    /// # Errors
    /// What the device reports; an empty prompt.
    pub fn greedy(&mut self, prompt: &[u32], num_tokens: usize) -> anyhow::Result<Vec<u32>> {
        ensure!(!prompt.is_empty(), "a prompt has at least one token");
        self.prepare_alone();
        let mut generated = Vec::with_capacity(num_tokens);
        let mut last = self.prefill(0, prompt)?;
        for position in prompt.len()..prompt.len() + num_tokens {
            generated.push(last);
            self.sequences.clear();
            self.sequences.push(0, position, &[last], true);
            last = most_likely(self.runner.forward(self.sequences.batch())?.row(0));
        }
        Ok(generated)
    }

    /// The logits after each token of `prompt`, row by row: `[prompt.len(), vocab_size]`.
    ///
    /// # Errors
    /// What the device reports, or `write`.
    pub fn logits(
        &mut self,
        prompt: &[u32],
        mut write: impl FnMut(&[f32]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.prepare_alone();
        let mut start = 0;
        for chunk in prompt.chunks(self.chunk_size) {
            self.sequences.clear();
            self.sequences.push(0, start, chunk, false);
            self.sequences.want_all_logits();
            let logits = self.runner.forward(self.sequences.batch())?;
            (0..chunk.len()).try_for_each(|row| write(logits.row(row)))?;
            start += chunk.len();
        }
        Ok(())
    }

    /// Computes a prompt and returns the most likely next token.
    fn prefill(&mut self, sequence: usize, prompt: &[u32]) -> anyhow::Result<u32> {
        self.prefill_from(sequence, 0, prompt)
    }

    /// Computes a prompt from position `start` on, in chunks, and returns the most likely next
    /// token.
    fn prefill_from(
        &mut self,
        sequence: usize,
        start: usize,
        prompt: &[u32],
    ) -> anyhow::Result<u32> {
        let end = start + prompt.len();
        let mut start = start;
        let mut next = 0;
        for chunk in prompt.chunks(self.chunk_size) {
            let wants_logits = start + chunk.len() == end;
            self.sequences.clear();
            self.sequences.push(sequence, start, chunk, wants_logits);
            let logits = self.runner.forward(self.sequences.batch())?;
            if wants_logits {
                next = most_likely(logits.row(0));
            }
            start += chunk.len();
        }
        Ok(next)
    }

    /// One step: the token at `position` of each of the first `sequences`.
    fn decode(&mut self, sequences: usize, position: usize) -> anyhow::Result<()> {
        self.sequences.clear();
        for sequence in 0..sequences {
            let token = token(sequence, position, self.vocab_size);
            self.sequences.push(sequence, position, &[token], true);
        }
        self.runner.forward(self.sequences.batch())?;
        Ok(())
    }

    fn tokens(&self, sequence: usize, start: usize, count: usize) -> Vec<u32> {
        (start..start + count)
            .map(|position| token(sequence, position, self.vocab_size))
            .collect()
    }
}

fn most_likely(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (token, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = token;
        }
    }
    best as u32
}
