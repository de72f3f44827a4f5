//! Truncation to the likeliest tokens, and the draw among them.

use kv_cache::TokenId;

use super::{NonFiniteLogits, argmax};
use crate::SamplingParams;

/// How many of the likeliest tokens are sorted first when only `top_p` truncates. Most
/// distributions reach their `top_p` within it; otherwise four times as many are tried.
const FIRST_SORTED: usize = 256;

/// Scratch memory: tokens with their logits or weights.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    entries: Vec<(u32, f32)>,
    weights: Vec<f32>,
}

impl Candidates {
    /// Draws a token from the tempered and truncated distribution; `draw` is in `[0, 1)`.
    pub(super) fn draw(
        &mut self,
        logits: &[f32],
        params: &SamplingParams,
        draw: f64,
    ) -> Result<TokenId, NonFiniteLogits> {
        let max = logits[argmax(logits)?.0 as usize];
        let temperature = params.temperature;
        // Weights relative to the likeliest token, which has weight 1: `min_p` is a threshold.
        self.weights.clear();
        self.weights.extend(
            logits
                .iter()
                .map(|logit| ((logit - max) / temperature).exp()),
        );

        if params.top_k.is_none() && params.top_p >= 1.0 {
            return Ok(self.draw_untruncated(params.min_p, draw));
        }
        self.keep_top_k(params.top_k);
        self.keep_top_p(params.top_p, params.top_k.is_some());
        self.entries.retain(|&(_, weight)| weight >= params.min_p);
        Ok(self.draw_kept(draw))
    }

    /// The `count` likeliest tokens of `logits`, descending, ties in ascending order of token, with
    /// `value` of their logits.
    pub(super) fn likeliest(
        &mut self,
        logits: &[f32],
        count: usize,
        value: impl Fn(f32) -> f32,
    ) -> Vec<(TokenId, f32)> {
        self.entries.clear();
        self.entries.extend((0..).zip(logits.iter().copied()));
        keep_largest(&mut self.entries, count);
        self.entries.sort_unstable_by(descending);
        self.entries
            .iter()
            .map(|&(token, logit)| (TokenId(token), value(logit)))
            .collect()
    }

    fn draw_untruncated(&self, min_p: f32, draw: f64) -> TokenId {
        let kept = |weight: f32| weight >= min_p;
        let total: f64 = self
            .weights
            .iter()
            .filter(|&&w| kept(w))
            .map(|&w| f64::from(w))
            .sum();
        let mut left = draw * total;
        let mut last = 0;
        for (token, &weight) in self.weights.iter().enumerate() {
            if !kept(weight) || weight == 0.0 {
                continue;
            }
            last = token;
            left -= f64::from(weight);
            if left < 0.0 {
                break;
            }
        }
        TokenId(last as u32)
    }

    fn keep_top_k(&mut self, top_k: Option<u32>) {
        self.entries.clear();
        self.entries.extend((0..).zip(self.weights.iter().copied()));
        if let Some(k) = top_k {
            keep_largest(&mut self.entries, k as usize);
        }
    }

    /// Keeps the smallest set of likeliest entries whose weight reaches `top_p` of all entries'.
    fn keep_top_p(&mut self, top_p: f32, already_few: bool) {
        if top_p >= 1.0 {
            self.entries.sort_unstable_by(descending);
            return;
        }
        let total: f64 = self
            .entries
            .iter()
            .map(|&(_, weight)| f64::from(weight))
            .sum();
        let wanted = total * f64::from(top_p);
        let mut sorted = if already_few {
            self.entries.len()
        } else {
            FIRST_SORTED
        };
        loop {
            sorted = sorted.min(self.entries.len());
            if sorted < self.entries.len() {
                self.entries.select_nth_unstable_by(sorted, descending);
            }
            self.entries[..sorted].sort_unstable_by(descending);
            let mut reached = 0.0;
            let end = self.entries[..sorted].iter().position(|&(_, weight)| {
                reached += f64::from(weight);
                reached >= wanted
            });
            match end {
                Some(end) => return self.entries.truncate(end + 1),
                None if sorted == self.entries.len() => return,
                None => sorted *= 4,
            }
        }
    }

    fn draw_kept(&self, draw: f64) -> TokenId {
        let total: f64 = self
            .entries
            .iter()
            .map(|&(_, weight)| f64::from(weight))
            .sum();
        let mut left = draw * total;
        for &(token, weight) in &self.entries {
            left -= f64::from(weight);
            if left < 0.0 {
                return TokenId(token);
            }
        }
        // Rounding can leave a remainder; the likeliest token always survives truncation.
        TokenId(self.entries[0].0)
    }
}

fn keep_largest(entries: &mut Vec<(u32, f32)>, count: usize) {
    if count < entries.len() {
        entries.select_nth_unstable_by(count, descending);
        entries.truncate(count);
    }
}

fn descending(a: &(u32, f32), b: &(u32, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}
