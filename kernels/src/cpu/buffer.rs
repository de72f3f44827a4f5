//! Activations.

use crate::KernelError;
use crate::cpu::linear::{FormsInUse, Operand, OperandWriter};
use crate::cpu::memory::AlignedSlice;
use crate::cpu::simd::Isa;

/// Activations, `[max_rows, cols]` f32, row-major.
pub struct CpuBuffer {
    pub(super) data: AlignedSlice<f32>,
    pub(super) cols: usize,
    /// The same rows as products take them.
    pub(super) operand: Operand,
}

impl CpuBuffer {
    /// Zeros.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn new(max_rows: usize, cols: usize) -> Result<Self, KernelError> {
        Ok(Self {
            data: AlignedSlice::zeroed(max_rows.saturating_mul(cols), "activations")?,
            cols,
            operand: Operand::new()?,
        })
    }

    /// The first `rows` rows, `[rows, cols]`.
    pub(super) fn rows(&self, rows: usize) -> &[f32] {
        &self.data[..rows * self.cols]
    }

    /// As [`Self::rows`], to be changed.
    pub(super) fn rows_mut(&mut self, rows: usize) -> &mut [f32] {
        self.operand.clear();
        &mut self.data[..rows * self.cols]
    }

    /// As [`Self::rows_mut`]; whoever writes a row also gives it to the writer.
    pub(super) fn rows_for_products(
        &mut self,
        rows: usize,
        (isa, forms): (Isa, &FormsInUse),
    ) -> Result<(&mut [f32], OperandWriter), KernelError> {
        let (max_rows, depth) = (self.max_rows(), self.cols);
        let forms = forms.of(isa, rows, depth);
        let writer = self.operand.writer(forms, (rows, max_rows), depth)?;
        Ok((&mut self.data[..rows * depth], writer))
    }

    pub(super) fn max_rows(&self) -> usize {
        self.data.len() / self.cols.max(1)
    }
}
