use super::interval;

fn mean(units: &[&f64]) -> Option<f64> {
    (!units.is_empty()).then(|| units.iter().copied().sum::<f64>() / units.len() as f64)
}

#[test]
fn one_unit_and_equal_units_have_no_width() {
    for units in [vec![0.25], vec![0.25; 9]] {
        let found = interval(&units, 7, mean).unwrap();
        assert_eq!((found.value, found.low, found.high), (0.25, 0.25, 0.25));
    }
}

#[test]
fn two_units_reach_from_one_to_the_other() {
    // Both draws are 0 with probability 1/4 and both 1 with 1/4, which is more than 2.5 %.
    let found = interval(&[0.0, 1.0], 7, mean).unwrap();
    assert_eq!((found.value, found.low, found.high), (0.5, 0.0, 1.0));
}

#[test]
fn six_coins_leave_out_the_outermost_outcomes() {
    // Three of six are 1: the sum of a resample is binomial (6, 1/2). 0 has probability 1/64, less
    // than 2.5 %, and at most 1 has 7/64, so the 2.5 % quantile is 1; by symmetry the other is 5.
    let found = interval(&[0.0, 0.0, 0.0, 1.0, 1.0, 1.0], 7, mean).unwrap();
    assert_eq!(
        (found.value, found.low, found.high),
        (0.5, 1.0 / 6.0, 5.0 / 6.0)
    );
}

#[test]
fn a_pair_is_drawn_together() {
    // The difference is 0.5 in every pair, however much the pairs differ.
    let pairs = [(0.0, 0.5), (0.5, 1.0), (0.25, 0.75)];
    let difference = |units: &[&(f64, f64)]| {
        Some(units.iter().map(|(a, b)| b - a).sum::<f64>() / units.len() as f64)
    };
    let found = interval(&pairs, 7, difference).unwrap();
    assert_eq!((found.value, found.low, found.high), (0.5, 0.5, 0.5));
}

#[test]
fn the_seed_decides() {
    let units: Vec<f64> = (0..20).map(|n| f64::from(n * n % 7)).collect();
    assert_eq!(interval(&units, 3, mean), interval(&units, 3, mean));
    assert!(interval(&[0.0; 0], 3, mean).is_none());
}
