//! The gated activation (Shazeer, "GLU Variants Improve Transformer", 2020).

#![expect(unsafe_code, reason = "vector loads and stores through pointers")]

use crate::cpu::exp::exp;
use crate::cpu::simd::{Isa, Kernel, LANES, Simd, load_partial, store_partial};

/// `out = silu(gate) * up` row by row: `gate_up` is `[rows, 2 * cols]`, gate first, `out` is
/// `[rows, cols]`.
pub(crate) fn silu_mul(isa: Isa, gate_up: &[f32], cols: usize, out: &mut [f32]) {
    isa.run(SiluMulRows { gate_up, cols, out });
}

struct SiluMulRows<'a> {
    gate_up: &'a [f32],
    cols: usize,
    out: &'a mut [f32],
}

impl Kernel for SiluMulRows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.gate_up.chunks_exact(2 * self.cols);
        for (row, out) in rows.zip(self.out.chunks_exact_mut(self.cols)) {
            let (gate, up) = row.split_at(self.cols);
            let mut col = 0;
            while col < self.cols {
                let count = LANES.min(self.cols - col);
                let (gate, up, out) = (&gate[col..], &up[col..], &mut out[col..]);
                // SAFETY: `count` elements are left in all three; a whole vector only if 16 are.
                unsafe {
                    if count == LANES {
                        let (gate, up) = (simd.load(gate.as_ptr()), simd.load(up.as_ptr()));
                        simd.store(out.as_mut_ptr(), activate(simd, gate, up));
                    } else {
                        let gate = load_partial(simd, gate.as_ptr(), count);
                        let up = load_partial(simd, up.as_ptr(), count);
                        let value = activate(simd, gate, up);
                        store_partial(simd, out.as_mut_ptr(), value, count);
                    }
                }
                col += count;
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
