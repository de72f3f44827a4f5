//! Packed matrices from and to elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::cpu::packed::integers::IntegerPanels;
use crate::cpu::packed::{PackedLinear, Panels, Segment, packed_bias};
use crate::cpu::pool::Pool;
use crate::stored::{PackedBlocks, STORED_CHUNK, StoredLinear};
use crate::{KernelError, WeightDtype};

impl PackedLinear {
    /// The panels, if all of them are integers.
    pub(crate) fn blocks(&self) -> Option<Vec<PackedBlocks<'_>>> {
        let segments = self.segments.iter();
        let blocks = segments.map(|segment| match &segment.panels {
            Panels::Integers(panels) => Some(PackedBlocks {
                dtype: panels.dtype(),
                out_features: segment.out_features,
                bytes: panels.bytes(),
            }),
            _ => None,
        });
        blocks.collect()
    }

    /// The matrix whose panels `stored.read` gives; `None` if it cannot.
    ///
    /// # Errors
    /// `Shape` of what no panels have, `OutOfMemory`.
    pub(crate) fn restore(
        pool: &Pool,
        stored: &StoredLinear<'_>,
    ) -> Result<Option<Self>, KernelError> {
        let in_features = stored.in_features;
        let mut segments = Vec::new();
        let mut first = 0;
        for (part, &(dtype, out_features)) in stored.parts.iter().enumerate() {
            check(dtype, out_features, in_features)?;
            let mut panels = IntegerPanels::zeroed(dtype, out_features, in_features)?;
            let failed = AtomicBool::new(false);
            pool.for_chunks(panels.bytes_mut(), STORED_CHUNK, |index, chunk| {
                if !(stored.read)(part, index * STORED_CHUNK, chunk) {
                    failed.store(true, Ordering::Relaxed);
                }
            });
            if failed.into_inner() {
                return Ok(None);
            }
            segments.push(Segment {
                first,
                out_features,
                panels: Panels::Integers(panels),
            });
            first += out_features;
        }
        Ok(Some(Self {
            segments,
            bias: packed_bias(stored.bias)?,
            out_features: first,
            in_features,
        }))
    }
}

/// Whether there are panels of that kind.
fn check(dtype: WeightDtype, out_features: usize, in_features: usize) -> Result<(), KernelError> {
    let len = dtype.block_len();
    if len > 1 && out_features > 0 && in_features > 0 && in_features.is_multiple_of(len) {
        return Ok(());
    }
    Err(KernelError::Shape {
        op: "restore_linear",
        tensor: "(stored)".to_owned(),
        reason: format!("no panels of {dtype:?} hold {out_features} x {in_features}"),
    })
}
