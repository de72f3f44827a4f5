//! One tile of keys and values, as panels.

use crate::cpu::attention::{Layer, TILE_KEYS};
use crate::cpu::kv::padded_head_dim;
use crate::cpu::memory::AlignedSlice;
use crate::cpu::simd::LANES;

/// Panels of a tile.
pub(super) const GROUPS: usize = TILE_KEYS / LANES;

/// Sixteen keys of a tile.
#[derive(Clone, Copy)]
pub(super) struct KeyGroup {
    /// `[head_dim]` rows of 16 keys, `key_stride` apart.
    pub(super) keys: *const f32,
    pub(super) key_stride: usize,
    /// `[16]` rows of values, `padded head_dim` apart.
    pub(super) values: *const f32,
}

/// Where the tile that begins at position `start` lies, up to position `end` (exclusive): in the
/// cache itself where 16 keys of a block are a panel, gathered into `keys` and `values` otherwise.
/// Groups from `end` on are null.
pub(super) fn locate(
    layer: &Layer<'_>,
    seq: usize,
    kv_head: usize,
    start: usize,
    end: usize,
    keys: &mut AlignedSlice<f32>,
    values: &mut AlignedSlice<f32>,
) -> [KeyGroup; GROUPS] {
    let block_size = layer.kv.shape().block_size;
    let value_dim = padded_head_dim(layer.shape.head_dim);
    let null = KeyGroup {
        keys: std::ptr::null(),
        key_stride: 0,
        values: std::ptr::null(),
    };
    let mut groups = [null; GROUPS];
    let table = layer.batch.block_table(seq);
    let in_place = block_size.is_multiple_of(LANES);
    if !in_place {
        gather(layer, table, kv_head, start..end, keys, values);
    }
    for (index, group) in groups.iter_mut().enumerate() {
        let position = start + index * LANES;
        if position >= end {
            break;
        }
        *group = if in_place {
            let block = table[position / block_size] as usize;
            let offset = position % block_size;
            let block_keys = layer.kv.keys(layer.layer, block, kv_head);
            let block_values = layer.kv.values(layer.layer, block, kv_head);
            KeyGroup {
                keys: block_keys[offset..].as_ptr(),
                key_stride: block_size,
                values: block_values[offset * value_dim..].as_ptr(),
            }
        } else {
            KeyGroup {
                keys: keys[index * LANES..].as_ptr(),
                key_stride: TILE_KEYS,
                values: values[index * LANES * value_dim..].as_ptr(),
            }
        };
    }
    groups
}

/// Copies keys and values of `positions`, part of one tile, into tile order.
fn gather(
    layer: &Layer<'_>,
    table: &[u32],
    kv_head: usize,
    positions: std::ops::Range<usize>,
    keys: &mut [f32],
    values: &mut [f32],
) {
    let block_size = layer.kv.shape().block_size;
    let value_dim = padded_head_dim(layer.shape.head_dim);
    for (column, position) in positions.enumerate() {
        let block = table[position / block_size] as usize;
        let offset = position % block_size;
        let block_keys = layer.kv.keys(layer.layer, block, kv_head);
        let rows = keys
            .chunks_exact_mut(TILE_KEYS)
            .zip(block_keys.chunks_exact(block_size));
        for (to, from) in rows {
            to[column] = from[offset];
        }
        let block_values = layer.kv.values(layer.layer, block, kv_head);
        values[column * value_dim..(column + 1) * value_dim]
            .copy_from_slice(&block_values[offset * value_dim..(offset + 1) * value_dim]);
    }
}
