//! Weights as they lie in a checkpoint, and how a backend is asked to keep them.

use half::{bf16, f16};

use crate::KernelError;

/// Element type of weights as they lie in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightDtype {
    /// 32-bit IEEE float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// bfloat16.
    Bf16,
}

/// How a backend keeps the weights of its matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightFormat {
    /// As in the checkpoint.
    Checkpoint,
    /// Converted to 32-bit floats.
    F32,
    /// Converted to bfloat16, rounding to nearest even.
    Bf16,
}

/// A row-major matrix inside a checkpoint.
#[derive(Clone, Copy)]
pub struct WeightView<'a> {
    /// Name of the tensor, for errors.
    pub name: &'a str,
    /// Little-endian elements, `rows * cols` of them; not necessarily aligned.
    pub data: &'a [u8],
    /// Element type.
    pub dtype: WeightDtype,
    /// Output features (1 for a vector).
    pub rows: usize,
    /// Input features.
    pub cols: usize,
}

impl WeightView<'_> {
    /// Decodes `out.len()` elements of row `row`, starting at column `start`.
    ///
    /// # Panics
    /// If the range leaves the row, or the row leaves `data`.
    pub(crate) fn read(&self, row: usize, start: usize, out: &mut [f32]) {
        assert!(start + out.len() <= self.cols, "the columns lie in the row");
        let first = row * self.cols + start;
        let bytes = |size: usize| &self.data[first * size..(first + out.len()) * size];
        match self.dtype {
            WeightDtype::F32 => {
                let elements = bytes(4).chunks_exact(4);
                for (value, b) in out.iter_mut().zip(elements) {
                    *value = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                }
            }
            WeightDtype::F16 => {
                let elements = bytes(2).chunks_exact(2);
                for (value, b) in out.iter_mut().zip(elements) {
                    *value = f16::from_le_bytes([b[0], b[1]]).to_f32();
                }
            }
            WeightDtype::Bf16 => {
                let elements = bytes(2).chunks_exact(2);
                for (value, b) in out.iter_mut().zip(elements) {
                    *value = bf16::from_le_bytes([b[0], b[1]]).to_f32();
                }
            }
        }
    }
}

impl WeightDtype {
    /// Bytes of one element.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// Checks that `parts` can be stacked and that `bias` covers them; returns the stacked number of
/// output features and the number of input features.
///
/// # Errors
/// `Shape` otherwise.
pub(crate) fn stacked_shape(
    op: &'static str,
    parts: &[WeightView<'_>],
    bias: Option<&[f32]>,
) -> Result<(usize, usize), KernelError> {
    let error = |tensor: &str, reason: String| KernelError::Shape {
        op,
        tensor: tensor.to_owned(),
        reason,
    };
    let Some(first) = parts.first() else {
        return Err(error("(none)", "at least one matrix is needed".to_owned()));
    };
    let cols = first.cols;
    for part in parts {
        if part.cols != cols {
            let reason = format!("{} input features, expected {cols}", part.cols);
            return Err(error(part.name, reason));
        }
        let expected = part.rows * part.cols * part.dtype.size();
        if part.data.len() != expected {
            let reason = format!("{} bytes, expected {expected}", part.data.len());
            return Err(error(part.name, reason));
        }
    }
    let rows = parts.iter().map(|part| part.rows).sum();
    if rows == 0 || cols == 0 {
        return Err(error(first.name, format!("{rows} x {cols} is empty")));
    }
    match bias {
        Some(bias) if bias.len() != rows => {
            let reason = format!("the bias has {} elements, expected {rows}", bias.len());
            Err(error(first.name, reason))
        }
        _ => Ok((rows, cols)),
    }
}
