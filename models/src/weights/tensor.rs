//! A tensor of a checkpoint.

use std::borrow::Cow;
use std::ops::Range;

use kernels::{WeightDtype, WeightView};

/// Where a tensor lies, and how.
pub(crate) struct Tensor {
    /// Index of the file.
    pub(crate) shard: usize,
    /// Element type; the name of one that is not read.
    pub(crate) element: Result<WeightDtype, String>,
    /// Outermost dimension first.
    pub(crate) shape: Vec<usize>,
    /// Bytes of the file.
    pub(crate) range: Range<usize>,
    /// The rows' order in the file.
    pub(crate) row_order: RowOrder,
    /// Of a matrix in MXFP4 the bytes of its scales; `element` is what it is decoded to.
    pub(crate) scales: Option<Scales>,
}

/// Where the scales of a matrix in MXFP4 lie.
#[derive(Clone, Debug)]
pub(crate) struct Scales {
    /// Index of the file.
    pub(crate) shard: usize,
    /// Bytes of the file.
    pub(crate) range: Range<usize>,
}

/// The order of a matrix's rows, or of a vector's elements, beside that of `transformers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// The same.
    Natural,
    /// In each head, row `i` of the first half is followed by row `i` of the second half.
    InterleavedHalves {
        /// Rows of a head; even.
        head_dim: usize,
    },
    /// Every second row is another matrix's.
    EveryOther {
        /// The first row of this one.
        first: usize,
    },
    /// Rows are columns of the file's matrix: every one, or every `step`th.
    Columns {
        /// The first row's column.
        first: usize,
        /// Columns from one row to the next.
        step: usize,
        /// Columns of the file's matrix.
        stride: usize,
    },
}

/// What a matrix's rows consist of.
#[derive(Clone, Copy)]
pub(crate) struct RowSize {
    /// Rows, or elements of a vector.
    pub(crate) rows: usize,
    /// Elements of a row.
    pub(crate) cols: usize,
    /// Bytes of a row.
    pub(crate) bytes: usize,
}

/// A tensor's elements in the order of `transformers`: a matrix, or a vector as one row.
pub(crate) struct Matrix<'a> {
    pub(crate) name: &'a str,
    /// Row by row.
    pub(crate) data: Cow<'a, [u8]>,
    pub(crate) dtype: WeightDtype,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl Matrix<'_> {
    /// As a backend takes it.
    pub(crate) fn view(&self) -> WeightView<'_> {
        WeightView {
            name: self.name,
            data: &self.data,
            dtype: self.dtype,
            rows: self.rows,
            cols: self.cols,
        }
    }
}

impl RowOrder {
    /// The rows of `data` in the order of `transformers`; copied only if that is another one.
    pub(crate) fn restore(self, data: &[u8], size: RowSize) -> Cow<'_, [u8]> {
        let row_bytes = size.bytes;
        match self {
            Self::EveryOther { first } => {
                let rows = data.chunks_exact(row_bytes).skip(first).step_by(2);
                Cow::Owned(rows.take(size.rows).flatten().copied().collect())
            }
            Self::Columns {
                first,
                step,
                stride,
            } => {
                let bytes = row_bytes / size.cols;
                let mut restored = Vec::with_capacity(size.rows * row_bytes);
                for row in 0..size.rows {
                    for col in 0..size.cols {
                        let element = col * stride + first + row * step;
                        restored.extend_from_slice(&data[element * bytes..][..bytes]);
                    }
                }
                Cow::Owned(restored)
            }
            Self::Natural => Cow::Borrowed(data),
            Self::InterleavedHalves { head_dim } => {
                let mut restored = Vec::with_capacity(data.len());
                let half = head_dim / 2;
                for head in data.chunks(head_dim * row_bytes) {
                    for row in (0..half).map(|i| 2 * i).chain((0..half).map(|i| 2 * i + 1)) {
                        restored.extend_from_slice(&head[row * row_bytes..][..row_bytes]);
                    }
                }
                Cow::Owned(restored)
            }
        }
    }
}
