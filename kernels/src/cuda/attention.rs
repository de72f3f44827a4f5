//! Attention: which block takes which rows and keys, planned on the host.

mod way;

use std::ops::Range;

use crate::cuda::Cuda;
use crate::cuda::arguments::AttentionArguments;
pub(crate) use crate::cuda::attention::way::Way;
use crate::cuda::attention::way::{Division, run};
use crate::cuda::device::CudaDevice;
use crate::{Attention, KernelError, KvDtype, KvPool, QkvShape, StepBatch, StepSizes, SumOrder};

/// Rows of a tensor core's fragment.
const FRAGMENT_ROWS: usize = 16;
/// Keys that a block takes at once; spans are cut at multiples of it.
const BLOCK_KEYS: usize = 64;
/// Keys of a span of fixed sums: short enough to divide long contexts, long enough to pay for being
/// joined.
const FIXED_SPAN: usize = 512;
/// Of fixed sums more spans have partial results at once: those that find no room are one block's, which
/// gives the same bits in more time. On a GPU of 132 multiprocessors and with 8 KV heads of 128 elements,
/// contexts of half a million tokens find room in 70 MB.
const FIXED_ROOM: usize = 4;
/// Elements of the largest head that a block can accumulate.
pub(crate) const MAX_HEAD_DIM: usize = 512;
/// Words of a tile, as the kernels read it.
pub(crate) const TILE_WORDS: usize = 10;

/// What a layer's rows look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) shape: QkvShape,
    pub(crate) dtype: KvDtype,
    pub(crate) pool: KvPool,
    pub(crate) window: Option<usize>,
}

/// Which block takes what.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// `AttentionTile` each.
    pub(crate) tiles: Vec<u32>,
    /// Partial results of one part of a group.
    pub(crate) num_partials: usize,
    /// Tiles that were divided.
    pub(crate) num_divided: usize,
    whole: Vec<WholeTile>,
}

/// A tile before it is divided.
#[derive(Clone, Debug)]
struct WholeTile {
    first_row: usize,
    num_tokens: usize,
    position: usize,
    block_table: u32,
    keys: Range<usize>,
}

/// How the query heads of a group are divided into rows of tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupParts {
    /// Query heads that share a tile, at most.
    pub(crate) heads_per_tile: usize,
    /// Parts of all groups: blocks along y.
    pub(crate) num_parts: usize,
}

/// Room for what the spans of divided tiles have found.
pub(crate) struct Partials<D: CudaDevice> {
    memory: Option<D::Memory>,
    values: usize,
    /// Zero between launches.
    counters: Option<D::Memory>,
    num_counters: usize,
    sum_order: SumOrder,
}

impl GroupParts {
    pub(crate) fn of(shape: &QkvShape) -> Self {
        let group = shape.num_q_heads / shape.num_kv_heads;
        let heads_per_tile = group.min(FRAGMENT_ROWS);
        Self {
            heads_per_tile,
            num_parts: shape.num_kv_heads * group.div_ceil(heads_per_tile),
        }
    }

    /// Tokens of a tile.
    fn tokens(self, tile_rows: usize) -> usize {
        tile_rows / self.heads_per_tile
    }
}

impl Plan {
    /// Plans the tiles of one way; tiles are divided while blocks are fewer than `num_blocks`.
    pub(crate) fn make(&mut self, batch: &StepBatch, way: Way, sight: &Sight, num_blocks: usize) {
        self.tiles.clear();
        self.whole.clear();
        self.num_partials = 0;
        self.num_divided = 0;
        let parts = GroupParts::of(&sight.shape);
        let tokens = parts.tokens(way.tile_rows(sight.shape.head_dim));
        for seq in 0..batch.num_seqs() {
            let rows = batch.query_range(seq);
            if !way.takes(parts, rows.len()) {
                continue;
            }
            let first_position = batch.context_lens[seq] as usize - rows.len();
            // The last tokens have the most keys, and what takes long begins first.
            for start in (0..rows.len()).step_by(tokens).rev() {
                let num_tokens = tokens.min(rows.len() - start);
                let position = first_position + start;
                let sees_from = |window| (position + 1).saturating_sub(window);
                self.whole.push(WholeTile {
                    first_row: rows.start + start,
                    num_tokens,
                    position,
                    block_table: batch.block_table_start[seq],
                    keys: sight.window.map_or(0, sees_from)..position + num_tokens,
                });
            }
        }
        match way.division() {
            Division::Filling { min_span } => {
                let span = self.span(parts.num_parts, min_span, num_blocks);
                for index in 0..self.whole.len() {
                    let tile = self.whole[index].clone();
                    self.add(&tile, span);
                }
            }
            Division::Fixed => {
                let rows = partial_rows(SumOrder::Fixed, num_blocks, sight.shape.head_dim);
                let tile_rows = parts.num_parts * way.tile_rows(sight.shape.head_dim);
                self.add_fixed(parts.num_parts, num_blocks, rows / tile_rows);
            }
        }
    }

    pub(crate) fn num_tiles(&self) -> usize {
        self.tiles.len() / TILE_WORDS
    }

    /// Keys of the spans that make no more than `num_blocks` blocks of all tiles.
    fn span(&self, num_parts: usize, min_span: usize, num_blocks: usize) -> usize {
        let spare = num_blocks.saturating_sub(self.whole.len() * num_parts);
        if spare == 0 {
            return usize::MAX;
        }
        let keys: usize = self.whole.iter().map(|tile| tile.keys.len()).sum();
        (keys * num_parts)
            .div_ceil(spare)
            .max(min_span)
            .next_multiple_of(BLOCK_KEYS)
    }

    /// Adds the tiles, divided while blocks are fewer than `num_blocks` and there is room for their
    /// spans' partial results.
    fn add_fixed(&mut self, num_parts: usize, num_blocks: usize, room: usize) {
        let divides = self.whole.len() * num_parts < num_blocks;
        for index in 0..self.whole.len() {
            let tile = self.whole[index].clone();
            let Range { start, end } = tile.keys;
            let spans = end.div_ceil(FIXED_SPAN) - start / FIXED_SPAN;
            let fits = divides && self.num_partials + spans <= room;
            self.add(&tile, if fits { FIXED_SPAN } else { usize::MAX });
        }
    }

    /// Adds a tile, in spans of `span` keys cut at absolute positions.
    fn add(&mut self, tile: &WholeTile, span: usize) {
        let Range { start, end } = tile.keys;
        let spans = start / span..end.div_ceil(span);
        let first_partial = self.num_partials as u32;
        let (num_partials, counter) = match spans.len() {
            1 => (0, 0),
            several => (several, self.num_divided),
        };
        for index in spans {
            // The last span has no end of its own.
            let next = (index + 1).saturating_mul(span);
            self.tiles.extend([
                tile.first_row as u32,
                tile.num_tokens as u32,
                tile.position as u32,
                tile.block_table,
                start.max(index * span) as u32,
                end.min(next) as u32,
                self.num_partials as u32,
                first_partial,
                num_partials as u32,
                counter as u32,
            ]);
            if num_partials > 0 {
                self.num_partials += 1;
            }
        }
        if num_partials > 0 {
            self.num_divided += 1;
        }
    }
}

/// Tiles of the largest step within `sizes`, of all ways of one sight.
pub(crate) fn max_tiles<D: CudaDevice>(
    device: &D,
    sizes: &StepSizes,
    sum_order: SumOrder,
) -> usize {
    let parts = GroupParts::of(&sizes.qkv);
    let blocks = num_blocks(device);
    let divided = match sum_order {
        SumOrder::Free => blocks,
        SumOrder::Fixed => {
            let rows = partial_rows(sum_order, blocks, sizes.qkv.head_dim);
            rows / (parts.num_parts * FRAGMENT_ROWS)
        }
    };
    sizes.max_tokens.div_ceil(parts.tokens(FRAGMENT_ROWS)) + sizes.max_seqs + divided
}

/// Rows of partial results, of all parts together, on a device that `num_blocks` keep busy.
fn partial_rows(sum_order: SumOrder, num_blocks: usize, head_dim: usize) -> usize {
    let rows = num_blocks * Way::Many.tile_rows(head_dim);
    match sum_order {
        // Only so many blocks are parts of divided tiles, whatever the tiles.
        SumOrder::Free => rows,
        SumOrder::Fixed => FIXED_ROOM * rows,
    }
}

/// Blocks that keep the device busy: several on each multiprocessor.
pub(crate) fn num_blocks<D: CudaDevice>(device: &D) -> usize {
    2 * device.num_multiprocessors()
}

impl<D: CudaDevice> Partials<D> {
    pub(crate) fn new(sum_order: SumOrder) -> Self {
        Self {
            memory: None,
            values: 0,
            counters: None,
            num_counters: 0,
            sum_order,
        }
    }

    /// Room for every plan of rows of this shape.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, device: &D, shape: &QkvShape) -> Result<(), KernelError> {
        let blocks = num_blocks(device);
        let values = partial_rows(self.sum_order, blocks, shape.head_dim) * (shape.head_dim + 2);
        if values > self.values {
            self.memory = None;
            self.memory = Some(device.allocate("attention of spans", 4 * values)?);
            self.values = values;
        }
        if blocks > self.num_counters {
            self.counters = None;
            self.counters = Some(device.allocate("attention of spans", 4 * blocks)?);
            self.num_counters = blocks;
        }
        Ok(())
    }

    /// Fills in where partial results of rows of this shape go; there is room.
    pub(crate) fn give(&self, device: &D, shape: &QkvShape, arguments: &mut AttentionArguments) {
        let (Some(memory), Some(counters)) = (&self.memory, &self.counters) else {
            return;
        };
        let rows = partial_rows(self.sum_order, num_blocks(device), shape.head_dim);
        arguments.partial_values = device.address(memory);
        arguments.partial_sums = arguments.partial_values + (4 * rows * shape.head_dim) as u64;
        arguments.counters = device.address(counters);
    }
}

impl<D: CudaDevice> Cuda<D> {
    /// See [`Attention`].
    ///
    /// # Errors
    /// `Device`; `OutOfMemory` of a step larger than was expected.
    pub(crate) fn attend(&mut self, op: &Attention<'_, Self>) -> Result<(), KernelError> {
        let (device, rows) = (&self.device, op.batch.num_tokens());
        assert_eq!(op.qkv.cols, op.shape.row_size(), "columns of the rows");
        assert_eq!(op.out.cols, op.shape.q_size(), "columns of the output");
        if !self.inputs.are(op.batch) {
            self.inputs.set(device, op.batch)?;
        }
        let sight = Sight {
            shape: op.shape,
            dtype: op.kv.shape().dtype,
            pool: op.pool,
            window: op.window,
        };
        let mut arguments = AttentionArguments {
            qkv: op.qkv.values(device, rows),
            tiles: 0,
            block_tables: 0,
            sinks: op.sinks.map_or(0, |sinks| sinks.address(device)),
            out: op.out.values(device, rows),
            partial_values: 0,
            partial_sums: 0,
            counters: 0,
            kv: op.kv.layer(device, op.layer),
            num_q_heads: op.shape.num_q_heads as u32,
            tile_rows: 0,
            heads_per_tile: 0,
            window: op.window.unwrap_or(0) as u32,
            scale: op.scale,
            soft_cap: op.soft_cap.unwrap_or(0.0),
        };
        self.partials.reserve(device, &op.shape)?;
        self.partials.give(device, &op.shape, &mut arguments);
        for tiles in self.inputs.tiles(device, sight)? {
            arguments.tiles = tiles.address;
            arguments.block_tables = self.inputs.tables(device, op.pool);
            run(device, (tiles.way, sight), tiles.num_tiles, arguments)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
