#![expect(unsafe_code, reason = "loads and stores vectors")]

use super::{exp, exp2, tanh};
use crate::cpu::simd::{Isa, Kernel, LANES, Simd};

/// `out = e^x`
struct Exp<'a> {
    x: [f32; LANES],
    out: &'a mut [f32; LANES],
}

impl Kernel for Exp<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: both arrays have 16 elements.
        unsafe { simd.store(self.out.as_mut_ptr(), exp(simd, simd.load(self.x.as_ptr()))) }
    }
}

fn exp_of(isa: Isa, x: f32) -> f32 {
    let mut out = [f32::NAN; LANES];
    isa.run(Exp {
        x: [x; LANES],
        out: &mut out,
    });
    assert!(
        out.iter().all(|lane| lane.to_bits() == out[0].to_bits()),
        "lanes agree on e^{x}"
    );
    out[0]
}

#[test]
fn matches_f64() {
    for isa in Isa::available() {
        let mut worst = 0.0f64;
        for step in 0..200_000 {
            let x = -80.0 + step as f32 * (168.0 / 200_000.0);
            let want = f64::from(x).exp();
            worst = worst.max((f64::from(exp_of(isa, x)) - want).abs() / want);
        }
        assert!(worst < 2e-7, "{isa:?}: {worst:e}");
    }
}

#[test]
fn ends_are_defined() {
    for isa in Isa::available() {
        assert_eq!(exp_of(isa, 0.0).to_bits(), 1.0f32.to_bits());
        assert_eq!(exp_of(isa, -0.0).to_bits(), 1.0f32.to_bits());
        assert_eq!(exp_of(isa, -80.1), 0.0);
        assert_eq!(exp_of(isa, f32::NEG_INFINITY), 0.0);
        assert_eq!(exp_of(isa, 1000.0), exp_of(isa, 88.0));
        assert!(exp_of(isa, f32::INFINITY).is_finite());
        assert!(exp_of(isa, f32::NAN).is_nan());
    }
}

/// `out = 2^x`
struct Exp2<'a> {
    x: f32,
    out: &'a mut [f32; LANES],
}

impl Kernel for Exp2<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: the array has 16 elements.
        unsafe { simd.store(self.out.as_mut_ptr(), exp2(simd, simd.splat(self.x))) }
    }
}

fn exp2_of(isa: Isa, x: f32) -> f32 {
    let mut out = [f32::NAN; LANES];
    isa.run(Exp2 { x, out: &mut out });
    out[0]
}

#[test]
fn exp2_matches_f64() {
    for isa in Isa::available() {
        let mut worst = 0.0f64;
        for step in 0..=230_000 {
            let x = -115.0 + step as f32 * 5e-4;
            let want = f64::from(x).exp2();
            worst = worst.max((f64::from(exp2_of(isa, x)) - want).abs() / want);
        }
        assert!(worst < 2e-7, "{isa:?}: {worst:e}");
    }
}

#[test]
fn exp2_is_defined_below() {
    for isa in Isa::available() {
        assert_eq!(exp2_of(isa, 0.0).to_bits(), 1.0f32.to_bits());
        for x in [-115.1, -1e4, -5e6, -1e10, f32::MIN, f32::NEG_INFINITY] {
            assert_eq!(exp2_of(isa, x).to_bits(), 0, "{isa:?}: {x}");
        }
        assert!(exp2_of(isa, f32::NAN).is_nan());
    }
}

/// `out = tanh(x)`
struct Tanh<'a> {
    x: f32,
    out: &'a mut [f32; LANES],
}

impl Kernel for Tanh<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: the array has 16 elements.
        unsafe { simd.store(self.out.as_mut_ptr(), tanh(simd, simd.splat(self.x))) }
    }
}

#[test]
fn tanh_matches_f64() {
    for isa in Isa::available() {
        let mut worst = 0.0f64;
        for step in -50_000..=50_000 {
            let x = step as f32 * 1e-3;
            let mut out = [f32::NAN; LANES];
            isa.run(Tanh { x, out: &mut out });
            let want = f64::from(x).tanh();
            let error = (f64::from(out[0]) - want).abs();
            worst = worst.max(error);
            // As good as a float can be near zero.
            assert!(x.abs() > 0.2 || error <= 2e-7 * want.abs(), "{isa:?}: {x}");
        }
        assert!(worst < 2e-7, "{isa:?}: {worst:e}");
    }
}
