//! Products of rows of bfloat16 with panels of pairs of bfloat16.
//!
//! A panel has 16 columns: `[depth / 2][16][2]`, so that one vector holds two elements of each, and
//! 16 vectors are a tile. Rows lie in chunks of 256 elements. What the innermost loops are made of
//! is here; who calls them says what becomes of the sums.

/// `$body` with the constant `$rows` in place of `$count`, which is 1 to 12.
macro_rules! with_rows {
    ($count:expr, $rows:ident => $body:expr) => {
        with_rows!(@arms $count, $rows, $body, 1 2 3 4 5 6 7 8 9 10 11 12)
    };
    (@arms $count:expr, $rows:ident, $body:expr, $($n:literal)*) => {
        match $count {
            $($n => { const $rows: usize = $n; $body })*
            count => unreachable!("tiles have 1 to 12 rows, not {count}"),
        }
    };
}

mod chunk;
mod dots;
mod tiles;

pub(crate) use with_rows;

pub(crate) use crate::cpu::pairs::chunk::{Bf16Chunk, Round};
pub(crate) use crate::cpu::pairs::dots::{MOST_ROWS, accumulate};
pub(crate) use crate::cpu::pairs::tiles::{BLOCK_PANELS, BLOCK_ROWS, STREAMS, TileProduct, shapes};

use crate::cpu::simd::LANES;

/// Pairs that a tile takes.
pub(crate) const STEP_PAIRS: usize = 16;
/// Elements of a vector: a pair of each column.
pub(crate) const VECTOR: usize = 2 * LANES;
