//! Percentiles per hit rate, and what a token costs.

use serde::Serialize;

use super::args::HitRate;
use super::measurement::Measurement;
use crate::measure::quantile::quantile;

/// The measurements of one hit rate; times in milliseconds, rates in percent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) hit_rate_asked: HitRate,
    /// Mean; `None` unless every measurement has it.
    pub(super) hit_rate_observed: Option<f64>,
    pub(super) n: usize,
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) min_ms: f64,
    pub(super) max_ms: f64,
    /// `p50_ms` by that of 0 %; `None` if 0 % was not measured.
    pub(super) ratio_to_cold: Option<f64>,
}

/// TTFT = `fixed_ms` + `ms_per_token` * uncached tokens, by least squares over all measurements.
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

/// One row per hit rate that was measured, in rising order.
pub(super) fn rows(measurements: &[Measurement]) -> Vec<Row> {
    let mut rates: Vec<HitRate> = measurements.iter().map(|m| m.hit_rate_asked).collect();
    rates.sort_by(|a, b| a.percent().total_cmp(&b.percent()));
    rates.dedup();
    let mut rows: Vec<Row> = rates.iter().map(|&rate| row(measurements, rate)).collect();
    let cold = rows
        .iter()
        .find(|row| row.hit_rate_asked.percent() == 0.0)
        .map(|row| row.p50_ms);
    for row in &mut rows {
        row.ratio_to_cold = cold.map(|cold| row.p50_ms / cold);
    }
    rows
}

/// `None` with fewer than two different counts of uncached tokens.
pub(super) fn line(measurements: &[Measurement]) -> Option<Line> {
    let reported: Option<Vec<f64>> = measurements
        .iter()
        .map(Measurement::uncached_reported)
        .collect();
    let (tokens, from) = match reported {
        Some(tokens) => (tokens, "usage"),
        None => (
            measurements
                .iter()
                .map(Measurement::uncached_asked)
                .collect(),
            "asked",
        ),
    };
    let times: Vec<f64> = measurements.iter().map(|m| m.ttft_ms).collect();
    let (fixed_ms, ms_per_token, r_squared) = least_squares(&tokens, &times)?;
    Some(Line {
        fixed_ms,
        ms_per_token,
        prefill_tokens_per_second: (ms_per_token > 0.0).then(|| 1e3 / ms_per_token),
        r_squared,
        uncached_tokens_from: from,
    })
}

/// `rate` is one of the measurements'; the ratio to cold is left open.
fn row(measurements: &[Measurement], rate: HitRate) -> Row {
    let of_rate = || measurements.iter().filter(|m| m.hit_rate_asked == rate);
    let mut times: Vec<f64> = of_rate().map(|m| m.ttft_ms).collect();
    times.sort_by(f64::total_cmp);
    let observed: Option<Vec<f64>> = of_rate().map(|m| m.hit_rate_observed).collect();
    Row {
        hit_rate_asked: rate,
        hit_rate_observed: observed.map(|rates| mean(&rates)),
        n: times.len(),
        p50_ms: quantile(&times, 0.5),
        p95_ms: quantile(&times, 0.95),
        min_ms: quantile(&times, 0.0),
        max_ms: quantile(&times, 1.0),
        ratio_to_cold: None,
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

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[cfg(test)]
mod tests;
