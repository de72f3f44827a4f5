//! One tile of keys and values, as panels.

#![expect(unsafe_code, reason = "the scratch of a tile holds any element type")]

use std::ops::Range;

use crate::cpu::attention::scratch::TileScratch;
use crate::cpu::attention::{Layer, TILE_KEYS};
use crate::cpu::kv::{KvElement, lane_position, padded_head_dim};
use crate::cpu::simd::LANES;

/// Panels of a tile.
pub(super) const GROUPS: usize = TILE_KEYS / LANES;

/// Sixteen keys of a tile.
pub(super) struct KeyGroup<T> {
    /// `[head_dim]` rows of 16 keys, `key_stride` apart.
    pub(super) keys: *const T,
    pub(super) key_stride: usize,
    /// `[16]` rows of values, `padded head_dim` apart.
    pub(super) values: *const T,
    /// `[16]`, where elements are scaled.
    pub(super) key_scales: *const f32,
    /// `[16]`, where elements are scaled.
    pub(super) value_scales: *const f32,
}

// Not derived: a derive would ask for `T: Copy` on a pointer.
impl<T> Clone for KeyGroup<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for KeyGroup<T> {}

/// Where `positions`, part of one tile that begins at a multiple of `TILE_KEYS`, lie: in the cache
/// itself where 16 keys of a block are a panel, gathered into `scratch` otherwise. Groups without a
/// position before the end are null.
pub(super) fn locate<T: KvElement>(
    layer: &Layer<'_, T>,
    seq: usize,
    kv_head: usize,
    positions: Range<usize>,
    scratch: &mut TileScratch,
) -> [KeyGroup<T>; GROUPS] {
    let block_size = layer.kv.shape().block_size;
    let value_dim = padded_head_dim(layer.shape.head_dim);
    let null = KeyGroup {
        keys: std::ptr::null(),
        key_stride: 0,
        values: std::ptr::null(),
        key_scales: std::ptr::null(),
        value_scales: std::ptr::null(),
    };
    let mut groups = [null; GROUPS];
    let table = layer.batch.block_table(seq);
    let in_place = layer.kv.has_panels();
    let tile = positions.start - positions.start % TILE_KEYS;
    if !in_place {
        gather(layer, table, kv_head, tile..positions.end, scratch);
    }
    for (index, group) in groups.iter_mut().enumerate() {
        let position = tile + index * LANES;
        if position >= positions.end {
            break;
        }
        *group = if in_place {
            let (block, offset) = (table[position / block_size], position % block_size);
            let head = layer.kv.block_head(layer.layer, block as usize, kv_head);
            KeyGroup {
                keys: head.keys[offset..].as_ptr(),
                key_stride: block_size,
                values: head.values[offset * value_dim..].as_ptr(),
                // Scales are empty unless they are read.
                key_scales: head.key_scales.as_ptr().wrapping_add(offset),
                value_scales: head.value_scales.as_ptr().wrapping_add(offset),
            }
        } else {
            let first = index * LANES;
            KeyGroup {
                keys: scratch.keys.as_ptr().cast::<T>().wrapping_add(first),
                key_stride: TILE_KEYS,
                values: scratch
                    .values
                    .as_ptr()
                    .cast::<T>()
                    .wrapping_add(first * value_dim),
                key_scales: scratch.key_scales[first..].as_ptr(),
                value_scales: scratch.value_scales[first..].as_ptr(),
            }
        };
    }
    groups
}

/// Copies keys and values of `positions`, the beginning of a tile, into tile order.
fn gather<T: KvElement>(
    layer: &Layer<'_, T>,
    table: &[u32],
    kv_head: usize,
    positions: Range<usize>,
    scratch: &mut TileScratch,
) {
    const {
        assert!(
            size_of::<T>() <= size_of::<f32>(),
            "elements fit the scratch"
        )
    };
    let block_size = layer.kv.shape().block_size;
    let value_dim = padded_head_dim(layer.shape.head_dim);
    let keys = scratch.keys.as_mut_ptr().cast::<T>();
    let values = scratch.values.as_mut_ptr().cast::<T>();
    assert!(positions.len() <= TILE_KEYS, "positions of one tile");
    for (column, position) in positions.enumerate() {
        let (block, offset) = (table[position / block_size], position % block_size);
        let head = layer.kv.block_head(layer.layer, block as usize, kv_head);
        let from = layer.kv.key_position(offset);
        let to = lane_position::<T>(column);
        for (d, row) in head.keys.chunks_exact(block_size).enumerate() {
            // SAFETY: the scratch has `head_dim` rows of `TILE_KEYS` elements at least as wide as
            // these, aligned to cache lines; a head has `head_dim` rows of keys.
            unsafe { *keys.add(d * TILE_KEYS + to) = row[from] };
        }
        let row = &head.values[offset * value_dim..(offset + 1) * value_dim];
        // SAFETY: as above, with `TILE_KEYS` rows of `value_dim` elements.
        unsafe {
            std::ptr::copy_nonoverlapping(row.as_ptr(), values.add(column * value_dim), value_dim);
        }
        if T::SCALED {
            scratch.key_scales[column] = head.key_scales[offset];
            scratch.value_scales[column] = head.value_scales[offset];
        }
    }
}
