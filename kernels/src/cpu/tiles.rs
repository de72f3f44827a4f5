//! Registers that hold matrices, and their products.
//!
//! There are eight, each of at most 16 rows of 64 bytes. A left operand holds rows of inputs, a
//! right one `[depth / 2][16][2]` weights of 16 outputs, both in bfloat16. Products are added to
//! `[rows][16]` sums in f32. (Intel's Advanced Matrix Extensions; Software Developer's Manual,
//! volume 1, chapter 18.)

#![expect(unsafe_code, reason = "loads and stores through pointers")]

#[cfg(test)]
pub(crate) mod plain;
#[cfg(test)]
mod tests;

use crate::cpu::simd::{LANES, Simd};

/// Most rows of a tile.
pub(crate) const TILE_ROWS: usize = 16;
/// Most bytes of a tile's row.
pub(crate) const TILE_ROW_BYTES: usize = 64;
/// Elements of `[16][16]` sums.
pub(crate) const TILE_SUMS: usize = TILE_ROWS * LANES;

/// Rows of a register and bytes of each; both zero where it is not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TileShape {
    pub(crate) rows: u8,
    pub(crate) row_bytes: u8,
}

/// Eight registers, named 0 to 7.
pub(crate) trait Tiles {
    /// Gives the registers their shapes and zeroes them. To be called before anything else.
    fn configure(&mut self, shapes: [TileShape; 8]);
    /// Zeroes register `T`.
    fn zero<const T: u8>(&mut self);
    /// Loads register `T`, whose rows begin `stride` bytes apart.
    ///
    /// # Safety
    /// They are readable.
    unsafe fn load<const T: u8>(&mut self, ptr: *const u8, stride: usize);
    /// Stores register `T`, as [`Self::load`] loads it.
    ///
    /// # Safety
    /// They are writable.
    unsafe fn store<const T: u8>(&mut self, ptr: *mut u8, stride: usize);
    /// `C += A * B` of bfloat16 in f32: for each sum, products of even and of odd inputs are summed
    /// separately from zero, each fused with its sum and rounded once, to nearest even; then both
    /// sums' sum is added. Subnormal operands and results are zero.
    fn dot_bf16<const C: u8, const A: u8, const B: u8>(&mut self);
}

/// Work that is compiled for tiles.
pub(crate) trait TileKernel {
    /// Does the work. Implementations are `#[inline(always)]`.
    fn run<S: Simd, T: Tiles>(self, simd: S, tiles: &mut T);
}

impl TileShape {
    /// `rows` rows of 64 bytes.
    pub(crate) const fn whole(rows: usize) -> Self {
        Self::of(rows, TILE_ROW_BYTES)
    }

    /// `rows` rows of `row_bytes`.
    pub(crate) const fn of(rows: usize, row_bytes: usize) -> Self {
        assert!(rows <= TILE_ROWS && row_bytes <= TILE_ROW_BYTES);
        assert!((rows == 0) == (row_bytes == 0));
        Self {
            rows: rows as u8,
            row_bytes: row_bytes as u8,
        }
    }
}
