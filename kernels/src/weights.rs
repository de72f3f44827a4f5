//! Weights as they lie in a checkpoint, and how a backend is asked to keep them.

use half::{bf16, f16};

use crate::KernelError;
use crate::quantized::{Block, MAX_BLOCK};

/// Element type of weights as they lie in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightDtype {
    /// 32-bit IEEE float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// bfloat16.
    Bf16,
    /// GGUF: blocks of 32, 4 bits with a scale.
    Q4_0,
    /// GGUF: blocks of 32, 5 bits with a scale.
    Q5_0,
    /// GGUF: blocks of 32, 8 bits with a scale.
    Q8_0,
    /// GGUF: blocks of 256, 4 bits, a scale and a min for each 32.
    Q4K,
    /// GGUF: blocks of 256, 5 bits, a scale and a min for each 32.
    Q5K,
    /// GGUF: blocks of 256, 6 bits, a scale for each 16.
    Q6K,
}

/// How a backend keeps the weights of its matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightFormat {
    /// As in the checkpoint; stacked matrices may differ.
    Checkpoint,
    /// Converted to 32-bit floats.
    F32,
    /// Converted to bfloat16, rounding to nearest even.
    Bf16,
    /// Floats quantised to [`WeightDtype::Q8_0`]; blocks stay what they are.
    Q8_0,
    /// Floats quantised to [`WeightDtype::Q4K`]; blocks stay what they are.
    Q4K,
    /// Floats quantised to [`WeightDtype::Q5K`]; blocks stay what they are.
    Q5K,
    /// Floats quantised to [`WeightDtype::Q6K`]; blocks stay what they are.
    Q6K,
}

/// A row-major matrix inside a checkpoint.
#[derive(Clone, Copy)]
pub struct WeightView<'a> {
    /// Name of the tensor, for errors.
    pub name: &'a str,
    /// Little-endian elements or whole blocks, row by row, [`WeightDtype::row_bytes`] each; not
    /// necessarily aligned.
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
    pub fn read(&self, row: usize, start: usize, out: &mut [f32]) {
        assert!(start + out.len() <= self.cols, "the columns lie in the row");
        if self.dtype.block_len() > 1 {
            return self.read_blocks(row, start, self.dtype, out);
        }
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
            _ => unreachable!("blocks are read as such"),
        }
    }

    /// The matrix in blocks of `dtype`, row by row, as a GGUF file has them.
    ///
    /// # Panics
    /// If `dtype` is none of `Q8_0`, `Q4K`, `Q5K` and `Q6K`, or the columns are no whole blocks.
    pub fn quantized(&self, dtype: WeightDtype) -> Vec<u8> {
        let blocks = self.cols / dtype.block_len();
        assert_eq!(
            blocks * dtype.block_len(),
            self.cols,
            "rows are whole blocks"
        );
        let mut bytes = Vec::with_capacity(self.rows * dtype.row_bytes(self.cols));
        for row in 0..self.rows {
            for index in 0..blocks {
                self.block(row, index, dtype).encode(dtype, &mut bytes);
            }
        }
        bytes
    }

    /// As [`Self::read`], what is left of the elements once they are kept as `dtype`.
    pub(crate) fn read_as(&self, row: usize, start: usize, dtype: WeightDtype, out: &mut [f32]) {
        if dtype.block_len() > 1 {
            return self.read_blocks(row, start, dtype, out);
        }
        self.read(row, start, out);
        match dtype {
            WeightDtype::Bf16 => out
                .iter_mut()
                .for_each(|x| *x = bf16::from_f32(*x).to_f32()),
            _ => debug_assert!(dtype == self.dtype || dtype == WeightDtype::F32),
        }
    }

    /// As [`Self::read`], of blocks of `dtype`.
    fn read_blocks(&self, row: usize, start: usize, dtype: WeightDtype, out: &mut [f32]) {
        let len = dtype.block_len();
        let mut values = [0.0; MAX_BLOCK];
        let mut done = 0;
        while done < out.len() {
            let (index, skipped) = ((start + done) / len, (start + done) % len);
            let count = (len - skipped).min(out.len() - done);
            self.block(row, index, dtype)
                .values(dtype, &mut values[..len]);
            out[done..done + count].copy_from_slice(&values[skipped..skipped + count]);
            done += count;
        }
    }

    /// Block `index` of row `row` in `dtype`: as it is, or quantised.
    ///
    /// # Panics
    /// If there is none, or nothing is quantised to `dtype`.
    pub(crate) fn block(&self, row: usize, index: usize, dtype: WeightDtype) -> Block {
        let len = dtype.block_len();
        if self.dtype == dtype {
            let bytes = dtype.block_bytes();
            let start = row * self.dtype.row_bytes(self.cols) + index * bytes;
            return Block::decode(dtype, &self.data[start..start + bytes]);
        }
        let mut values = [0.0; MAX_BLOCK];
        self.read(row, index * len, &mut values[..len]);
        Block::quantize(dtype, &values[..len])
    }
}

impl WeightDtype {
    /// Elements that are stored together: 1 for floats. A row is whole blocks.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q5_0 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 => 18,
            Self::Q5_0 => 22,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Bytes of a row of `cols` elements, of which the last block may be incomplete.
    pub fn row_bytes(self, cols: usize) -> usize {
        cols.div_ceil(self.block_len()) * self.block_bytes()
    }
}

impl WeightFormat {
    /// What a matrix of `dtype` becomes.
    pub fn of(self, dtype: WeightDtype) -> WeightDtype {
        match self {
            Self::Checkpoint => dtype,
            Self::F32 => WeightDtype::F32,
            Self::Bf16 => WeightDtype::Bf16,
            _ if dtype.block_len() > 1 => dtype,
            Self::Q8_0 => WeightDtype::Q8_0,
            Self::Q4K => WeightDtype::Q4K,
            Self::Q5K => WeightDtype::Q5K,
            Self::Q6K => WeightDtype::Q6K,
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
    formats: &[WeightFormat],
) -> Result<(usize, usize), KernelError> {
    assert_eq!(parts.len(), formats.len(), "each part has a format");
    let error = |tensor: &str, reason: String| KernelError::Shape {
        op,
        tensor: tensor.to_owned(),
        reason,
    };
    let Some(first) = parts.first() else {
        return Err(error("(none)", "at least one matrix is needed".to_owned()));
    };
    let cols = first.cols;
    for (part, format) in parts.iter().zip(formats) {
        if part.cols != cols {
            let reason = format!("{} input features, expected {cols}", part.cols);
            return Err(error(part.name, reason));
        }
        for dtype in [part.dtype, format.of(part.dtype)] {
            let block = dtype.block_len();
            if !cols.is_multiple_of(block) {
                let reason =
                    format!("{dtype:?} needs a multiple of {block} input features, not {cols}");
                return Err(error(part.name, reason));
            }
        }
        let expected = part.rows * part.dtype.row_bytes(cols);
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
