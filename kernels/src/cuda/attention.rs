//! Attention: which block takes which rows and keys, planned on the host.

use crate::cuda::arguments::{AttentionArguments, MergeArguments};
use crate::cuda::device::{CudaDevice, Geometry, Staged};
use crate::{KernelError, KvPool, QkvShape, StepBatch, StepSizes};

/// Rows of a tile (a row is a token and a query head), and keys that are staged together.
const TILE_ROWS: usize = 16;
const TILE_KEYS: usize = 32;
const THREADS: usize = 128;
/// Elements of the largest head that a block can accumulate.
pub(crate) const MAX_HEAD_DIM: usize = 512;
/// Keys of a span, cut at absolute positions, where a tile's keys are divided.
const SPAN_KEYS: usize = 512;
/// A tile's index of a partial result, if it has none.
const NO_PARTIAL: u32 = u32::MAX;
/// Words of a tile and of a divided tile, as the kernels read them.
const TILE_WORDS: usize = 7;
const SPAN_WORDS: usize = 4;

/// Which block takes what.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// `AttentionTile` each.
    pub(crate) tiles: Vec<u32>,
    /// First row, tokens, first partial result and number of them of each tile that was divided.
    pub(crate) spans: Vec<u32>,
    /// Partial results of one part of a group.
    pub(crate) num_partials: usize,
}

/// The plan on the device, and room for partial results.
pub(crate) struct Planned<D: CudaDevice> {
    plan: Plan,
    tiles: Staged<D>,
    spans: Staged<D>,
    tables: Staged<D>,
    /// Of the layers with a sliding window, where they have blocks of their own.
    window_tables: Staged<D>,
    partials: Option<D::Memory>,
    /// f32 values that they have room for.
    partial_values: usize,
}

/// What a layer's rows look at.
#[derive(Clone, Copy)]
pub(crate) struct Sight {
    pub(crate) shape: QkvShape,
    pub(crate) pool: KvPool,
    pub(crate) window: Option<usize>,
}

/// How the query heads of a group are divided into rows of tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupParts {
    /// Query heads that share a tile, at most.
    pub(crate) heads_per_tile: usize,
    /// Parts of all groups: blocks along y.
    pub(crate) num_parts: usize,
}

impl GroupParts {
    pub(crate) fn of(shape: &QkvShape) -> Self {
        let group = shape.num_q_heads / shape.num_kv_heads;
        let heads_per_tile = group.min(TILE_ROWS);
        Self {
            heads_per_tile,
            num_parts: shape.num_kv_heads * group.div_ceil(heads_per_tile),
        }
    }

    /// Tokens of a tile.
    fn tokens(self) -> usize {
        TILE_ROWS / self.heads_per_tile
    }
}

impl Plan {
    /// Plans the step; a tile of a long context is divided while blocks are fewer than `num_blocks`.
    pub(crate) fn make(
        &mut self,
        batch: &StepBatch,
        parts: GroupParts,
        window: Option<usize>,
        num_blocks: usize,
    ) {
        self.tiles.clear();
        self.spans.clear();
        self.num_partials = 0;
        let tokens = parts.tokens();
        let num_tiles: usize = (0..batch.num_seqs())
            .map(|seq| batch.query_range(seq).len().div_ceil(tokens))
            .sum();
        let divides = num_tiles * parts.num_parts < num_blocks;
        for seq in 0..batch.num_seqs() {
            let rows = batch.query_range(seq);
            let first_position = batch.context_lens[seq] as usize - rows.len();
            for start in (0..rows.len()).step_by(tokens) {
                let count = tokens.min(rows.len() - start);
                let position = first_position + start;
                let first_key = window.map_or(0, |window| (position + 1).saturating_sub(window));
                let tile = [
                    (rows.start + start) as u32,
                    count as u32,
                    position as u32,
                    batch.block_table_start[seq],
                ];
                self.add(tile, first_key, position + count, divides);
            }
        }
    }

    fn num_tiles(&self) -> usize {
        self.tiles.len() / TILE_WORDS
    }

    fn num_divided(&self) -> usize {
        self.spans.len() / SPAN_WORDS
    }

    /// Adds a tile whose keys are `first_key..end_key`, in spans if it is to be divided.
    fn add(&mut self, tile: [u32; 4], first_key: usize, end_key: usize, divides: bool) {
        let num_spans = end_key.div_ceil(SPAN_KEYS) - first_key / SPAN_KEYS;
        if !divides || num_spans == 1 {
            self.tiles.extend(tile);
            self.tiles
                .extend([first_key as u32, end_key as u32, NO_PARTIAL]);
            return;
        }
        let first_partial = self.num_partials as u32;
        self.spans
            .extend([tile[0], tile[1], first_partial, num_spans as u32]);
        for span in first_key / SPAN_KEYS..end_key.div_ceil(SPAN_KEYS) {
            let start = first_key.max(span * SPAN_KEYS);
            let end = end_key.min((span + 1) * SPAN_KEYS);
            self.tiles.extend(tile);
            self.tiles
                .extend([start as u32, end as u32, self.num_partials as u32]);
            self.num_partials += 1;
        }
    }
}

impl<D: CudaDevice> Planned<D> {
    pub(crate) fn new() -> Self {
        Self {
            plan: Plan::default(),
            tiles: Staged::new("attention tiles"),
            spans: Staged::new("attention spans"),
            tables: Staged::new("block tables"),
            window_tables: Staged::new("block tables of windows"),
            partials: None,
            partial_values: 0,
        }
    }

    /// Makes room for the largest plan of steps within `sizes`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, device: &D, sizes: &StepSizes) -> Result<(), KernelError> {
        let parts = GroupParts::of(&sizes.qkv);
        let num_blocks = num_blocks(device);
        // Only fewer tiles than blocks are divided, each into the spans of a whole context.
        let divided = num_blocks.div_ceil(parts.num_parts);
        let partials = divided * sizes.max_context.div_ceil(SPAN_KEYS);
        let tiles = sizes.max_tokens.div_ceil(parts.tokens()) + sizes.max_seqs + partials;
        self.tiles.reserve(device, TILE_WORDS * tiles)?;
        self.spans.reserve(device, SPAN_WORDS * divided)?;
        // Of blocks of the usual size; smaller ones make room when they come.
        let blocks = sizes.max_seqs * sizes.max_context.div_ceil(16);
        self.tables.reserve(device, blocks)?;
        self.window_tables.reserve(device, blocks)?;
        self.plan.tiles.reserve(TILE_WORDS * tiles);
        self.plan.spans.reserve(SPAN_WORDS * divided);
        let head_dim = sizes.qkv.head_dim;
        self.reserve_partials(device, partials * parts.num_parts, head_dim)
    }

    /// Plans the step and runs it; the addresses of the plan are filled in here.
    ///
    /// # Errors
    /// `Device`; `OutOfMemory` of a step larger than was expected.
    pub(crate) fn run(
        &mut self,
        device: &D,
        batch: &StepBatch,
        Sight {
            shape,
            pool,
            window,
        }: Sight,
        mut arguments: AttentionArguments,
    ) -> Result<(), KernelError> {
        let parts = GroupParts::of(&shape);
        self.plan.make(batch, parts, window, num_blocks(device));
        let count = self.plan.num_partials * parts.num_parts;
        self.reserve_partials(device, count, shape.head_dim)?;
        arguments.tiles = self.tiles.send(device, &self.plan.tiles)?;
        arguments.block_tables = match pool {
            KvPool::Main => self.tables.send(device, &batch.block_tables)?,
            KvPool::Window => {
                let tables = &batch.window.block_tables;
                self.window_tables.send(device, tables)?
            }
        };
        arguments.heads_per_tile = parts.heads_per_tile as u32;
        if let Some(partials) = &self.partials {
            let values = (count * TILE_ROWS * shape.head_dim) as u64;
            arguments.partial_values = device.address(partials);
            arguments.partial_sums = arguments.partial_values + 4 * values;
        }
        let queries = TILE_ROWS * shape.head_dim;
        let staged = TILE_KEYS * (shape.head_dim + 1);
        let geometry = Geometry {
            grid: [self.plan.num_tiles(), parts.num_parts],
            threads: THREADS,
            shared_bytes: 4 * (queries + staged),
        };
        device.launch(geometry, &arguments)?;
        if self.plan.num_divided() == 0 {
            return Ok(());
        }
        let merge = MergeArguments {
            attention: arguments,
            spans: self.spans.send(device, &self.plan.spans)?,
        };
        let grid = [self.plan.num_divided(), parts.num_parts];
        device.launch(Geometry::new(grid, THREADS), &merge)
    }

    /// Room for `count` partial results: values, and the largest score and sum of each row.
    fn reserve_partials(
        &mut self,
        device: &D,
        count: usize,
        head_dim: usize,
    ) -> Result<(), KernelError> {
        let values = count * TILE_ROWS * (head_dim + 2);
        if values > self.partial_values {
            self.partials = None;
            self.partials = Some(device.allocate("attention of spans", 4 * values)?);
            self.partial_values = values;
        }
        Ok(())
    }
}

/// Blocks that keep the device busy: several on each multiprocessor.
fn num_blocks<D: CudaDevice>(device: &D) -> usize {
    2 * device.num_multiprocessors()
}

#[cfg(test)]
mod tests;
