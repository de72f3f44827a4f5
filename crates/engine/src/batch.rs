//! From a scheduler's decision to a model's inputs.
//!
//! The only place where block ids become slots: the two halves of the system, scheduling and
//! numerics, meet here and nowhere else.

use kernels::{BlockCopy, DRAWN_BEFORE, StepBatch};
use scheduler::{Chunk, RequestId, Scheduler, StepPlan};

/// Writes `plan` into `batch`, whose capacity is reused; `before` is the plan of the step in flight, of
/// whose tokens only their rows are known, and `adapter` gives the slot of a request's adapter.
pub(crate) fn build(
    scheduler: &Scheduler,
    plan: &StepPlan,
    before: Option<&StepPlan>,
    adapter: impl Fn(RequestId) -> Option<u32>,
    batch: &mut StepBatch,
) {
    let block_size = scheduler.config().block_size;
    let mut rows_before = RowsBefore::of(before);
    batch.clear();
    batch
        .block_copies
        .extend(plan.copies.iter().map(|copy| BlockCopy {
            src: copy.src.0,
            dst: copy.dst.0,
            num_tokens: copy.num_tokens as u32,
        }));
    let window_copy = |copy: &kv_cache::BlockCopy| {
        let window = copy.window?;
        Some(BlockCopy {
            src: window.src.0,
            dst: window.dst.0,
            num_tokens: copy.num_tokens as u32,
        })
    };
    batch
        .window
        .block_copies
        .extend(plan.copies.iter().filter_map(window_copy));
    for chunk in &plan.chunks {
        add_tokens(scheduler, chunk, &mut rows_before, batch);
        let blocks = scheduler.block_table(chunk.request);
        for position in chunk.tokens.clone() {
            let block = blocks[position / block_size].0 as usize;
            batch.positions.push(position as u32);
            batch
                .slot_mapping
                .push((block * block_size + position % block_size) as u32);
        }
        batch.query_start.push(batch.token_ids.len() as u32);
        batch.context_lens.push(chunk.tokens.end as u32);
        batch.adapters.push(adapter(chunk.request));
        let used = chunk.tokens.end.div_ceil(block_size);
        batch
            .block_tables
            .extend(blocks[..used].iter().map(|block| block.0));
        batch
            .block_table_start
            .push(batch.block_tables.len() as u32);
        if scheduler.config().window.is_some() {
            let tables = &mut batch.window.block_tables;
            let start = tables.len();
            let blocks = scheduler.window_blocks(chunk.request);
            tables.extend(blocks.take(used).map(|block| block.0));
            let slot = |position: usize| {
                let block = tables[start + position / block_size] as usize;
                (block * block_size + position % block_size) as u32
            };
            let slots = chunk.tokens.clone().map(slot);
            batch.window.slot_mapping.extend(slots);
        }
        if chunk.needs_logits {
            batch.logits_rows.push(batch.token_ids.len() as u32 - 1);
        }
    }
}

/// Adds the tokens of a chunk; one that is not known yet by its row of the step before.
fn add_tokens(
    scheduler: &Scheduler,
    chunk: &Chunk,
    rows_before: &mut RowsBefore,
    batch: &mut StepBatch,
) {
    let tokens = scheduler.tokens(chunk.request);
    let known = chunk.tokens.start..chunk.tokens.end.min(tokens.len());
    let is_known = known.len() == chunk.tokens.len();
    batch
        .token_ids
        .extend(tokens[known].iter().map(|token| token.0));
    if !is_known {
        let row = rows_before.row_of(chunk.request);
        batch.token_ids.push(DRAWN_BEFORE + row);
    }
}

/// Whose token each row of logits of the step before gives.
struct RowsBefore {
    requests: Vec<RequestId>,
    /// Where the next one is: they mostly come again in the same order.
    next: usize,
}

impl RowsBefore {
    fn of(before: Option<&StepPlan>) -> Self {
        let chunks = before.iter().flat_map(|plan| &plan.chunks);
        let sampled = chunks.filter(|chunk| chunk.needs_logits);
        Self {
            requests: sampled.map(|chunk| chunk.request).collect(),
            next: 0,
        }
    }

    fn row_of(&mut self, request: RequestId) -> u32 {
        let (before, from) = self.requests.split_at(self.next);
        let is_its = |other: &RequestId| *other == request;
        let row = match from.iter().position(is_its) {
            Some(at) => self.next + at,
            None => before.iter().position(is_its).expect("it was sampled"),
        };
        self.next = row + 1;
        row as u32
    }
}
