use super::{ratio, select};
use crate::measure::quantile::quantile;
use crate::measure::random::Random;

/// `len` numbers around `middle`, each a cluster.
fn numbers(random: &mut Random, len: usize, middle: f64) -> Vec<Vec<f64>> {
    let number = |_| vec![middle * (0.9 + 0.2 * random.below(1 << 20) as f64 / f64::from(1 << 20))];
    (0..len).map(number).collect()
}

#[test]
fn selecting_is_sorting() {
    let mut random = Random::new(4);
    for len in [1, 2, 3, 10, 101] {
        let mut numbers: Vec<f64> = (0..len).map(|_| random.below(50) as f64).collect();
        let mut sorted = numbers.clone();
        sorted.sort_by(f64::total_cmp);
        for share in [0.0, 0.3, 0.5, 0.95, 1.0] {
            assert_eq!(select(&mut numbers, share), quantile(&sorted, share));
        }
    }
}

#[test]
fn the_interval_holds_the_ratio_about_as_often_as_it_says() {
    let mut random = Random::new(7);
    let (mut held, mut held_one) = (0, 0);
    for _ in 0..60 {
        let a = numbers(&mut random, 60, 100.0);
        let b = numbers(&mut random, 60, 150.0);
        let interval = ratio([&a, &b], 0.5, &mut random);
        assert!(interval.low <= interval.ratio && interval.ratio <= interval.high);
        held += usize::from((interval.low..=interval.high).contains(&1.5));
        held_one += usize::from((interval.low..=interval.high).contains(&1.0));
    }
    // 57 are expected.
    assert!(held >= 51, "{held} of 60");
    assert_eq!(held_one, 0);
}

#[test]
fn numbers_of_a_request_are_not_taken_for_independent() {
    let mut random = Random::new(8);
    let wide = |random: &mut Random| -> Vec<Vec<f64>> {
        let requests = numbers(random, 30, 100.0);
        requests.iter().map(|one| vec![one[0]; 50]).collect()
    };
    let (a, b) = (wide(&mut random), wide(&mut random));
    let together = ratio([&a, &b], 0.5, &mut random);
    let apart = |clusters: &[Vec<f64>]| -> Vec<Vec<f64>> {
        clusters.iter().flatten().map(|&x| vec![x]).collect()
    };
    let (a, b) = (apart(&a), apart(&b));
    let taken_apart = ratio([&a, &b], 0.5, &mut random);
    let width = |interval: super::Interval| interval.high - interval.low;
    assert!(width(together) > 3.0 * width(taken_apart));
}
