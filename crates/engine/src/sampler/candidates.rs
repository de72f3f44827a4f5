//! Truncation to the likeliest tokens, and the draw among them.
//!
//! Nothing here sorts the vocabulary. The maxima of a row's spans say where its likeliest tokens
//! can be; what these leave open is decided by selection (Hoare, "Algorithm 65: Find", 1961) on the
//! tokens' weights, which takes time in proportion to their number.

use kernels::softmax::{self, SPAN};
use kv_cache::TokenId;

use super::NonFiniteLogits;
use crate::SamplingParams;

/// Entries that are sorted rather than divided further.
const FEW: usize = 32;

/// Scratch memory: what is known of one row.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Largest logit of each span.
    maxima: Vec<f32>,
    /// `maxima`, in another order.
    selection: Vec<f32>,
    /// Per token, relative to the likeliest one, which has weight 1: `min_p` is a threshold.
    weights: Vec<f32>,
    /// Sums of `weights` by span.
    masses: Vec<f64>,
    /// Tokens with their logits or weights.
    entries: Vec<(u32, f32)>,
    /// Logits of `entries`.
    logits: Vec<f32>,
}

impl Candidates {
    /// The likeliest token; of equal ones the lowest.
    pub(super) fn likeliest_one(&mut self, logits: &[f32]) -> Result<TokenId, NonFiniteLogits> {
        let largest = self.look_at(logits)?;
        let span = position(&self.maxima, largest);
        let start = span * SPAN;
        Ok(TokenId(
            (start + position(&logits[start..], largest)) as u32,
        ))
    }

    /// Draws a token from the tempered and truncated distribution; `draw` is in `[0, 1)`.
    ///
    /// With `top_k` or `top_p` tokens take their shares of `[0, 1)` from the likeliest to the least
    /// likely one, otherwise in their own order.
    pub(super) fn draw(
        &mut self,
        logits: &[f32],
        params: &SamplingParams,
        draw: f64,
    ) -> Result<TokenId, NonFiniteLogits> {
        let largest = self.look_at(logits)?;
        // Zero times this is still zero where the temperature is next to nothing.
        let scale = params.temperature.recip().min(f32::MAX);
        match params.top_k {
            Some(k) => self.keep_top_k(logits, k as usize, largest, scale),
            None => {
                let (weights, masses) = (&mut self.weights, &mut self.masses);
                softmax::weigh(logits, largest, scale, weights, masses);
                if params.top_p >= 1.0 {
                    return Ok(self.draw_untruncated(params.min_p, draw));
                }
                self.keep_nucleus(logits, params.top_p);
            }
        }
        if params.top_k.is_some() && params.top_p < 1.0 {
            let wanted = mass(&self.entries) * f64::from(params.top_p);
            let kept = reach(&mut self.entries, wanted) + 1;
            self.entries.truncate(kept);
        }
        self.entries
            .retain(|&(_, weight)| weight > 0.0 && weight >= params.min_p);
        let passed = mass(&self.entries) * draw;
        let at = reach(&mut self.entries, passed.next_up());
        Ok(TokenId(self.entries[at].0))
    }

    /// The `count` likeliest tokens of `logits`, descending, ties in ascending order of token, with
    /// `value` of their logits.
    pub(super) fn likeliest(
        &mut self,
        logits: &[f32],
        count: usize,
        value: impl Fn(f32) -> f32,
    ) -> Vec<(TokenId, f32)> {
        softmax::span_maxima(logits, &mut self.maxima);
        self.keep_likeliest(logits, count);
        self.entries.sort_unstable_by(descending);
        self.entries
            .iter()
            .map(|&(token, logit)| (TokenId(token), value(logit)))
            .collect()
    }

    /// Finds the maxima of the spans; returns the largest.
    fn look_at(&mut self, logits: &[f32]) -> Result<f32, NonFiniteLogits> {
        softmax::span_maxima(logits, &mut self.maxima);
        let largest = self.maxima.iter().copied();
        let largest = largest.fold(f32::NEG_INFINITY, f32::max);
        if largest.is_finite() {
            Ok(largest)
        } else {
            Err(NonFiniteLogits)
        }
    }

    /// Fills `entries` with the tokens whose logits are not below the largest ones of `num_spans`
    /// spans: at least so many.
    fn collect(&mut self, logits: &[f32], num_spans: usize) {
        let mut least = f32::NEG_INFINITY;
        if num_spans <= self.maxima.len() {
            self.selection.clone_from(&self.maxima);
            let (_, found, _) = self
                .selection
                .select_nth_unstable_by(num_spans - 1, |a, b| b.total_cmp(a));
            least = *found;
        }
        self.entries.clear();
        let spans = logits.chunks(SPAN).zip(&self.maxima).zip(0u32..);
        for ((span, _), index) in spans.filter(|((_, max), _)| **max >= least) {
            let tokens = index * SPAN as u32..;
            let entries = tokens.zip(span.iter().copied());
            self.entries
                .extend(entries.filter(|entry| entry.1 >= least));
        }
    }

    /// Fills `entries` with the `count` likeliest tokens, in any order.
    fn keep_likeliest(&mut self, logits: &[f32], count: usize) {
        if count == 0 {
            self.entries.clear();
            return;
        }
        self.collect(logits, count);
        if count < self.entries.len() {
            self.entries.select_nth_unstable_by(count, descending);
            self.entries.truncate(count);
        }
    }

    /// Fills `entries` with the weights of the `k` likeliest tokens.
    fn keep_top_k(&mut self, logits: &[f32], k: usize, largest: f32, scale: f32) {
        self.keep_likeliest(logits, k);
        self.logits.clear();
        self.logits.extend(self.entries.iter().map(|entry| entry.1));
        let (weights, masses) = (&mut self.weights, &mut self.masses);
        softmax::weigh(&self.logits, largest, scale, weights, masses);
        for (entry, weight) in self.entries.iter_mut().zip(&self.weights) {
            entry.1 = *weight;
        }
    }

    /// Fills `entries` with the smallest set of likeliest tokens whose weights reach `top_p` of all
    /// weights.
    fn keep_nucleus(&mut self, logits: &[f32], top_p: f32) {
        let wanted = self.masses.iter().sum::<f64>() * f64::from(top_p);
        // Most distributions reach it within what a few spans show.
        self.collect(logits, self.maxima.len().div_ceil(4));
        for entry in &mut self.entries {
            entry.1 = self.weights[entry.0 as usize];
        }
        if mass(&self.entries) < wanted {
            let entries = (0..).zip(self.weights.iter().copied());
            self.entries.clear();
            self.entries.extend(entries.filter(|entry| entry.1 > 0.0));
        }
        let kept = reach(&mut self.entries, wanted) + 1;
        self.entries.truncate(kept);
    }

    /// Draws by `weights` and `masses`, in the order of tokens.
    fn draw_untruncated(&mut self, min_p: f32, draw: f64) -> TokenId {
        if min_p > 0.0 {
            self.drop_below(min_p);
        }
        let mut left = draw * self.masses.iter().sum::<f64>();
        let mut start = 0;
        let spans = (0..).step_by(SPAN).zip(&self.masses);
        for (first, &mass) in spans.filter(|(_, mass)| **mass > 0.0) {
            start = first;
            if left < mass {
                break;
            }
            left -= mass;
        }
        // Where rounding leaves a remainder behind the last span, its first token is as good as
        // its last.
        let mut drawn = start;
        for (token, &weight) in (start..).zip(self.weights[start..].iter().take(SPAN)) {
            if weight > 0.0 {
                drawn = token;
                left -= f64::from(weight);
                if left < 0.0 {
                    break;
                }
            }
        }
        TokenId(drawn as u32)
    }

    /// Makes weights below `min_p` impossible.
    fn drop_below(&mut self, min_p: f32) {
        for (weights, mass) in self.weights.chunks_mut(SPAN).zip(&mut self.masses) {
            // Far from what rounding does to a sum.
            if *mass < f64::from(min_p) * 0.5 {
                *mass = 0.0;
                continue;
            }
            for weight in &mut *weights {
                *weight = if *weight >= min_p { *weight } else { 0.0 };
            }
            *mass = weights.iter().copied().map(f64::from).sum();
        }
    }
}

/// Where `value`, which is there, first stands.
fn position(values: &[f32], value: f32) -> usize {
    let found = values.iter().position(|&other| other == value);
    found.expect("a maximum is one of the values")
}

fn mass(entries: &[(u32, f32)]) -> f64 {
    // Side by side, because an addition takes longer than its input is away.
    let mut sums = [0.0; 4];
    for part in entries.chunks(sums.len()) {
        for (sum, &(_, weight)) in sums.iter_mut().zip(part) {
            *sum += f64::from(weight);
        }
    }
    sums.into_iter().sum()
}

/// Moves the likeliest entries to the front, as many as it takes for their weights to reach
/// `wanted`, or all of them; returns the index of the least likely one.
fn reach(entries: &mut [(u32, f32)], wanted: f64) -> usize {
    let (mut start, mut end) = (0, entries.len());
    let mut left = wanted;
    while end - start > FEW {
        let middle = (end - start) / 2;
        let part = &mut entries[start..end];
        part.select_nth_unstable_by(middle, descending);
        let likelier = mass(&part[..middle]);
        if likelier >= left {
            end = start + middle;
        } else {
            left -= likelier;
            start += middle;
        }
    }
    entries[start..end].sort_unstable_by(descending);
    for (at, &(_, weight)) in (start..end).zip(&entries[start..end]) {
        left -= f64::from(weight);
        if left <= 0.0 {
            return at;
        }
    }
    end - 1
}

fn descending(a: &(u32, f32), b: &(u32, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}
