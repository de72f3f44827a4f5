use std::time::Duration;

use super::{Arrivals, Rate};
use crate::measure::random::Random;

/// Gaps in seconds.
fn gaps(rate: &str, burstiness: f64) -> Vec<f64> {
    let mut arrivals = Arrivals::new(rate.parse().unwrap(), burstiness);
    let mut random = Random::new(9);
    let times: Vec<Duration> = (0..20_001).map(|_| arrivals.next(&mut random)).collect();
    assert_eq!(times[0], Duration::ZERO);
    times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64())
        .collect()
}

/// Mean, and standard deviation by mean.
fn moments(gaps: &[f64]) -> (f64, f64) {
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    (mean, variance.sqrt() / mean)
}

#[test]
fn the_rate_is_kept_and_burstiness_is_the_shape_of_gaps() {
    for burstiness in [0.25, 1.0, 4.0] {
        let (mean, variation) = moments(&gaps("20", burstiness));
        assert!((mean - 0.05).abs() < 0.003, "{burstiness}: {mean}");
        // Of a gamma distribution: 1 / sqrt(shape).
        let want = 1.0 / burstiness.sqrt();
        assert!(
            (variation / want - 1.0).abs() < 0.05,
            "{burstiness}: {variation}"
        );
    }
}

#[test]
fn at_an_infinite_rate_all_come_at_once() {
    assert!(gaps("inf", 1.0).iter().all(|&gap| gap == 0.0));
}

#[test]
fn a_rate_is_above_zero() {
    for text in ["0", "-2", "nan", "often", ""] {
        assert!(text.parse::<Rate>().is_err(), "{text:?}");
    }
    assert_eq!("2.5".parse::<Rate>().unwrap().to_string(), "2.5");
    assert_eq!("inf".parse::<Rate>().unwrap().to_string(), "inf");
}
