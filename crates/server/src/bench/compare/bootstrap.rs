//! How sure a ratio is: the percentile bootstrap (Efron, "Bootstrap Methods: Another Look at the
//! Jackknife", 1979).

use serde::Serialize;

use crate::measure::quantile::quantile;
use crate::measure::random::Random;

/// Times that both runs are drawn anew.
const DRAWS: usize = 2000;

/// A ratio, and where 95 % of the ratios lie that runs as these would give.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Interval {
    pub(super) ratio: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The `share` quantile of all numbers.
///
/// # Panics
/// If there are none.
pub(super) fn quantile_of(clusters: &[Vec<f64>], share: f64) -> f64 {
    let mut numbers: Vec<f64> = clusters.iter().flatten().copied().collect();
    numbers.sort_by(f64::total_cmp);
    quantile(&numbers, share)
}

/// The ratio of the second run's quantile to the first one's. Whole clusters are drawn, because the
/// numbers of a request resemble each other.
///
/// # Panics
/// If a run has no numbers.
pub(super) fn ratio(clusters: [&[Vec<f64>]; 2], share: f64, random: &mut Random) -> Interval {
    let mut ratios = Vec::with_capacity(DRAWS);
    let mut drawn = Vec::new();
    for _ in 0..DRAWS {
        let [a, b] = clusters.map(|clusters| {
            drawn.clear();
            for _ in clusters {
                drawn.extend_from_slice(&clusters[random.below(clusters.len())]);
            }
            select(&mut drawn, share)
        });
        ratios.push(b / a);
    }
    ratios.sort_by(f64::total_cmp);
    let [a, b] = clusters.map(|clusters| quantile_of(clusters, share));
    Interval {
        ratio: b / a,
        low: quantile(&ratios, 0.025),
        high: quantile(&ratios, 0.975),
    }
}

/// As [`quantile`], of numbers in any order.
fn select(numbers: &mut [f64], share: f64) -> f64 {
    let at = share * (numbers.len() - 1) as f64;
    let (_, below, rest) = numbers.select_nth_unstable_by(at.floor() as usize, f64::total_cmp);
    let next = rest.iter().copied().min_by(f64::total_cmp);
    let next = next.unwrap_or(*below);
    *below + (next - *below) * at.fract()
}

#[cfg(test)]
mod tests;
