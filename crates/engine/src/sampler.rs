//! Chooses one token per row.
//!
//! Order, as in Hugging Face's logits processors: forbidden tokens and the constraint, repetition, presence and
//! frequency penalties, `logit_bias`, temperature, `top_k`, `top_p` (over what `top_k` left),
//! `min_p`, then one draw keyed by (seed, position). A draw depends on nothing else, so neither the
//! batch nor a preemption changes an answer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use kernels::{Draw, DrawnToken, NO_TOKEN};
use kv_cache::TokenId;
use models::{LogSoftmax, Logits};

use crate::{SamplingParams, TokenLogprobs, TokenMask};

mod candidates;
mod random;
#[cfg(test)]
mod tests;

use candidates::Candidates;

/// One row's circumstances, beside its logits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// The request's parameters.
    pub(crate) params: &'a SamplingParams,
    /// Prompt and output so far.
    pub(crate) history: &'a [TokenId],
    /// How many of `history` are the prompt.
    pub(crate) prompt_len: usize,
    /// Tokens that may not be chosen yet (stop tokens before `min_tokens`).
    pub(crate) forbidden: &'a [TokenId],
    /// The only tokens that may be chosen; `None` is all.
    pub(crate) allowed: Option<&'a TokenMask>,
}

/// A chosen token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) token: TokenId,
    pub(crate) logprobs: Option<TokenLogprobs>,
}

/// The model produced logits that no distribution can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the logits have no finite maximum")]
pub(crate) struct NonFiniteLogits;

/// Chooses the tokens of a step's rows, each on one of the threads that computed the logits.
///
/// Everything that it needs for that is kept from step to step.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    /// One for each worker.
    row_samplers: Vec<Mutex<RowSampler>>,
    /// Those that the model has not drawn.
    rows: Vec<usize>,
    /// What came of each row.
    samples: Vec<Mutex<Option<Result<Sample, NonFiniteLogits>>>>,
}

impl Sampler {
    /// Chooses a token for every row of `logits`; `row(index)` tells its circumstances, or that nobody
    /// wants it. The samples are in the order of the rows, and none depends on which thread chose it.
    ///
    /// # Errors
    /// For a row, `NonFiniteLogits` when every logit is NaN or an infinity decides.
    pub(crate) fn sample<'a>(
        &mut self,
        logits: &Logits<'_>,
        row: impl Fn(usize) -> Option<Row<'a>> + Sync,
    ) -> impl Iterator<Item = Option<Result<Sample, NonFiniteLogits>>> {
        let (workers, num_rows) = (logits.workers(), logits.num_rows());
        let num_samplers = workers.num_workers().max(self.row_samplers.len());
        self.row_samplers.resize_with(num_samplers, Mutex::default);
        let num_samples = num_rows.max(self.samples.len());
        self.samples.resize_with(num_samples, Mutex::default);
        self.rows.clear();
        for index in 0..num_rows {
            match logits.drawn(index) {
                Some(drawn) => *lock(&self.samples[index]) = Some(drawn_sample(drawn)),
                None => self.rows.push(index),
            }
        }
        if !self.rows.is_empty() {
            workers.run(self.rows.len(), &|worker, task| {
                let (mut sampler, index) = (lock(&self.row_samplers[worker]), self.rows[task]);
                let sample = row(index).map(|row| sampler.sample(logits.row(index), row));
                *lock(&self.samples[index]) = sample;
            });
        }
        self.samples[..num_rows]
            .iter()
            .map(|sample| lock(sample).take())
    }
}

/// How the token after `history_len` others is drawn where the logits are; `None` if that takes more.
pub(crate) fn draw(params: &SamplingParams, history_len: usize) -> Option<Draw> {
    let has_too_many = params.logprobs.is_some_and(|top| top > Draw::MAX_TOP);
    if params.changes_logits() || has_too_many {
        return None;
    }
    Some(Draw {
        temperature: params.temperature,
        top_k: params.top_k,
        top_p: params.top_p,
        min_p: params.min_p,
        place: random::uniform(params.seed, history_len as u64),
        logprobs: params.logprobs,
    })
}

/// What the model has drawn itself.
fn drawn_sample(drawn: &DrawnToken) -> Result<Sample, NonFiniteLogits> {
    if drawn.token == NO_TOKEN {
        return Err(NonFiniteLogits);
    }
    let logprobs = drawn.logprobs.as_ref().map(|logprobs| {
        let top = logprobs.top.iter();
        TokenLogprobs {
            chosen: logprobs.token,
            top: top.map(|&(token, value)| (TokenId(token), value)).collect(),
        }
    });
    Ok(Sample {
        token: TokenId(drawn.token),
        logprobs,
    })
}

/// Nobody else waits for it: a worker has its own, and a row is one task's.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Chooses the tokens of single rows; a worker's, with memory that is kept from row to row.
#[derive(Debug, Default)]
pub(crate) struct RowSampler {
    logits: Vec<f32>,
    /// Occurrences per token: in the prompt or output (`.0`), in the output (`.1`). `[vocab_size]`
    counts: Vec<(u32, u32)>,
    candidates: Candidates,
}

impl RowSampler {
    /// Chooses a token from `logits` `[vocab_size]`.
    ///
    /// # Errors
    /// `NonFiniteLogits` when every logit is NaN or an infinity decides.
    pub(crate) fn sample(
        &mut self,
        logits: &[f32],
        row: Row<'_>,
    ) -> Result<Sample, NonFiniteLogits> {
        let params = row.params;
        let logprobs = match params.logprobs {
            Some(_) => Some(LogSoftmax::new(logits).ok_or(NonFiniteLogits)?),
            None => None,
        }
        .zip(params.logprobs);

        let token = if self.adjusts(row) {
            self.logits.clear();
            self.logits.extend_from_slice(logits);
            self.adjust(row);
            let adjusted = std::mem::take(&mut self.logits);
            let token = self.choose(&adjusted, row);
            self.logits = adjusted;
            token?
        } else {
            self.choose(logits, row)?
        };

        let logprobs = logprobs.map(|(softmax, top)| TokenLogprobs {
            chosen: softmax.logprob(logits[token.0 as usize]),
            top: self
                .candidates
                .likeliest(logits, top as usize, |logit| softmax.logprob(logit)),
        });
        Ok(Sample { token, logprobs })
    }

    fn adjusts(&self, row: Row<'_>) -> bool {
        row.params.changes_logits() || !row.forbidden.is_empty() || row.allowed.is_some()
    }

    fn adjust(&mut self, row: Row<'_>) {
        let params = row.params;
        if params.has_penalties() {
            self.penalise(row);
        }
        for &(token, bias) in &params.logit_bias {
            if let Some(logit) = self.logits.get_mut(token.0 as usize) {
                *logit += bias;
            }
        }
        if let Some(allowed) = row.allowed {
            allowed.apply_to(&mut self.logits);
            // An answer that is complete has nothing to say until it may stop.
            if allowed.is_within(row.forbidden) {
                return;
            }
        }
        for token in row.forbidden {
            if let Some(logit) = self.logits.get_mut(token.0 as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }

    fn penalise(&mut self, row: Row<'_>) {
        let params = row.params;
        self.counts.resize(self.logits.len(), (0, 0));
        for (position, token) in row.history.iter().enumerate() {
            // A prompt may hold tokens beyond the model's output vocabulary.
            if let Some(count) = self.counts.get_mut(token.0 as usize) {
                count.0 += 1;
                count.1 += u32::from(position >= row.prompt_len);
            }
        }
        for token in row.history {
            let index = token.0 as usize;
            // Taking the count leaves zeros behind and applies each token's penalty once.
            let Some((seen, generated)) = self.counts.get_mut(index).map(std::mem::take) else {
                continue;
            };
            if seen == 0 {
                continue;
            }
            let logit = &mut self.logits[index];
            if *logit > 0.0 {
                *logit /= params.repetition_penalty;
            } else {
                *logit *= params.repetition_penalty;
            }
            if generated > 0 {
                *logit -= params.presence_penalty + params.frequency_penalty * generated as f32;
            }
        }
    }

    fn choose(&mut self, logits: &[f32], row: Row<'_>) -> Result<TokenId, NonFiniteLogits> {
        if row.params.temperature == 0.0 {
            return self.candidates.likeliest_one(logits);
        }
        let draw = random::uniform(row.params.seed, row.history.len() as u64);
        self.candidates.draw(logits, row.params, draw)
    }
}
