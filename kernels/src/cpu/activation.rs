//! The non-linear functions of feed-forward networks, and the soft cap.

#![expect(unsafe_code, reason = "vector loads and stores through pointers")]

use std::ops::Range;

use crate::Activation;
use crate::cpu::exp::{exp, tanh};
use crate::cpu::simd::{Kernel, LANES, Simd, load_partial, store_partial};

/// `out = activation(gate) * up` for some rows and columns, which nobody else touches meanwhile
/// (Shazeer, "GLU Variants Improve Transformer", 2020).
pub(crate) struct GatedUnit {
    pub(crate) activation: Activation,
    /// `[_, 2 * cols]`, gate first.
    pub(crate) gate_up: *const f32,
    pub(crate) cols: usize,
    pub(crate) rows: Range<usize>,
    /// Of the gate.
    pub(crate) columns: Range<usize>,
    /// `[_, cols]`
    pub(crate) out: *mut f32,
}

/// `values = activation(values)`.
pub(crate) struct Activated<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) activation: Activation,
}

/// `values = cap * tanh(values / cap)`.
pub(crate) struct Cap<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) cap: f32,
}

/// An activation. Implementations are `#[inline(always)]`.
trait Unit: Copy {
    /// Of one value.
    fn activate<S: Simd>(self, simd: S, x: S::Vector) -> S::Vector;

    /// Of a gate, times what it lets through.
    #[inline(always)]
    fn gate<S: Simd>(self, simd: S, gate: S::Vector, up: S::Vector) -> S::Vector {
        simd.mul(self.activate(simd, gate), up)
    }
}

#[derive(Clone, Copy)]
struct Silu;

#[derive(Clone, Copy)]
struct GeluTanh;

#[derive(Clone, Copy)]
struct ClampedSwiglu {
    alpha: f32,
    limit: f32,
}

/// What the cap makes of a value.
#[derive(Clone, Copy)]
struct SoftCapped(f32);

impl Kernel for GatedUnit {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.activation {
            Activation::Silu => self.compute(simd, Silu),
            Activation::GeluTanh => self.compute(simd, GeluTanh),
            Activation::ClampedSwiglu { alpha, limit } => {
                self.compute(simd, ClampedSwiglu { alpha, limit });
            }
        }
    }
}

impl GatedUnit {
    #[inline(always)]
    fn compute<S: Simd>(self, simd: S, unit: impl Unit) {
        for row in self.rows {
            for col in self.columns.clone().step_by(LANES) {
                let count = LANES.min(self.columns.end - col);
                // SAFETY: who made this vouches for the rows and columns, of which `count` are left;
                // a whole vector only if 16 are.
                unsafe {
                    let gate = self.gate_up.add(row * 2 * self.cols + col);
                    let up = gate.add(self.cols);
                    let out = self.out.add(row * self.cols + col);
                    if count == LANES {
                        let value = unit.gate(simd, simd.load(gate), simd.load(up));
                        simd.store(out, value);
                    } else {
                        let gate = load_partial(simd, gate, count);
                        let up = load_partial(simd, up, count);
                        store_partial(simd, out, unit.gate(simd, gate, up), count);
                    }
                }
            }
        }
    }
}

impl Kernel for Activated<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.activation {
            Activation::Silu => each(simd, self.values, Silu),
            Activation::GeluTanh => each(simd, self.values, GeluTanh),
            Activation::ClampedSwiglu { alpha, limit } => {
                each(simd, self.values, ClampedSwiglu { alpha, limit });
            }
        }
    }
}

impl Kernel for Cap<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        each(simd, self.values, SoftCapped(self.cap));
    }
}

impl Unit for Silu {
    #[inline(always)]
    fn activate<S: Simd>(self, simd: S, x: S::Vector) -> S::Vector {
        times_sigmoid(simd, x, x)
    }
}

impl Unit for GeluTanh {
    #[inline(always)]
    fn activate<S: Simd>(self, simd: S, x: S::Vector) -> S::Vector {
        gelu_tanh(simd, x)
    }
}

impl Unit for ClampedSwiglu {
    #[inline(always)]
    fn activate<S: Simd>(self, simd: S, x: S::Vector) -> S::Vector {
        // The second of two is taken where one is NaN.
        let clamped = simd.min(simd.splat(self.limit), x);
        times_sigmoid(simd, clamped, simd.mul(clamped, simd.splat(self.alpha)))
    }

    #[inline(always)]
    fn gate<S: Simd>(self, simd: S, gate: S::Vector, up: S::Vector) -> S::Vector {
        let above = simd.max(simd.splat(-self.limit), up);
        let clamped = simd.min(simd.splat(self.limit), above);
        let raised = simd.add(clamped, simd.splat(1.0));
        simd.mul(self.activate(simd, gate), raised)
    }
}

impl Unit for SoftCapped {
    #[inline(always)]
    fn activate<S: Simd>(self, simd: S, x: S::Vector) -> S::Vector {
        let (cap, inverse) = (simd.splat(self.0), simd.splat(1.0 / self.0));
        simd.mul(cap, tanh(simd, simd.mul(x, inverse)))
    }
}

/// Makes of every value what `unit` makes of it.
#[inline(always)]
fn each<S: Simd>(simd: S, values: &mut [f32], unit: impl Unit) {
    for values in values.chunks_mut(LANES) {
        let (ptr, count) = (values.as_mut_ptr(), values.len());
        // SAFETY: a chunk has `count` elements, at most 16.
        unsafe {
            let value = load_partial(simd, ptr, count);
            store_partial(simd, ptr, unit.activate(simd, value), count);
        }
    }
}

/// `x * sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))`: as `1 + tanh(y) = 2 sigmoid(2 y)`, without the
/// sum, which cancels where x is negative.
#[inline(always)]
fn gelu_tanh<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    const TWICE_SQRT_2_OVER_PI: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2;
    let cubic = simd.mul(simd.mul(x, x), simd.splat(TWICE_SQRT_2_OVER_PI * 0.044_715));
    let slope = simd.add(cubic, simd.splat(TWICE_SQRT_2_OVER_PI));
    times_sigmoid(simd, x, simd.mul(x, slope))
}

/// `x / (1 + e^-y)`
#[inline(always)]
fn times_sigmoid<S: Simd>(simd: S, x: S::Vector, y: S::Vector) -> S::Vector {
    let decay = exp(simd, simd.sub(simd.splat(0.0), y));
    simd.div(x, simd.add(simd.splat(1.0), decay))
}
