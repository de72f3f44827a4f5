use half::bf16;

use super::KvElement;

#[test]
fn bf16_rounds_as_half_does() {
    // Every exponent and sign, with the mantissas next to ties and to overflow.
    for high in 0..=u16::MAX {
        for low in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
            let x = f32::from_bits(u32::from(high) << 16 | low);
            let want = bf16::from_f32(x).to_bits();
            assert_eq!(bf16::encode(x, 1.0).to_bits(), want, "{x:e}");
        }
    }
}

#[test]
fn int8_rounds_ties_to_even() {
    for (x, want) in [(0.5, 0), (1.5, 2), (-2.5, -2), (126.5, 126), (-127.0, -127)] {
        assert_eq!(i8::encode(x, 1.0), want, "{x}");
        assert_eq!(i8::encode(x * 8.0, 0.125), want, "{x}");
    }
    assert_eq!(i8::encode(-0.0, 1.0), 0);
}

#[test]
fn int8_scales_by_the_largest() {
    assert_eq!(i8::scale(&[1.0, -254.0, 3.0]), 2.0);
    assert_eq!(i8::scale(&[0.0, -0.0]), 0.0);
    for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(i8::scale(&[1.0, x, 2.0]).is_nan(), "{x} among others");
    }
}
