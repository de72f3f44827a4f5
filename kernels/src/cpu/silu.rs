//! The gated activation (Shazeer, "GLU Variants Improve Transformer", 2020).

#![expect(unsafe_code, reason = "vector loads and stores through pointers")]

use std::ops::Range;

use crate::cpu::exp::exp;
use crate::cpu::simd::{Kernel, LANES, Simd, load_partial, store_partial};

/// `out = silu(gate) * up` for some rows and columns, which nobody else touches meanwhile.
pub(crate) struct SiluMul {
    /// `[_, 2 * cols]`, gate first.
    pub(crate) gate_up: *const f32,
    pub(crate) cols: usize,
    pub(crate) rows: Range<usize>,
    /// Of the gate.
    pub(crate) columns: Range<usize>,
    /// `[_, cols]`
    pub(crate) out: *mut f32,
}

impl Kernel for SiluMul {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
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
                        let value = activate(simd, simd.load(gate), simd.load(up));
                        simd.store(out, value);
                    } else {
                        let gate = load_partial(simd, gate, count);
                        let up = load_partial(simd, up, count);
                        store_partial(simd, out, activate(simd, gate, up), count);
                    }
                }
            }
        }
    }
}

/// `gate / (1 + e^-gate) * up`
#[inline(always)]
fn activate<S: Simd>(simd: S, gate: S::Vector, up: S::Vector) -> S::Vector {
    let decay = exp(simd, simd.sub(simd.splat(0.0), gate));
    let silu = simd.div(gate, simd.add(simd.splat(1.0), decay));
    simd.mul(silu, up)
}
