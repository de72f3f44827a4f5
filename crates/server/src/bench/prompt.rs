//! Prompts that no one has sent before, and pairs of them that share a prefix.

use serde_json::{Value, json};

use super::ttft::HitRate;
use crate::measure::random::Random;
use crate::measure::words::WORDS;

/// What prompts are made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PromptForm {
    /// Any of these token ids in any order: one unit is one token.
    TokenIds(Vec<u32>),
    /// Words of [`WORDS`]: how many tokens they make is measured.
    Words(WordRate),
}

/// How a server counts text: `offset + per_word * words` tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WordRate {
    /// Tokens of the chat template and of a beginning-of-text mark.
    pub(super) offset: f64,
    pub(super) per_word: f64,
}

/// Draws prompts; the same seed and form give the same ones.
///
/// A prompt is a list of units, indices into the form's ids or words.
#[derive(Debug)]
pub(super) struct PromptSource {
    form: PromptForm,
    random: Random,
    /// Every unit once: each prompt of its own begins with the next, so that even a cache that
    /// counts single tokens finds nothing.
    heads: Vec<u32>,
    next_head: usize,
}

/// The requests of one measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PromptPair {
    /// Absent at a hit rate of nothing.
    pub(super) warming: Option<Vec<u32>>,
    pub(super) measured: Vec<u32>,
    /// Units that both begin with.
    pub(super) prefix: usize,
}

impl PromptForm {
    fn units(&self) -> usize {
        match self {
            Self::TokenIds(ids) => ids.len(),
            Self::Words(_) => WORDS.len(),
        }
    }

    /// Two units with different initials begin with different tokens.
    fn initial(&self, unit: u32) -> u32 {
        match self {
            Self::TokenIds(ids) => ids[unit as usize],
            Self::Words(_) => u32::from(WORDS[unit as usize].as_bytes()[0]),
        }
    }

    /// How many units make `tokens` tokens; at least 2, the fewest that can share a prefix.
    pub(super) fn units_for(&self, tokens: u32) -> usize {
        match self {
            Self::TokenIds(_) => tokens as usize,
            Self::Words(rate) => {
                let words = (f64::from(tokens) - rate.offset) / rate.per_word;
                (words.round() as usize).max(2)
            }
        }
    }

    /// How many units make `tokens` tokens in a prompt that has others, too; at least 1.
    pub(super) fn units_within(&self, tokens: u32) -> usize {
        match self {
            Self::TokenIds(_) => tokens as usize,
            Self::Words(rate) => ((f64::from(tokens) / rate.per_word).round() as usize).max(1),
        }
    }

    /// The prompt as the request's JSON: a list of ids, or a text.
    pub(super) fn render(&self, prompt: &[u32]) -> Value {
        match self {
            Self::TokenIds(ids) => {
                json!(
                    prompt
                        .iter()
                        .map(|&unit| ids[unit as usize])
                        .collect::<Vec<_>>()
                )
            }
            Self::Words(_) => {
                let words: Vec<&str> = prompt.iter().map(|&unit| WORDS[unit as usize]).collect();
                json!(words.join(" "))
            }
        }
    }

    /// As the results name it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::TokenIds(_) => "token_ids",
            Self::Words(_) => "text",
        }
    }
}

impl WordRate {
    /// One token per word, for servers that count nothing.
    pub(super) const UNKNOWN: Self = Self {
        offset: 0.0,
        per_word: 1.0,
    };

    /// The line through two counts, each (words, tokens); `UNKNOWN` if it does not rise.
    pub(super) fn through(short: (usize, u64), long: (usize, u64)) -> Self {
        let per_word = (long.1 as f64 - short.1 as f64) / (long.0 as f64 - short.0 as f64);
        if per_word.is_nan() || per_word <= 0.0 {
            return Self::UNKNOWN;
        }
        Self {
            offset: (short.1 as f64 - per_word * short.0 as f64).max(0.0),
            per_word,
        }
    }
}

impl PromptSource {
    pub(super) fn new(form: PromptForm, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut heads: Vec<u32> = (0..form.units() as u32).collect();
        random.shuffle(&mut heads);
        Self {
            form,
            random,
            heads,
            next_head: 0,
        }
    }

    pub(super) fn form(&self) -> &PromptForm {
        &self.form
    }

    /// A prompt of `len` units that shares nothing with those before it.
    pub(super) fn fresh(&mut self, len: usize) -> Vec<u32> {
        let head = self.heads[self.next_head % self.heads.len()];
        self.next_head += 1;
        let mut prompt = vec![head];
        self.extend(&mut prompt, len);
        prompt
    }

    /// Up to `len` units, each once: all of them are counted as the average prompt is.
    pub(super) fn each_once(&self, len: usize) -> Vec<u32> {
        self.heads[..len.min(self.heads.len())].to_vec()
    }

    /// The requests that show `rate` with prompts of `len` units, at least 2.
    pub(super) fn pair(&mut self, rate: HitRate, len: usize) -> PromptPair {
        let measured = self.fresh(len);
        let prefix = rate.share_of(len);
        if prefix == 0 {
            return PromptPair {
                warming: None,
                measured,
                prefix,
            };
        }
        let mut warming = measured[..prefix].to_vec();
        if prefix < len {
            warming.push(self.unit_unlike(measured[prefix]));
            self.extend(&mut warming, len);
        }
        PromptPair {
            warming: Some(warming),
            measured,
            prefix,
        }
    }

    /// The order of `rates` in one repetition.
    pub(super) fn order(&mut self, rates: &[HitRate]) -> Vec<HitRate> {
        let mut order = rates.to_vec();
        self.random.shuffle(&mut order);
        order
    }

    fn extend(&mut self, prompt: &mut Vec<u32>, len: usize) {
        while prompt.len() < len {
            prompt.push(self.random.below(self.form.units()) as u32);
        }
    }

    /// Ends, because a form has units with at least two initials.
    fn unit_unlike(&mut self, other: u32) -> u32 {
        loop {
            let unit = self.random.below(self.form.units()) as u32;
            if self.form.initial(unit) != self.form.initial(other) {
                return unit;
            }
        }
    }
}

#[cfg(test)]
mod tests;
