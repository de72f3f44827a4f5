//! Which kernels attend, and what they need.

use crate::cuda::arguments::{
    AttentionArguments, AttentionFew, AttentionFixedFew, AttentionFixedFp8Few,
    AttentionFixedFp8Many, AttentionFixedMany, AttentionFixedPlain, AttentionFp8Few,
    AttentionFp8Many, AttentionMany, AttentionPlain,
};
use crate::cuda::attention::{BLOCK_KEYS, FRAGMENT_ROWS, GroupParts, Sight};
use crate::cuda::device::{CudaDevice, Geometry};
use crate::{KernelError, KvDtype, SumOrder};

/// Warps of a block, whatever the kernel.
const WARPS: usize = 4;
/// Keys that the plain kernel stages together.
const PLAIN_KEYS: usize = 32;

/// A kernel, and the tiles that it takes. A row of a tile is a token and a query head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In f32, whatever the cache's type and the head's size.
    Plain,
    /// By tensor cores: rows that fit one fragment.
    Few,
    /// By tensor cores: several fragments of rows.
    Many,
    /// As `Plain`, with fixed sums.
    FixedPlain,
    /// As `Few`, with fixed sums, which are those of `FixedMany`.
    FixedFew,
    /// As `Many`, with fixed sums.
    FixedMany,
}

/// How tiles are divided into spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Division {
    /// So that blocks fill the device, into spans of at least so many keys.
    Filling { min_span: usize },
    /// At multiples of `FIXED_SPAN`, or not at all, which gives the same bits.
    Fixed,
}

impl Way {
    /// The ways of a sight on a device whose blocks may have `max_shared_bytes` of shared memory.
    pub(crate) fn of(
        sight: &Sight,
        sum_order: SumOrder,
        max_shared_bytes: usize,
    ) -> &'static [Self] {
        let head_dim = sight.shape.head_dim;
        let (by_tensor_cores, plain): (&[Self], &[Self]) = match sum_order {
            SumOrder::Free => (&[Self::Few, Self::Many], &[Self::Plain]),
            SumOrder::Fixed => (&[Self::FixedFew, Self::FixedMany], &[Self::FixedPlain]),
        };
        let fits = |way: &Self| way.shared_bytes(sight.dtype, head_dim) <= max_shared_bytes;
        let has_fragments = matches!(sight.dtype, KvDtype::Bf16 | KvDtype::Fp8);
        let suits = has_fragments && matches!(head_dim, 64 | 96 | 128 | 256);
        match suits && by_tensor_cores.iter().all(fits) {
            true => by_tensor_cores,
            false => plain,
        }
    }

    pub(super) fn tile_rows(self, head_dim: usize) -> usize {
        match self {
            Self::Plain | Self::Few | Self::FixedPlain | Self::FixedFew => FRAGMENT_ROWS,
            Self::Many => WARPS * FRAGMENT_ROWS * if head_dim > 128 { 1 } else { 2 },
            Self::FixedMany => WARPS * FRAGMENT_ROWS,
        }
    }

    /// How the way's tiles are divided.
    pub(super) fn division(self) -> Division {
        match self {
            Self::Plain | Self::Few => Division::Filling {
                min_span: 2 * BLOCK_KEYS,
            },
            Self::Many => Division::Filling {
                min_span: 8 * BLOCK_KEYS,
            },
            Self::FixedPlain | Self::FixedFew | Self::FixedMany => Division::Fixed,
        }
    }

    /// Dynamic shared memory, as the kernels lay it out.
    fn shared_bytes(self, dtype: KvDtype, head_dim: usize) -> usize {
        let rows = self.tile_rows(head_dim);
        let plain = 4 * (rows * head_dim + PLAIN_KEYS * (head_dim + 1));
        let wide_row = 2 * (head_dim + 8);
        // Rows of keys or values as they arrive, and, of fp8, room where the keys are widened, and after
        // them the values.
        let staged = |rows: usize| match dtype {
            KvDtype::Fp8 => rows * head_dim,
            _ => rows * wide_row,
        };
        let widened = |rows: usize| match dtype {
            KvDtype::Fp8 => rows * wide_row,
            _ => 0,
        };
        let queries = rows * wide_row;
        match self {
            Self::Plain => plain,
            // Keys and values twice.
            Self::Few => queries + staged(4 * BLOCK_KEYS) + widened(BLOCK_KEYS),
            Self::Many => queries + staged(2 * BLOCK_KEYS) + widened(BLOCK_KEYS),
            // Of fixed sums also what the spans before have found.
            Self::FixedPlain => plain + 4 * rows * head_dim,
            Self::FixedFew | Self::FixedMany => {
                let before = 4 * 32 * WARPS * self.warp_cols(head_dim) / 2;
                queries + staged(2 * BLOCK_KEYS) + widened(BLOCK_KEYS) + before
            }
        }
    }

    /// Columns of the values that a warp of a kernel with fixed sums multiplies, of 16 rows.
    fn warp_cols(self, head_dim: usize) -> usize {
        match self {
            Self::FixedFew if head_dim.is_multiple_of(16 * WARPS) => head_dim / WARPS,
            Self::FixedFew => head_dim / 2,
            _ => head_dim,
        }
    }

    /// Whether the sequence's `rows` are this way's, of a sight that has `ways`.
    pub(super) fn takes(self, parts: GroupParts, num_tokens: usize) -> bool {
        let is_few = num_tokens <= parts.tokens(FRAGMENT_ROWS);
        match self {
            Self::Plain | Self::FixedPlain => true,
            Self::Few | Self::FixedFew => is_few,
            Self::Many | Self::FixedMany => !is_few,
        }
    }
}

/// Runs `num_tiles` tiles of a plan, some of which may be empty; `arguments` lacks what depends on the
/// way.
///
/// # Errors
/// `Device`.
pub(super) fn run<D: CudaDevice>(
    device: &D,
    (way, sight): (Way, Sight),
    num_tiles: usize,
    arguments: AttentionArguments,
) -> Result<(), KernelError> {
    let head_dim = sight.shape.head_dim;
    let parts = GroupParts::of(&sight.shape);
    let attention = AttentionArguments {
        tile_rows: way.tile_rows(head_dim) as u32,
        heads_per_tile: parts.heads_per_tile as u32,
        ..arguments
    };
    let geometry = Geometry {
        grid: [num_tiles, parts.num_parts],
        threads: 32 * WARPS,
        shared_bytes: way.shared_bytes(sight.dtype, head_dim),
    };
    macro_rules! launch {
        ($kernels:ident) => {
            match head_dim {
                64 => device.launch(geometry, &$kernels::<64> { attention }),
                96 => device.launch(geometry, &$kernels::<96> { attention }),
                128 => device.launch(geometry, &$kernels::<128> { attention }),
                _ => device.launch(geometry, &$kernels::<256> { attention }),
            }
        };
    }
    let is_fp8 = sight.dtype == KvDtype::Fp8;
    match way {
        Way::Plain => device.launch(geometry, &AttentionPlain { attention }),
        Way::Few if is_fp8 => launch!(AttentionFp8Few),
        Way::Few => launch!(AttentionFew),
        Way::Many if is_fp8 => launch!(AttentionFp8Many),
        Way::Many => launch!(AttentionMany),
        Way::FixedPlain => device.launch(geometry, &AttentionFixedPlain { attention }),
        Way::FixedFew if is_fp8 => launch!(AttentionFixedFp8Few),
        Way::FixedFew => launch!(AttentionFixedFew),
        Way::FixedMany if is_fp8 => launch!(AttentionFixedFp8Many),
        Way::FixedMany => launch!(AttentionFixedMany),
    }
}
