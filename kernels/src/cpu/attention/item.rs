//! One item: the rows of a unit, for one KV head.

#![expect(
    unsafe_code,
    reason = "states and outputs of other tasks lie in the same memory"
)]

use std::ops::Range;

use crate::cpu::attention::keys::{GROUPS, KeyGroup, locate};
use crate::cpu::attention::plan::{Plan, Unit};
use crate::cpu::attention::scratch::{Place, Scratch};
use crate::cpu::attention::state::State;
use crate::cpu::attention::{Layer, SPAN_KEYS, TILE_KEYS};
use crate::cpu::kv::KvElement;
use crate::cpu::pool::SharedPtr;
use crate::cpu::simd::{Kernel, Simd};

/// The rows of `unit` for KV head `kv_head`.
pub(super) struct Item<'a, T> {
    pub(super) layer: &'a Layer<'a, T>,
    pub(super) plan: &'a Plan,
    pub(super) unit: &'a Unit,
    pub(super) kv_head: usize,
    pub(super) scratch: &'a mut Scratch,
    /// As many states as the plan says.
    pub(super) partials: SharedPtr<f32>,
    /// `[num_tokens, num_q_heads * head_dim]`
    pub(super) out: *mut f32,
}

/// Rows that see the same memory as a tile.
pub(super) struct Run<T> {
    /// The tile's first position.
    pub(super) tile: usize,
    /// Rows of the item; each of them sees some key.
    pub(super) rows: Range<usize>,
    pub(super) groups: [KeyGroup<T>; GROUPS],
}

impl<T: KvElement> Kernel for Item<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.begin();
        for span in self.unit.spans.clone() {
            self.span(simd, span);
            self.close(simd, span);
        }
        let plan = self.plan;
        for member in plan.members(self.unit) {
            let split = plan.split_of(member.seq);
            if split.is_split() && plan.complete(member.seq, self.kv_head) {
                self.merge(simd, member.seq);
            }
        }
    }
}

impl<T: KvElement> Item<'_, T> {
    /// Lists the rows and gathers their scaled queries.
    fn begin(&mut self) {
        self.scratch.places.clear();
        for member in self.plan.members(self.unit) {
            for row in member.rows.clone() {
                self.scratch.places.push(Place {
                    seq: member.seq,
                    row,
                    visible: self.layer.visible(member.seq, row),
                });
            }
        }
        let head_dim = self.layer.shape.head_dim;
        let queries = self.scratch.queries.chunks_exact_mut(head_dim);
        for (place, scaled) in self.scratch.places.iter().zip(queries) {
            let (token, head) = token_and_head(self.layer, self.kv_head, place.seq, place.row);
            let start = token * self.layer.shape.row_size() + head * head_dim;
            let query = &self.layer.qkv[start..start + head_dim];
            for (scaled, x) in scaled.iter_mut().zip(query) {
                *scaled = x * self.layer.scale;
            }
        }
    }

    /// The softmax of every row over its keys of span `span`.
    #[inline(always)]
    fn span<S: Simd>(&mut self, simd: S, span: usize) {
        let num_rows = self.scratch.places.len();
        let positions = span * SPAN_KEYS..(span + 1) * SPAN_KEYS;
        let (mut start, mut end) = (positions.end, positions.start);
        for row in 0..num_rows {
            self.running(row).clear(simd);
            let visible = &self.scratch.places[row].visible;
            start = start.min(visible.start.max(positions.start));
            end = end.max(visible.end.min(positions.end));
        }
        let mut tile = start - start % TILE_KEYS;
        while tile < end {
            let mut row = 0;
            while let Some(run) = self.next_run(row, tile) {
                row = run.rows.end;
                self.scores(simd, &run);
                for row in run.rows.clone() {
                    self.softmax(simd, row, &run);
                }
                self.values(simd, &run);
            }
            tile += TILE_KEYS;
        }
    }

    /// The next rows, from row `row` on, that see something of the tile at `tile`, in one memory.
    fn next_run(&mut self, row: usize, tile: usize) -> Option<Run<T>> {
        let places = &self.scratch.places;
        let sees = |place: &Place| !place.clip(tile).is_empty();
        let start = row + places[row..].iter().position(sees)?;
        let seq = places[start].seq;
        let positions = tile..tile + TILE_KEYS;
        let blocks = self.layer.blocks(seq, positions.clone());
        let (mut end, mut other, mut last) = (start, seq, tile);
        while let Some(place) = places.get(end).filter(|place| sees(place)) {
            if place.seq != other {
                other = place.seq;
                if self.layer.blocks(other, positions.clone()) != blocks {
                    break;
                }
            }
            last = last.max(tile + place.clip(tile).end);
            end += 1;
        }
        let scratch = &mut self.scratch.tile;
        Some(Run {
            tile,
            rows: start..end,
            groups: locate(self.layer, seq, self.kv_head, tile..last, scratch),
        })
    }

    /// Ends span `span`: its states join those of the spans before it, or wait to be merged.
    #[inline(always)]
    fn close<S: Simd>(&mut self, simd: S, span: usize) {
        for row in 0..self.scratch.places.len() {
            let place = &self.scratch.places[row];
            let spans = spans(&place.visible);
            if !spans.contains(&span) {
                continue;
            }
            let (seq, seq_row) = (place.seq, place.row);
            let (running, merged) = (self.running(row), self.merged(row));
            let split = self.plan.split_of(seq);
            if split.is_split() {
                let index = split.partial(self.kv_head, span, seq_row);
                self.partial(index).copy_from(simd, running);
                continue;
            }
            let whole = if span == spans.start { running } else { merged };
            if span > spans.start {
                merged.merge(simd, running);
            }
            if span + 1 == spans.end {
                self.finish(simd, whole, seq, seq_row);
            } else if span == spans.start {
                merged.copy_from(simd, running);
            }
        }
    }

    /// Merges the spans of a sequence whose last span is done.
    #[inline(always)]
    fn merge<S: Simd>(&mut self, simd: S, seq: usize) {
        let split = self.plan.split_of(seq);
        for row in 0..self.layer.num_rows(seq) {
            let merged = self.merged(0);
            let spans = spans(&self.layer.visible(seq, row));
            for span in spans.clone() {
                let partial = self.partial(split.partial(self.kv_head, span, row));
                if span == spans.start {
                    merged.copy_from(simd, partial);
                } else {
                    merged.merge(simd, partial);
                }
            }
            self.finish(simd, merged, seq, row);
        }
    }

    /// Writes a row's output.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, state: State, seq: usize, row: usize) {
        let (token, head) = token_and_head(self.layer, self.kv_head, seq, row);
        let head_dim = self.layer.shape.head_dim;
        // SAFETY: `Layer::check` made sure of the output's size, and this row's head is written by
        // the one task that finishes it.
        unsafe {
            let out = self
                .out
                .add(token * self.layer.shape.q_size() + head * head_dim);
            state.finish(simd, out, head_dim);
        }
    }

    /// State of row `row` in the span at hand.
    #[inline(always)]
    pub(super) fn running(&mut self, row: usize) -> State {
        debug_assert!(row < self.scratch.places.len().max(1));
        // SAFETY: the scratch has a state for each row, and is this task's alone.
        unsafe {
            State::of(
                self.scratch.running.as_mut_ptr(),
                row,
                self.layer.shape.head_dim,
            )
        }
    }

    /// State of row `row` over the spans before it.
    #[inline(always)]
    fn merged(&mut self, row: usize) -> State {
        // SAFETY: as for `running`.
        unsafe {
            State::of(
                self.scratch.merged.as_mut_ptr(),
                row,
                self.layer.shape.head_dim,
            )
        }
    }

    /// Partial state `index` of the plan.
    #[inline(always)]
    fn partial(&mut self, index: usize) -> State {
        // SAFETY: the workspace has as many as the plan counts. A span's rows are written by the
        // one task that has the span, and read by the task that `Plan::complete` names, after them.
        unsafe { State::of(self.partials.get(), index, self.layer.shape.head_dim) }
    }
}

/// Spans of the positions that a row sees.
fn spans(visible: &Range<usize>) -> Range<usize> {
    visible.start / SPAN_KEYS..visible.end.div_ceil(SPAN_KEYS)
}

/// A row's place on the token axis and its query head.
fn token_and_head<T: KvElement>(
    layer: &Layer<'_, T>,
    kv_head: usize,
    seq: usize,
    row: usize,
) -> (usize, usize) {
    let group = layer.group();
    let token = layer.batch.query_range(seq).start + row / group;
    (token, kv_head * group + row % group)
}
