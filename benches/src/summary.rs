//! Repetitions in three numbers.

use serde::Serialize;

/// Median and range of repeated measurements, in their unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The middle one; the mean of the two middle ones when there is an even number.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Summary {
    /// Summarises `values`, in any order.
    ///
    /// # Panics
    /// If there are none, or one is not a number.
    pub fn of(values: &[f64]) -> Self {
        assert!(!values.is_empty(), "a summary is of at least one value");
        let mut sorted = values.to_vec();
        sorted.sort_by(|a, b| a.partial_cmp(b).expect("measurements are numbers"));
        let (low, high) = ((sorted.len() - 1) / 2, sorted.len() / 2);
        Self {
            median: (sorted[low] + sorted[high]) / 2.0,
            min: sorted[0],
            max: sorted[sorted.len() - 1],
        }
    }
}

#[cfg(test)]
mod tests;
