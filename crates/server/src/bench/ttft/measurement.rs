//! One measured request.

use serde::Serialize;

use super::args::HitRate;
use crate::measure::client::StreamAnswer;

/// What was asked for and what came of it; times in milliseconds, counts in tokens.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measurement {
    /// From 0.
    pub(super) repetition: u32,
    /// Place in the whole run, from 0.
    pub(super) order: u32,
    /// Percent.
    pub(super) hit_rate_asked: HitRate,
    /// Percent; `None` where the server does not report cached tokens.
    pub(super) hit_rate_observed: Option<f64>,
    pub(super) prompt_tokens_asked: u32,
    pub(super) prompt_tokens: Option<u64>,
    pub(super) cached_tokens: Option<u64>,
    pub(super) completion_tokens: Option<u64>,
    pub(super) ttft_ms: f64,
    /// Until the stream's last event.
    pub(super) total_ms: f64,
    /// TTFT of the request that warmed the cache.
    pub(super) warming_ttft_ms: Option<f64>,
}

/// The place of a measurement in a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) repetition: u32,
    pub(super) order: u32,
    pub(super) hit_rate: HitRate,
    pub(super) prompt_tokens: u32,
}

impl Measurement {
    pub(super) fn new(place: Place, warming: Option<&StreamAnswer>, answer: &StreamAnswer) -> Self {
        let usage = answer.usage;
        let observed = match (usage.cached_tokens, usage.prompt_tokens) {
            (Some(cached), Some(prompt)) if prompt > 0 => {
                Some(cached as f64 / prompt as f64 * 100.0)
            }
            _ => None,
        };
        Self {
            repetition: place.repetition,
            order: place.order,
            hit_rate_asked: place.hit_rate,
            hit_rate_observed: observed,
            prompt_tokens_asked: place.prompt_tokens,
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: usage.cached_tokens,
            completion_tokens: usage.completion_tokens,
            ttft_ms: answer.ttft.as_secs_f64() * 1e3,
            total_ms: answer.total.as_secs_f64() * 1e3,
            warming_ttft_ms: warming.map(|warming| warming.ttft.as_secs_f64() * 1e3),
        }
    }

    /// Prompt tokens that were not in the cache, by the server's own count.
    pub(super) fn uncached_reported(&self) -> Option<f64> {
        let (prompt, cached) = (self.prompt_tokens?, self.cached_tokens?);
        Some(prompt.saturating_sub(cached) as f64)
    }

    /// The same by what was asked for.
    pub(super) fn uncached_asked(&self) -> f64 {
        let prompt = self
            .prompt_tokens
            .unwrap_or(u64::from(self.prompt_tokens_asked));
        prompt as f64 * (1.0 - self.hit_rate_asked.percent() / 100.0)
    }
}
