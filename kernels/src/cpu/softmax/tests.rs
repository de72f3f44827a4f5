use super::{LANES, SPAN, SumExp, Weigh, largest, span_maxima};
use crate::cpu::simd::Isa;

const LENGTHS: [usize; 9] = [
    1,
    LANES - 1,
    LANES,
    SPAN - 1,
    SPAN,
    SPAN + 1,
    3 * SPAN + 17,
    4_096,
    150_001,
];

/// Logits in [-20, 20], in no order.
fn row(len: usize) -> Vec<f32> {
    (0..len)
        .map(|at| ((at * 7_919 % 1_009) as f32 - 500.0) / 25.0)
        .collect()
}

#[test]
fn maxima_are_those_of_the_spans() {
    for len in LENGTHS {
        let row = row(len);
        let mut maxima = vec![f32::NAN; 3];
        span_maxima(&row, &mut maxima);
        let expected: Vec<f32> = row
            .chunks(SPAN)
            .map(|span| span.iter().copied().fold(f32::NEG_INFINITY, f32::max))
            .collect();
        assert_eq!(maxima, expected, "{len} logits");
        let expected = expected.into_iter().fold(f32::NEG_INFINITY, f32::max);
        assert_eq!(largest(&row), expected);
    }
    assert_eq!(largest(&[]), f32::NEG_INFINITY);
}

#[test]
fn weights_and_sums_are_those_of_double_precision() {
    for isa in Isa::available() {
        for len in LENGTHS {
            let row = row(len);
            let largest = largest(&row);
            let mut sum = 0.0;
            isa.run(SumExp {
                row: &row,
                largest,
                out: &mut sum,
            });
            let exact = |scale: f64| {
                row.iter()
                    .map(move |&logit| ((f64::from(logit) - f64::from(largest)) * scale).exp())
            };
            let want: f64 = exact(1.0).sum();
            assert!((sum - want).abs() < 3e-7 * want, "{isa:?}: {sum} of {len}");

            let (mut weights, mut masses) = (vec![f32::NAN; len], vec![0.0; len.div_ceil(SPAN)]);
            isa.run(Weigh {
                row: &row,
                largest,
                scale: 1.25,
                weights: &mut weights,
                masses: &mut masses,
            });
            for (&weight, want) in weights.iter().zip(exact(1.25)) {
                // The exponent itself is rounded: at most 50 to 24 bits, twice.
                let error = (f64::from(weight) - want).abs();
                assert!(error < 8e-6 * want, "{isa:?}: {weight}, not {want}");
            }
            for (mass, span) in masses.iter().zip(weights.chunks(SPAN)) {
                let want: f64 = span.iter().copied().map(f64::from).sum();
                assert!((mass - want).abs() <= 3e-7 * want, "{isa:?}: {mass}");
            }
        }
    }
}

#[test]
fn what_is_impossible_weighs_nothing() {
    let mut row = vec![0.5; SPAN + 3];
    row[1] = f32::NEG_INFINITY;
    row[2] = f32::NAN;
    row[SPAN] = f32::NAN;
    assert_eq!(largest(&row), 0.5);
    for isa in Isa::available() {
        let (mut weights, mut masses) = (vec![f32::NAN; row.len()], vec![0.0; 2]);
        isa.run(Weigh {
            row: &row,
            largest: 0.5,
            scale: f32::MAX,
            weights: &mut weights,
            masses: &mut masses,
        });
        assert_eq!(weights[..4], [1.0, 0.0, 0.0, 1.0], "{isa:?}");
        assert_eq!(masses, [(SPAN - 2) as f64, 2.0], "{isa:?}");
    }
    assert_eq!(largest(&[f32::NAN; 3]), f32::NEG_INFINITY);
    assert_eq!(largest(&[0.0, f32::INFINITY]), f32::INFINITY);
}
