//! One choice's figures as they come about.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Admission, Completion, FinishReason};

use super::context::Forecast;
use super::series::{FinishLabels, MissLabels, Series};
use crate::clock;
use crate::records::cause_name;

/// Follows a choice from its submission to its end; dropped before the end, it counts as aborted.
pub struct RequestMetrics {
    series: Arc<Series>,
    started: Instant,
    first_token: Option<Instant>,
    last_token: Option<Instant>,
    num_tokens: usize,
    prompt_tokens: usize,
    cached_tokens: usize,
    /// What was said of it before it ran, if its context is budgeted.
    forecast: Option<Forecast>,
    /// What should lie between submission and first token, as of the admission.
    predicted_ttft: Option<Duration>,
    ended: bool,
    /// The HTTP request's, for the log line: a stream ends outside of its handler.
    span: tracing::Span,
}

impl RequestMetrics {
    pub(super) fn new(series: Arc<Series>, max_tokens: usize) -> Self {
        series.request_max_tokens.observe(max_tokens as f64);
        Self {
            series,
            started: clock::now(),
            first_token: None,
            last_token: None,
            num_tokens: 0,
            prompt_tokens: 0,
            cached_tokens: 0,
            forecast: None,
            predicted_ttft: None,
            ended: false,
            span: tracing::Span::current(),
        }
    }

    /// Compares it with what was said of it before it ran.
    pub fn expect(&mut self, forecast: Forecast) {
        self.forecast = Some(forecast);
    }

    /// The engine has admitted it: the one moment at which prefix hits are counted.
    pub fn admitted(&mut self, admission: &Admission, prompt_tokens: usize) {
        let series = &self.series;
        (self.prompt_tokens, self.cached_tokens) = (prompt_tokens, admission.cached_tokens);
        series.prompt_tokens.inc_by(prompt_tokens as u64);
        series.prefix_queries.inc_by(prompt_tokens as u64);
        series.prefix_hits.inc_by(admission.cached_tokens as u64);
        series.request_prompt_tokens.observe(prompt_tokens as f64);
        if let Some(forecast) = &self.forecast {
            let cached_tokens = admission.cached_tokens;
            series
                .context
                .admitted(forecast, prompt_tokens, cached_tokens);
        }
        let predicted = admission.queue_time + admission.predicted_prefill;
        series
            .latencies
            .predicted_ttft
            .observe(predicted.as_secs_f64());
        // Without a measurement there is no prediction to be right or wrong.
        self.predicted_ttft = (!admission.predicted_prefill.is_zero()).then_some(predicted);
        series
            .latencies
            .queue
            .observe(admission.queue_time.as_secs_f64());
        if let Some(miss) = admission.miss {
            let cause = cause_name(miss.cause);
            series.misses.get_or_create(&MissLabels { cause }).inc();
        }
    }

    /// The prompt was computed, in steps that took so long.
    pub fn prefilled(&mut self, step_time: Duration) {
        if let Some(forecast) = &self.forecast {
            self.series.context.prefilled(forecast, step_time);
        }
    }

    /// A token has arrived; with the first, the time to it.
    pub fn token(&mut self) -> Option<Duration> {
        let now = clock::now();
        let ttft = self.last_token.is_none().then(|| now - self.started);
        match self.last_token {
            None => {
                self.first_token = Some(now);
                let ttft = (now - self.started).as_secs_f64();
                let latencies = &self.series.latencies;
                latencies.ttft.observe(ttft);
                if let Some(predicted) = self.predicted_ttft {
                    let ratio = predicted.as_secs_f64() / ttft.max(f64::MIN_POSITIVE);
                    latencies.ttft_prediction.observe(ratio);
                }
            }
            Some(last) => self
                .series
                .latencies
                .itl
                .observe((now - last).as_secs_f64()),
        }
        self.last_token = Some(now);
        self.num_tokens += 1;
        ttft
    }

    /// The engine has finished it.
    pub fn completed(&mut self, completion: &Completion) {
        self.series
            .latencies
            .prefill
            .observe(completion.prefill_time.as_secs_f64());
        self.series
            .latencies
            .decode
            .observe(completion.decode_time.as_secs_f64());
        let inference = completion.prefill_time + completion.decode_time;
        self.series
            .latencies
            .inference
            .observe(inference.as_secs_f64());
        self.num_tokens = completion.completion_tokens;
        self.end(match completion.reason {
            FinishReason::Stop(_) => "stop",
            FinishReason::Length => "length",
        });
    }

    /// A stop string has ended it.
    pub fn stopped(&mut self) {
        self.end("stop");
    }

    /// It has no answer.
    pub fn failed(&mut self) {
        self.end("error");
    }

    /// The engine has not taken it: it never was a request of the engine's, and refusals are counted
    /// by themselves.
    pub fn refused(&mut self) {
        self.ended = true;
    }

    fn end(&mut self, finished_reason: &'static str) {
        self.ended = true;
        let series = &self.series;
        series
            .finished
            .get_or_create(&FinishLabels { finished_reason })
            .inc();
        series
            .request_generation_tokens
            .observe(self.num_tokens as f64);
        let total = clock::now() - self.started;
        series.latencies.e2e.observe(total.as_secs_f64());
        if let (Some(first), Some(last)) = (self.first_token, self.last_token)
            && self.num_tokens > 1
        {
            let per_token = (last - first).as_secs_f64() / (self.num_tokens - 1) as f64;
            series.latencies.time_per_output_token.observe(per_token);
        }
        let ttft = self
            .first_token
            .map(|first| (first - self.started).as_secs_f64() * 1e3);
        tracing::info!(
            parent: &self.span,
            finished_reason,
            prompt_tokens = self.prompt_tokens,
            cached_tokens = self.cached_tokens,
            completion_tokens = self.num_tokens,
            ttft_ms = ttft,
            total_ms = total.as_secs_f64() * 1e3,
            "answered"
        );
    }
}

impl Drop for RequestMetrics {
    fn drop(&mut self) {
        if !self.ended {
            self.end("abort");
        }
    }
}
