//! RMS norms (Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019), and layer norms (Ba
//! et al., "Layer Normalization", 2016).

#![expect(unsafe_code, reason = "vector loads through pointers")]

use crate::cpu::simd::{Isa, Kernel, LANES, Simd, load_partial};

/// What a row is scaled by.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    /// `[cols]`
    pub(crate) weight: &'a [f32],
    /// Added to the mean square.
    pub(crate) eps: f32,
}

impl Norm<'_> {
    /// `out = norm(input)` row by row; both `[_, weight.len()]`.
    pub(crate) fn rows(self, isa: Isa, input: &[f32], out: &mut [f32]) {
        isa.run(NormRows {
            norm: self,
            input,
            out,
        });
    }

    /// `rows = norm(rows)` row by row; `[_, weight.len()]`.
    pub(crate) fn rows_in_place(self, isa: Isa, rows: &mut [f32]) {
        isa.run(NormRowsInPlace { norm: self, rows });
    }
}

/// `residual += scale * delta`. A scale of 1 changes no bits, and costs nothing beside the memory.
pub(crate) fn add_scaled(residual: &mut [f32], delta: &[f32], scale: f32) {
    for (sum, delta) in residual.iter_mut().zip(delta) {
        *sum += scale * delta;
    }
}

struct NormRows<'a> {
    norm: Norm<'a>,
    input: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for NormRows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let cols = self.norm.weight.len();
        for (row, out) in self
            .input
            .chunks_exact(cols)
            .zip(self.out.chunks_exact_mut(cols))
        {
            let scale = inverse_rms(simd, row, self.norm.eps);
            for ((out, x), weight) in out.iter_mut().zip(row).zip(self.norm.weight) {
                *out = x * scale * weight;
            }
        }
    }
}

struct NormRowsInPlace<'a> {
    norm: Norm<'a>,
    rows: &'a mut [f32],
}

impl Kernel for NormRowsInPlace<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for row in self.rows.chunks_exact_mut(self.norm.weight.len()) {
            let scale = inverse_rms(simd, row, self.norm.eps);
            for (x, weight) in row.iter_mut().zip(self.norm.weight) {
                *x = *x * scale * weight;
            }
        }
    }
}

/// `out = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias`, row by row.
pub(crate) struct LayerNormRows<'a> {
    pub(crate) norm: Norm<'a>,
    /// `[cols]`
    pub(crate) bias: &'a [f32],
    /// `[_, cols]`
    pub(crate) input: &'a [f32],
    /// `[_, cols]`
    pub(crate) out: &'a mut [f32],
}

impl Kernel for LayerNormRows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (cols, weight) = (self.norm.weight.len(), self.norm.weight);
        let rows = self.input.chunks_exact(cols);
        for (row, out) in rows.zip(self.out.chunks_exact_mut(cols)) {
            let mean = mean(simd, row);
            for (out, x) in out.iter_mut().zip(row) {
                *out = x - mean;
            }
            // Of what is centred, the mean of squares is the variance.
            let scale = inverse_rms(simd, out, self.norm.eps);
            for ((out, weight), bias) in out.iter_mut().zip(weight).zip(self.bias) {
                *out = *out * scale * weight + bias;
            }
        }
    }
}

/// The mean, added up in the order of [`inverse_rms`].
#[inline(always)]
fn mean<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let mut sums = [simd.splat(0.0); 4];
    for (i, vector) in row.chunks(LANES).enumerate() {
        // SAFETY: a chunk has as many elements as it has, at most 16.
        let x = unsafe { load_partial(simd, vector.as_ptr(), vector.len()) };
        sums[i % 4] = simd.add(sums[i % 4], x);
    }
    let sum = simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])));
    sum / row.len() as f32
}

/// `1 / sqrt(mean(row^2) + eps)`. The order of additions depends on the length alone: vector `i`
/// goes to sum `i % 4`, then (0 + 1) + (2 + 3), then the lanes.
#[inline(always)]
fn inverse_rms<S: Simd>(simd: S, row: &[f32], eps: f32) -> f32 {
    let mut sums = [simd.splat(0.0); 4];
    let whole = row.len() / LANES;
    for i in 0..whole {
        // SAFETY: `i < whole`, so 16 elements follow.
        let x = unsafe { simd.load(row.as_ptr().add(i * LANES)) };
        sums[i % 4] = simd.mul_add(x, x, sums[i % 4]);
    }
    let rest = &row[whole * LANES..];
    if !rest.is_empty() {
        // SAFETY: `rest` has fewer than 16 elements.
        let x = unsafe { load_partial(simd, rest.as_ptr(), rest.len()) };
        sums[whole % 4] = simd.mul_add(x, x, sums[whole % 4]);
    }
    let sum = simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])));
    1.0 / (sum / row.len() as f32 + eps).sqrt()
}
