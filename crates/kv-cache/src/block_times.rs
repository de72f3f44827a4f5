//! How long blocks live.

use std::time::Duration;

/// Upper bounds of [`TimeCounts`] in seconds, inclusive: powers of two from 1/16 s to about 2.3 h.
pub const TIME_BOUNDS: [f64; 18] = [
    0.062_5, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0,
    2_048.0, 4_096.0, 8_192.0,
];

/// Durations, counted per bound.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TimeCounts {
    /// Durations up to each of [`TIME_BOUNDS`] and above the one before; one more for the rest.
    pub counts: [u64; TIME_BOUNDS.len() + 1],
    /// Sum of the durations in seconds.
    pub sum: f64,
}

impl TimeCounts {
    /// Durations so far.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.counts[TIME_BOUNDS.partition_point(|&bound| bound < seconds)] += 1;
        self.sum += seconds;
    }
}

/// How long the blocks of the cache live, as vLLM's `kv_block_*` metrics count it; full blocks
/// only.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BlockTimes {
    /// From the moment that a block is full to its eviction.
    pub lifetime: TimeCounts,
    /// From the moment that nobody holds a block any more to its eviction.
    pub idle_before_evict: TimeCounts,
    /// From the moment that nobody holds a block any more to its next use.
    pub reuse_gap: TimeCounts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_under_the_bound_that_holds_them() {
        let mut counts = TimeCounts::default();
        for millis in [0, 62, 63, 1_000, 1_001, 10_000_000] {
            counts.record(Duration::from_millis(millis));
        }
        let mut expected = [0; TIME_BOUNDS.len() + 1];
        for at in [0, 0, 1, 4, 5, 18] {
            expected[at] += 1;
        }
        assert_eq!(counts.counts, expected);
        assert_eq!(counts.count(), 6);
        assert!((counts.sum - 10_002.126).abs() < 1e-9);
    }
}
