//! What a token costs.

use serde::Serialize;

use super::measurement::Measurement;
use super::summary::mean;

/// TTFT = `fixed_ms` + `ms_per_token` * uncached tokens, by least squares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Line {
    pub(super) fixed_ms: f64,
    pub(super) ms_per_token: f64,
    /// `None` where more tokens do not take longer.
    pub(super) prefill_tokens_per_second: Option<f64>,
    /// The share of the variance that the line explains.
    pub(super) r_squared: f64,
    /// Where the counts of uncached tokens come from: `usage` or `asked`.
    pub(super) uncached_tokens_from: &'static str,
}

/// The uncached tokens of each measurement.
#[derive(Debug)]
pub(super) struct UncachedCounts {
    pub(super) tokens: Vec<f64>,
    /// `usage` if the server counted those of all measurements, or else `asked`.
    pub(super) from: &'static str,
}

impl Line {
    /// Through all measurements; `None` as for [`Line::through`].
    pub(super) fn of_all(measurements: &[Measurement]) -> Option<Self> {
        let counts = UncachedCounts::of(measurements);
        let times: Vec<f64> = measurements.iter().map(|m| m.ttft_ms).collect();
        Self::through(&counts.tokens, &times, counts.from)
    }

    /// `None` with fewer than two different counts of `tokens`.
    pub(super) fn through(tokens: &[f64], times: &[f64], from: &'static str) -> Option<Self> {
        let (fixed_ms, ms_per_token, r_squared) = least_squares(tokens, times)?;
        Some(Self {
            fixed_ms,
            ms_per_token,
            prefill_tokens_per_second: (ms_per_token > 0.0).then(|| 1e3 / ms_per_token),
            r_squared,
            uncached_tokens_from: from,
        })
    }

    /// What it says of a prompt with so many uncached tokens, in milliseconds.
    pub(super) fn at(&self, uncached_tokens: f64) -> f64 {
        self.fixed_ms + self.ms_per_token * uncached_tokens
    }
}

impl UncachedCounts {
    pub(super) fn of(measurements: &[Measurement]) -> Self {
        let reported: Option<Vec<f64>> = measurements
            .iter()
            .map(Measurement::uncached_reported)
            .collect();
        let asked = || measurements.iter().map(Measurement::uncached_asked);
        let from = if reported.is_some() { "usage" } else { "asked" };
        Self {
            tokens: reported.unwrap_or_else(|| asked().collect()),
            from,
        }
    }
}

/// Intercept, slope and R² of the line through (`x`, `y`).
fn least_squares(x: &[f64], y: &[f64]) -> Option<(f64, f64, f64)> {
    if x.len() < 2 {
        return None;
    }
    let (mean_x, mean_y) = (mean(x), mean(y));
    let deviations = || x.iter().zip(y).map(|(x, y)| (x - mean_x, y - mean_y));
    let xx: f64 = deviations().map(|(x, _)| x * x).sum();
    let xy: f64 = deviations().map(|(x, y)| x * y).sum();
    let yy: f64 = deviations().map(|(_, y)| y * y).sum();
    if xx == 0.0 {
        return None;
    }
    let slope = xy / xx;
    let r_squared = if yy == 0.0 { 1.0 } else { slope * xy / yy };
    Some((mean_y - slope * mean_x, slope, r_squared))
}
