//! Rotary embedding (Su et al., "RoFormer", 2021), halves rotated against each other.

use crate::RopeTableView;
use crate::cpu::memory::AlignedSlice;
use crate::cpu::simd::{Isa, Kernel, Simd};
use crate::{KernelError, QkvShape};

/// Cosines and sines, `[max_positions, rotary_dim / 2]` each.
pub struct CpuRopeTable {
    cos: AlignedSlice<f32>,
    sin: AlignedSlice<f32>,
    rotary_dim: usize,
}

impl CpuRopeTable {
    /// Copies `table`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new(table: RopeTableView<'_>) -> Result<Self, KernelError> {
        let mut cos = AlignedSlice::zeroed(table.cos.len(), "rope table")?;
        cos.copy_from_slice(table.cos);
        let mut sin = AlignedSlice::zeroed(table.sin.len(), "rope table")?;
        sin.copy_from_slice(table.sin);
        Ok(Self {
            cos,
            sin,
            rotary_dim: table.rotary_dim,
        })
    }

    /// Rotates the query and key heads of `qkv` `[positions.len(), shape.row_size()]`.
    ///
    /// # Panics
    /// If a position is outside the table, or heads are shorter than what is rotated.
    pub(crate) fn rotate(&self, isa: Isa, qkv: &mut [f32], shape: QkvShape, positions: &[u32]) {
        assert!(
            self.rotary_dim <= shape.head_dim,
            "the rotation fits a head"
        );
        isa.run(Rotate {
            table: self,
            qkv,
            shape,
            positions,
        });
    }
}

struct Rotate<'a> {
    table: &'a CpuRopeTable,
    qkv: &'a mut [f32],
    shape: QkvShape,
    positions: &'a [u32],
}

impl Kernel for Rotate<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let half = self.table.rotary_dim / 2;
        let rotated = self.shape.q_size() + self.shape.kv_size();
        let rows = self.qkv.chunks_exact_mut(self.shape.row_size());
        for (row, &position) in rows.zip(self.positions) {
            let start = position as usize * half;
            let cos = &self.table.cos[start..start + half];
            let sin = &self.table.sin[start..start + half];
            for head in row[..rotated].chunks_exact_mut(self.shape.head_dim) {
                let (first, second) = head[..2 * half].split_at_mut(half);
                let pairs = first.iter_mut().zip(second);
                for ((a, b), (cos, sin)) in pairs.zip(cos.iter().zip(sin)) {
                    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                }
            }
        }
    }
}
