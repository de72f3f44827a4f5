//! Many measurements in seven numbers.

use serde::Serialize;

/// Quantiles of measurements, in their unit: the least value that so large a share does not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// The least.
    pub min: f64,
    /// A tenth is not above it.
    pub p10: f64,
    /// A quarter.
    pub p25: f64,
    /// A half.
    pub median: f64,
    /// Three quarters.
    pub p75: f64,
    /// Nine tenths.
    pub p90: f64,
    /// The greatest.
    pub max: f64,
}

/// The least of `values` that `percent` % of them do not exceed.
///
/// # Panics
/// If there are none, or one is not a number.
pub fn quantile(values: &[f64], percent: usize) -> f64 {
    at(&sorted(values), percent)
}

impl Quantiles {
    /// The quantiles of `values`, in any order.
    ///
    /// # Panics
    /// If there are none, or one is not a number.
    pub fn of(values: &[f64]) -> Self {
        let sorted = sorted(values);
        let at = |percent| at(&sorted, percent);
        Self {
            min: at(0),
            p10: at(10),
            p25: at(25),
            median: at(50),
            p75: at(75),
            p90: at(90),
            max: at(100),
        }
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    assert!(!values.is_empty(), "quantiles are of at least one value");
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("measurements are numbers"));
    sorted
}

fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_least_value_that_the_share_does_not_exceed() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        let expected = Quantiles {
            min: 1.0,
            p10: 2.0,
            p25: 5.0,
            median: 10.0,
            p75: 15.0,
            p90: 18.0,
            max: 20.0,
        };
        assert_eq!(Quantiles::of(&values), expected);
        assert_eq!(Quantiles::of(&[3.0]).p10, 3.0);
        assert_eq!(quantile(&values, 99), 20.0);
        assert_eq!(quantile(&values, 95), 19.0);
    }
}
