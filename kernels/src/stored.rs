//! Packed weights outside of a backend: on disk, to be loaded without packing them again.

use crate::WeightDtype;

/// Bytes of [`StoredLinear`] that are read at once.
pub const STORED_CHUNK: usize = 1 << 20;

/// Consecutive output features in one format of blocks, as a backend keeps them.
#[derive(Clone, Copy)]
pub struct PackedBlocks<'a> {
    /// The format.
    pub dtype: WeightDtype,
    /// How many output features.
    pub out_features: usize,
    /// What the backend makes of them; only a backend of the same layout can use it.
    pub bytes: &'a [u8],
}

/// A matrix whose [`PackedBlocks`] lie elsewhere.
pub struct StoredLinear<'a> {
    /// Columns of the unpacked matrix.
    pub in_features: usize,
    /// Format and output features of each part.
    pub parts: &'a [(WeightDtype, usize)],
    /// Of all output features.
    pub bias: Option<&'a [f32]>,
    /// Arguments: part, offset, where to. Fills the whole of the last one with the part's bytes from
    /// the offset on, or says that it cannot. It is called from several threads at once, once for
    /// every [`STORED_CHUNK`] bytes.
    pub read: &'a (dyn Fn(usize, usize, &mut [u8]) -> bool + Sync),
}
