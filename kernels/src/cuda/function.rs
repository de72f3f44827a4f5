//! Non-linear functions as the kernels number them.

use crate::Activation;

/// `SOFT_CAP` in `kernels/cuda/elementwise.cu`.
pub(crate) const SOFT_CAP: u32 = 3;

/// `Function` in `kernels/cuda/elementwise.cu`, gain and limit.
pub(crate) fn function(activation: Activation) -> (u32, f32, f32) {
    match activation {
        Activation::Silu => (0, 0.0, 0.0),
        Activation::GeluTanh => (1, 0.0, 0.0),
        Activation::ClampedSwiglu { alpha, limit } => (2, alpha, limit),
    }
}
