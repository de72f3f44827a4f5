//! How certain a figure is that was taken from a few episodes.
//!
//! Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), percentile intervals.
//! Episodes are drawn, not probes: probes of one episode succeed and fail together.

use serde::Serialize;

use crate::measure::quantile::quantile;
use crate::measure::random::Random;

/// Resamples of every interval.
pub(super) const RESAMPLES: usize = 10_000;

/// A figure and where it lies with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Interval {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// `statistic` of `units`, and its 95 % percentile interval over [`RESAMPLES`] resamples of the
/// units with replacement, drawn from `seed`.
///
/// `None` where `statistic` says nothing of the units themselves; resamples of which it says
/// nothing are left out. A single unit gives an interval of no width: it shows no spread.
pub(super) fn interval<T>(
    units: &[T],
    seed: u64,
    statistic: impl Fn(&[&T]) -> Option<f64>,
) -> Option<Interval> {
    let all: Vec<&T> = units.iter().collect();
    let value = statistic(&all)?;
    let mut random = Random::new(seed);
    let mut drawn = all.clone();
    let mut values: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            for unit in &mut drawn {
                *unit = all[random.below(all.len())];
            }
            statistic(&drawn)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    if values.is_empty() {
        return None;
    }
    Some(Interval {
        value,
        low: quantile(&values, 0.025),
        high: quantile(&values, 0.975),
    })
}

#[cfg(test)]
mod tests;
