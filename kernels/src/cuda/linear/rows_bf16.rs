//! Products with weights in bfloat16, of depths that are multiples of a chunk: kernels for few, some and
//! many rows, which give a row the same bits.

use crate::KernelError;
use crate::cuda::arguments::{
    FewRowsBf16Arguments, LinearArguments, ManyRowsBf16Arguments, RowsBf16Arguments,
    SomeRowsBf16Arguments, Values,
};
use crate::cuda::device::{CudaDevice, Geometry};

/// Output features of a tile.
const TILE_FEATURES: usize = 16;
/// Eight warps.
const THREADS: usize = 256;
/// From so many rows on a block takes two tiles, so that the input is read half as often.
const MIN_ROWS_OF_TWO_TILES: u32 = 5;
/// Most rows of the kernel for few.
pub(super) const MAX_FEW_ROWS: usize = 16;
/// Rows of a block of the kernel for some.
const SOME_ROWS: usize = 32;
/// Rows of a block of the kernel for many, and its output features.
const MANY_ROWS: usize = 128;
/// Shared memory of that: three steps of 64 elements of both factors.
const MANY_ROWS_SHARED_BYTES: usize = 3 * 2 * MANY_ROWS * 64 * 2;

/// Which kernel takes the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    Few,
    Some,
    /// Its input is in bfloat16.
    Many,
}

/// The gated unit of both halves of the features, and where it goes.
pub(super) type Gate = ((u32, f32, f32), Values);

impl Rows {
    /// The fastest for a product of this size.
    pub(super) fn of<D: CudaDevice>(device: &D, rows: usize, out_features: usize) -> Self {
        if rows <= MAX_FEW_ROWS {
            return Self::Few;
        }
        let blocks = rows.div_ceil(MANY_ROWS) * out_features.div_ceil(MANY_ROWS);
        // Large tiles read less and need a device full of them; other kernels divide the depth, too.
        let fills = 2 * blocks >= device.num_multiprocessors();
        let fits = MANY_ROWS_SHARED_BYTES <= device.max_shared_bytes();
        match rows > 2 * SOME_ROWS && fills && fits {
            true => Self::Many,
            false => Self::Some,
        }
    }
}

/// `out = input * weight^T + bias`, and the gated unit of it, if there is one.
///
/// # Errors
/// `Device`.
pub(super) fn multiply<D: CudaDevice>(
    device: &D,
    rows: Rows,
    linear: LinearArguments,
    gate: Option<Gate>,
) -> Result<(), KernelError> {
    let ((function, alpha, limit), gated) = gate.unwrap_or(((0, 0.0, 0.0), Values::NONE));
    // Of a gated unit a block takes a tile of each half.
    let (tiles, distance) = match gate {
        Some(_) => (2, linear.out_features / 2),
        None if linear.rows < MIN_ROWS_OF_TWO_TILES => (1, TILE_FEATURES as u32),
        None => (2, TILE_FEATURES as u32),
    };
    let product = RowsBf16Arguments {
        linear,
        tiles,
        distance,
        gated,
        function,
        alpha,
        limit,
    };
    let of_tiles = |tiles| (linear.out_features as usize).div_ceil(tiles * TILE_FEATURES);
    let of_rows = |rows| (linear.rows as usize).div_ceil(rows);
    let small = of_tiles(tiles as usize);
    match rows {
        Rows::Few => device.launch(
            Geometry::new([small, 1], THREADS),
            &FewRowsBf16Arguments { product },
        ),
        Rows::Some => device.launch(
            Geometry::new([small, of_rows(SOME_ROWS)], THREADS),
            &SomeRowsBf16Arguments { product },
        ),
        Rows::Many => {
            let geometry = Geometry {
                grid: [of_tiles(MANY_ROWS / TILE_FEATURES), of_rows(MANY_ROWS)],
                threads: THREADS,
                shared_bytes: MANY_ROWS_SHARED_BYTES,
            };
            device.launch(geometry, &ManyRowsBf16Arguments { product })
        }
    }
}
