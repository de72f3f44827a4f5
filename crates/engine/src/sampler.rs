//! Chooses one token per row.
//!
//! Order, as in Hugging Face's logits processors: forbidden tokens, repetition, presence and
//! frequency penalties, `logit_bias`, temperature, `top_k`, `top_p` (over what `top_k` left),
//! `min_p`, then one draw keyed by (seed, position). A draw depends on nothing else, so neither the
//! batch nor a preemption changes an answer.

use kv_cache::TokenId;

use models::LogSoftmax;

use crate::{SamplingParams, TokenLogprobs};

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

/// Scratch memory that is kept from row to row.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    logits: Vec<f32>,
    /// Occurrences per token: in the prompt or output (`.0`), in the output (`.1`). `[vocab_size]`
    counts: Vec<(u32, u32)>,
    candidates: Candidates,
}

impl Sampler {
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
        let params = row.params;
        params.repetition_penalty != 1.0
            || params.presence_penalty != 0.0
            || params.frequency_penalty != 0.0
            || !params.logit_bias.is_empty()
            || !row.forbidden.is_empty()
    }

    fn adjust(&mut self, row: Row<'_>) {
        let params = row.params;
        let penalised = params.repetition_penalty != 1.0
            || params.presence_penalty != 0.0
            || params.frequency_penalty != 0.0;
        if penalised {
            self.penalise(row);
        }
        for &(token, bias) in &params.logit_bias {
            if let Some(logit) = self.logits.get_mut(token.0 as usize) {
                *logit += bias;
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
            return argmax(logits);
        }
        let draw = random::uniform(row.params.seed, row.history.len() as u64);
        self.candidates.draw(logits, row.params, draw)
    }
}

/// The likeliest token; of equal ones the lowest.
fn argmax(logits: &[f32]) -> Result<TokenId, NonFiniteLogits> {
    let mut best = f32::NEG_INFINITY;
    let mut token = 0;
    for (index, &logit) in logits.iter().enumerate() {
        if logit > best {
            best = logit;
            token = index;
        }
    }
    if best.is_finite() {
        Ok(TokenId(token as u32))
    } else {
        Err(NonFiniteLogits)
    }
}
