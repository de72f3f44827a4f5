//! Percentiles per hit rate.

use serde::Serialize;

use super::args::HitRate;
use super::line::{Line, UncachedCounts};
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
    /// `p50_ms` by what the line through the medians says of as many uncached tokens.
    pub(super) ratio_to_line: Option<f64>,
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

/// The line through the medians of `rows`, which are those of `measurements`; the rows' ratios to
/// it are set. `None` as for [`Line::through`].
pub(super) fn line_of_medians(rows: &mut [Row], measurements: &[Measurement]) -> Option<Line> {
    let counts = UncachedCounts::of(measurements);
    let uncached = |row: &Row| {
        let of_row = measurements.iter().zip(&counts.tokens);
        let mut tokens: Vec<f64> = of_row
            .filter(|(measurement, _)| measurement.hit_rate_asked == row.hit_rate_asked)
            .map(|(_, &tokens)| tokens)
            .collect();
        tokens.sort_by(f64::total_cmp);
        quantile(&tokens, 0.5)
    };
    let x: Vec<f64> = rows.iter().map(uncached).collect();
    let y: Vec<f64> = rows.iter().map(|row| row.p50_ms).collect();
    let line = Line::through(&x, &y, counts.from)?;
    for (row, &tokens) in rows.iter_mut().zip(&x) {
        row.ratio_to_line = Some(row.p50_ms / line.at(tokens));
    }
    Some(line)
}

/// `rate` is one of the measurements'; the ratios are left open.
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
        ratio_to_line: None,
    }
}

pub(super) fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[cfg(test)]
mod tests;
