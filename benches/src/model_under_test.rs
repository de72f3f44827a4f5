//! A loaded model that computes workloads.

use std::num::NonZero;
use std::path::Path;

use anyhow::{Context, ensure};
use models::{Device, Dtype, Limits, LoadOptions, ModelRunner, ModelSource};
use serde::Serialize;

use crate::sequences::Sequences;
use crate::stopwatch::Stopwatch;
use crate::workload::{Workload, token};

/// How to load and drive a model.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Element type of the weights.
    pub dtype: Dtype,
    /// Threads; `None` takes what the machine offers.
    pub threads: Option<NonZero<usize>>,
    /// Most tokens in one step.
    pub max_num_batched_tokens: usize,
    /// Tokens per block.
    pub block_size: usize,
    /// Sequences at once.
    pub sequences: usize,
    /// Longest sequence in tokens.
    pub max_len: usize,
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
    description: String,
    vocab_size: usize,
    chunk_size: usize,
}

/// `embedded` for the model that is part of the program, otherwise a folder.
pub fn source(model: &str) -> ModelSource {
    match model {
        "embedded" => ModelSource::Embedded,
        folder => ModelSource::Folder(Path::new(folder).to_owned()),
    }
}

impl ModelUnderTest {
    /// Loads `model`, as [`source`] reads the name, on the CPU.
    ///
    /// # Errors
    /// What is wrong with the model or the settings.
    pub fn load(model: &str, settings: &Settings) -> anyhow::Result<Self> {
        let sequences = Sequences::new(settings.sequences, settings.max_len, settings.block_size);
        let model = models::open(&source(model)).with_context(|| format!("opening {model}"))?;
        let config = model.config();
        ensure!(
            settings.max_len <= config.max_position_embeddings,
            "{} tokens are more than the model's {}",
            settings.max_len,
            config.max_position_embeddings
        );
        let vocab_size = config.vocab_size;
        let limits = Limits {
            num_blocks: sequences.num_blocks(),
            block_size: settings.block_size,
            max_num_batched_tokens: settings.max_num_batched_tokens,
            max_num_seqs: settings.sequences,
            max_model_len: settings.max_len,
        };
        let options = LoadOptions {
            device: Device::Cpu,
            dtype: settings.dtype,
            limits,
            threads: settings.threads,
        };
        let loaded = model.load(&options, &mut |_| {})?;
        Ok(Self {
            runner: loaded.runner,
            sequences,
            description: loaded.description,
            vocab_size,
            chunk_size: settings.max_num_batched_tokens,
        })
    }

    /// Device, features in use, threads.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Computes `workload` once, after an untimed step that wakes the threads and touches the
    /// weights.
    ///
    /// # Errors
    /// What the device reports.
    pub fn measure(&mut self, workload: &Workload) -> anyhow::Result<Timing> {
        self.decode(1, 0)?;
        let seconds = match *workload {
            Workload::Prefill { tokens } => {
                let prompt = self.tokens(0, 0, tokens);
                let stopwatch = Stopwatch::start();
                self.prefill(0, &prompt)?;
                stopwatch.elapsed().as_secs_f64()
            }
            Workload::Decode {
                tokens,
                sequences,
                context,
            } => {
                for sequence in 0..sequences {
                    let prompt = self.tokens(sequence, 0, context);
                    self.prefill(sequence, &prompt)?;
                }
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

    /// The `num_tokens` most likely tokens after `prompt`, each given those before it.
    ///
    /// # Errors
    /// What the device reports; an empty prompt.
    pub fn greedy(&mut self, prompt: &[u32], num_tokens: usize) -> anyhow::Result<Vec<u32>> {
        ensure!(!prompt.is_empty(), "a prompt has at least one token");
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

    /// Computes a prompt in chunks and returns the most likely next token.
    fn prefill(&mut self, sequence: usize, prompt: &[u32]) -> anyhow::Result<u32> {
        let mut start = 0;
        let mut next = 0;
        for chunk in prompt.chunks(self.chunk_size) {
            let end = start + chunk.len();
            let wants_logits = end == prompt.len();
            self.sequences.clear();
            self.sequences.push(sequence, start, chunk, wants_logits);
            let logits = self.runner.forward(self.sequences.batch())?;
            if wants_logits {
                next = most_likely(logits.row(0));
            }
            start = end;
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
