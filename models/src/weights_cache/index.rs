//! The index of a file: which matrices it has, and where.

use kernels::{STORED_CHUNK, WeightDtype};
use serde::{Deserialize, Serialize};

/// At both ends of a file.
pub(super) const MAGIC: [u8; 8] = *b"PURSERW1";
/// Digest and length of the index, and the magic.
pub(super) const TRAILER: usize = 32 + 8 + MAGIC.len();

/// The formats that a file may have.
const BLOCKS: [WeightDtype; 6] = [
    WeightDtype::Q4_0,
    WeightDtype::Q5_0,
    WeightDtype::Q8_0,
    WeightDtype::Q4K,
    WeightDtype::Q5K,
    WeightDtype::Q6K,
];

/// What a file has.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Index {
    /// That of the file's name.
    pub(super) key: String,
    /// For people who wonder what the file is.
    pub(super) model: String,
    /// For people, as above.
    pub(super) quantization: String,
    pub(super) matrices: Vec<StoredMatrix>,
}

/// A packed matrix.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct StoredMatrix {
    /// Of its first tensor.
    pub(super) name: String,
    pub(super) in_features: usize,
    pub(super) parts: Vec<StoredPart>,
}

/// Consecutive output features in one format.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct StoredPart {
    /// As [`dtype_name`] writes it.
    pub(super) dtype: String,
    pub(super) out_features: usize,
    /// Where in the file the panels begin.
    pub(super) offset: u64,
    /// Bytes of the panels.
    pub(super) len: u64,
    /// Digests of [`STORED_CHUNK`] bytes each, of which the last one may have less.
    pub(super) digests: Vec<String>,
}

impl StoredMatrix {
    /// Format and output features of each part; `None` if it has not that shape: `parts`, of which a
    /// backend may have divided each.
    pub(super) fn parts(
        &self,
        in_features: usize,
        parts: &[(WeightDtype, usize)],
    ) -> Option<Vec<(WeightDtype, usize)>> {
        let stored = self.parts.iter();
        let stored: Option<Vec<(WeightDtype, usize)>> = stored
            .map(|part| Some((part.dtype()?, part.out_features)))
            .collect();
        let stored = stored?;
        let same = self.in_features == in_features && joined(&stored) == joined(parts);
        same.then_some(stored)
    }
}

/// The parts, neighbours of one format as one.
fn joined(parts: &[(WeightDtype, usize)]) -> Vec<(WeightDtype, usize)> {
    let alike = parts.chunk_by(|a, b| a.0 == b.0);
    let rows = |parts: &[(WeightDtype, usize)]| {
        let rows = parts.iter().map(|part| part.1);
        rows.fold(0, usize::saturating_add)
    };
    alike.map(|parts| (parts[0].0, rows(parts))).collect()
}

impl StoredPart {
    fn dtype(&self) -> Option<WeightDtype> {
        BLOCKS
            .into_iter()
            .find(|&dtype| dtype_name(dtype) == self.dtype)
    }

    /// The digest of the `len` bytes at `offset`, if they are one of its chunks.
    pub(super) fn digest(&self, offset: usize, len: usize) -> Option<&str> {
        let total = usize::try_from(self.len).ok()?;
        let expected = STORED_CHUNK.min(total.checked_sub(offset)?);
        let is_chunk = offset.is_multiple_of(STORED_CHUNK) && len == expected;
        let digest = self.digests.get(offset / STORED_CHUNK)?;
        is_chunk.then_some(digest.as_str())
    }
}

/// The format's name in the index.
pub(super) fn dtype_name(dtype: WeightDtype) -> String {
    format!("{dtype:?}")
}
