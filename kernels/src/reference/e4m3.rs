//! 8-bit floats: a sign, 4 bits of exponent with bias 7, 3 bits of mantissa.

/// The largest one; the next code is no number.
const LARGEST: f32 = 448.0;
/// Exponent of the smallest one with all of its mantissa; smaller ones have its step.
const SMALLEST_EXPONENT: i32 = -6;

/// The nearest e4m3, of two that are as near the even one: see [`KvDtype::Fp8`](crate::KvDtype::Fp8).
pub(super) fn round(value: f32) -> f32 {
    if value.is_nan() {
        return f32::NAN;
    }
    let magnitude = value.abs().min(LARGEST);
    let biased = (magnitude.to_bits() >> 23) as i32;
    let exponent = (biased - 127).max(SMALLEST_EXPONENT);
    // Of three bits of mantissa; powers of two, so that nothing else is rounded.
    let step = 2.0f32.powi(exponent - 3);
    ((magnitude / step).round_ties_even() * step).copysign(value)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::round;

    /// What a code means, as the specification says it.
    fn value_of(code: u8) -> f32 {
        let (exponent, mantissa) = (i32::from(code >> 3 & 15), f32::from(code & 7));
        let magnitude = match (exponent, code & 7) {
            (15, 7) => f32::NAN,
            (0, _) => mantissa / 8.0 * 2.0f32.powi(-6),
            _ => (1.0 + mantissa / 8.0) * 2.0f32.powi(exponent - 7),
        };
        if code < 128 { magnitude } else { -magnitude }
    }

    fn assert_same(got: f32, want: f32, of: f32) {
        let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
        assert!(same, "{of:e} became {got:e}, not {want:e}");
    }

    #[test]
    fn every_code_is_itself() {
        for code in 0..=255 {
            let value = value_of(code);
            assert_same(round(value), value, value);
        }
    }

    /// Between two neighbours: the nearer, and the even one from the middle.
    #[test]
    fn values_between_codes_become_the_nearest() {
        for code in 0..0x7e {
            let (below, above) = (value_of(code), value_of(code + 1));
            let middle = (below + above) / 2.0;
            let even = if code % 2 == 0 { below } else { above };
            for sign in [1.0, -1.0] {
                let check =
                    |value: f32, want: f32| assert_same(round(sign * value), sign * want, value);
                check(middle, even);
                check(middle.next_down(), below);
                check(middle.next_up(), above);
                check(below.next_up(), below);
                check(above.next_down(), above);
            }
        }
    }

    #[test]
    fn large_values_become_the_largest() {
        for value in [
            448.0f32.next_up(),
            464.0,
            465.0,
            480.0,
            1e30,
            f32::MAX,
            f32::INFINITY,
        ] {
            assert_same(round(value), 448.0, value);
            assert_same(round(-value), -448.0, -value);
        }
        assert!(round(f32::NAN).is_nan() && round(-f32::NAN).is_nan());
    }

    /// One in 4099 of all f32 that are finite and not too large, against candle's own type.
    #[test]
    fn values_are_rounded_as_candle_does() {
        let values: Vec<f32> = (0..=u32::MAX)
            .step_by(4099)
            .map(f32::from_bits)
            .filter(|value| value.abs() <= 448.0)
            .collect();
        let count = values.len();
        assert!(count > 500_000, "{count}");
        let tensor = Tensor::from_vec(values.clone(), count, &Device::Cpu).unwrap();
        let theirs = tensor.to_dtype(DType::F8E4M3).unwrap();
        let theirs: Vec<f32> = theirs.to_dtype(DType::F32).unwrap().to_vec1().unwrap();
        for (value, want) in values.into_iter().zip(theirs) {
            assert_same(round(value), want, value);
        }
    }
}
