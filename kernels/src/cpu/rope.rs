//! Rotary embedding (Su et al., "RoFormer", 2021), halves rotated against each other.

use crate::KernelError;
use crate::RopeTableView;
use crate::cpu::memory::AlignedSlice;
use crate::cpu::simd::{Isa, Kernel, Simd};

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
}

/// The rotation of some rows.
#[derive(Clone, Copy)]
pub(crate) struct Rotation<'a> {
    pub(crate) table: &'a CpuRopeTable,
    /// Rows of the table, one for each row.
    pub(crate) positions: &'a [u32],
}

impl Rotation<'_> {
    /// Rotates `heads` `[_, head_dim]` of row `row`.
    ///
    /// # Panics
    /// If there is no such row, its position is outside the table, or heads are shorter than what
    /// is rotated.
    pub(crate) fn rotate(&self, isa: Isa, row: usize, heads: &mut [f32], head_dim: usize) {
        let table = self.table;
        assert!(table.rotary_dim <= head_dim, "the rotation fits a head");
        let half = table.rotary_dim / 2;
        let start = self.positions[row] as usize * half;
        isa.run(Rotate {
            cos: &table.cos[start..start + half],
            sin: &table.sin[start..start + half],
            heads,
            head_dim,
        });
    }
}

struct Rotate<'a> {
    cos: &'a [f32],
    sin: &'a [f32],
    heads: &'a mut [f32],
    head_dim: usize,
}

impl Kernel for Rotate<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let half = self.cos.len();
        for head in self.heads.chunks_exact_mut(self.head_dim) {
            let (first, second) = head[..2 * half].split_at_mut(half);
            let pairs = first.iter_mut().zip(second);
            for ((a, b), (cos, sin)) in pairs.zip(self.cos.iter().zip(self.sin)) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}
