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
    /// `data`, rows of `row_bytes` each, with the rows in the order of `transformers`; copied only if
    /// that is another one.
    pub(crate) fn restore(self, data: &[u8], row_bytes: usize) -> Cow<'_, [u8]> {
        match self {
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
