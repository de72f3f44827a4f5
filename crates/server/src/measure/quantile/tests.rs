use super::quantile;

#[test]
fn quantiles_are_numpys() {
    // numpy.quantile([1, 2, 4, 8, 16], [0, .25, .5, .95, 1])
    let numbers = [1.0, 2.0, 4.0, 8.0, 16.0];
    let quantiles = [0.0, 0.25, 0.5, 0.95, 1.0].map(|share| quantile(&numbers, share));
    for (found, expected) in quantiles.iter().zip([1.0, 2.0, 4.0, 14.4, 16.0]) {
        assert!((found - expected).abs() < 1e-12, "{quantiles:?}");
    }
    assert_eq!(quantile(&[3.0, 4.0], 0.5), 3.5);
    assert_eq!(quantile(&[7.0], 0.95), 7.0);
}
