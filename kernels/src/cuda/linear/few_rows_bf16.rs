//! Products of a few rows with weights in bfloat16, of depths that are multiples of a chunk.

use crate::KernelError;
use crate::cuda::arguments::{FewRowsBf16Arguments, LinearArguments};
use crate::cuda::device::{CudaDevice, Geometry};

/// Output features of a tile.
const TILE_FEATURES: usize = 16;
/// Eight warps, each with its part of the depth.
const THREADS: usize = 256;
/// From so many rows on a block takes two tiles, so that the input is read half as often.
const MIN_ROWS_OF_TWO_TILES: u32 = 5;

/// `out = input * weight^T + bias`.
///
/// # Errors
/// `Device`.
pub(super) fn multiply<D: CudaDevice>(
    device: &D,
    linear: LinearArguments,
) -> Result<(), KernelError> {
    let tiles = if linear.rows < MIN_ROWS_OF_TWO_TILES {
        1
    } else {
        2
    };
    let blocks = (linear.out_features as usize).div_ceil(tiles * TILE_FEATURES);
    let arguments = FewRowsBf16Arguments {
        linear,
        tiles: tiles as u32,
        distance: TILE_FEATURES as u32,
        gated: 0,
        function: 0,
        alpha: 0.0,
        limit: 0.0,
    };
    device.launch(Geometry::new([blocks, 1], THREADS), &arguments)
}

/// The same, and the gated unit of both halves of the features at the address `gated`.
///
/// # Errors
/// `Device`.
pub(super) fn multiply_gated<D: CudaDevice>(
    device: &D,
    linear: LinearArguments,
    (function, alpha, limit): (u32, f32, f32),
    gated: u64,
) -> Result<(), KernelError> {
    let half = linear.out_features / 2;
    let arguments = FewRowsBf16Arguments {
        linear,
        tiles: 2,
        distance: half,
        gated,
        function,
        alpha,
        limit,
    };
    let blocks = (half as usize).div_ceil(TILE_FEATURES);
    device.launch(Geometry::new([blocks, 1], THREADS), &arguments)
}
