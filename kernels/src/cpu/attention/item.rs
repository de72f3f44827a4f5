//! One item: the rows of a unit, for one KV head.

#![expect(
    unsafe_code,
    reason = "partial results and outputs of other tasks lie in the same memory"
)]

use std::ops::Range;

use crate::cpu::attention::located::Located;
use crate::cpu::attention::plan::{Plan, Unit};
use crate::cpu::attention::scratch::{Place, Scratch};
use crate::cpu::attention::state::Partial;
use crate::cpu::attention::{Layer, SPAN_KEYS};
use crate::cpu::kv::KvElement;
use crate::cpu::pool::SharedPtr;
use crate::cpu::simd::Simd;

/// Keys of a span for which rows of different sequences look for common blocks, where they do not
/// share all of it.
const SHARED_KEYS: usize = 64;

/// The rows of `unit` for KV head `kv_head`.
pub(super) struct Item<'a, T> {
    pub(super) layer: &'a Layer<'a, T>,
    pub(super) plan: &'a Plan,
    pub(super) unit: &'a Unit,
    pub(super) kv_head: usize,
    pub(super) scratch: &'a mut Scratch,
    /// As many as the plan says.
    pub(super) partials: SharedPtr<f32>,
    /// `[num_tokens, num_q_heads * head_dim]`
    pub(super) out: *mut f32,
}

/// Rows that find keys in the same memory.
pub(super) struct Run<'a, T> {
    /// Rows of the item; each of them sees some of the keys.
    pub(super) rows: Range<usize>,
    /// Keys of the span.
    pub(super) keys: Range<usize>,
    pub(super) located: Located<'a, T>,
}

/// How the products of an item are computed.
pub(super) trait Arithmetic<T: KvElement> {
    /// Takes the scaled queries of all rows.
    fn begin<S: Simd>(&mut self, simd: S, item: &mut Item<'_, T>);
    /// Scores of the run's rows for the keys that they see.
    fn scores<S: Simd>(&mut self, simd: S, item: &mut Item<'_, T>, run: &Run<'_, T>);
    /// Turns all rows' scores of a span into weights.
    fn weigh<S: Simd>(&mut self, simd: S, item: &mut Item<'_, T>);
    /// Weighted values of the run's rows: added to the partial outputs if `split`, else joined with
    /// the spans before.
    fn values<S: Simd>(&mut self, simd: S, item: &mut Item<'_, T>, run: &Run<'_, T>, split: bool);
}

impl<'a, T: KvElement> Item<'a, T> {
    /// Computes the item.
    #[inline(always)]
    pub(super) fn compute<S: Simd>(mut self, simd: S, mut arithmetic: impl Arithmetic<T>) {
        let members = self.plan.members(self.unit);
        let split = self.plan.split_of(members[0].seq).is_split();
        self.begin();
        arithmetic.begin(simd, &mut self);
        for span in self.unit.spans.clone() {
            self.span(simd, &mut arithmetic, span, split);
            if split {
                self.leave(span);
            }
        }
        if !split {
            for row in 0..self.scratch.places.len() {
                let place = &self.scratch.places[row];
                let (seq, seq_row) = (place.seq, place.row);
                self.finish(simd, row, seq, seq_row);
            }
            return;
        }
        for member in members {
            if self.plan.complete(member.seq, self.kv_head) {
                self.merge(simd, member.seq);
            }
        }
    }

    /// Lists the rows and gathers their scaled queries.
    #[inline(always)]
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
        // Scores are logarithms to base 2, once they are capped.
        let scale = match self.layer.soft_cap {
            Some(_) => self.layer.scale,
            None => self.layer.scale * std::f32::consts::LOG2_E,
        };
        let head_dim = self.layer.shape.head_dim;
        let queries = self.scratch.queries.chunks_exact_mut(head_dim);
        for (place, scaled) in self.scratch.places.iter().zip(queries) {
            let (token, head) = token_and_head(self.layer, self.kv_head, place.seq, place.row);
            let start = token * self.layer.shape.row_size() + head * head_dim;
            let query = &self.layer.qkv[start..start + head_dim];
            for (scaled, x) in scaled.iter_mut().zip(query) {
                *scaled = x * scale;
            }
        }
        self.scratch.states.clear(self.scratch.places.len());
    }

    /// The softmax of every row over its keys of span `span`: joined with the spans before it, or
    /// if `split` left as partial outputs.
    #[inline(always)]
    fn span<S: Simd>(
        &mut self,
        simd: S,
        arithmetic: &mut impl Arithmetic<T>,
        span: usize,
        split: bool,
    ) {
        let keys = span * SPAN_KEYS..(span + 1) * SPAN_KEYS;
        let num_rows = self.scratch.places.len();
        self.scratch.seen.clear();
        for place in &self.scratch.places {
            self.scratch.seen.push(place.clip(&keys));
        }
        let first = self.next_run(0, keys.start, 0..SPAN_KEYS);
        let together = first.is_some_and(|run| run.rows == (0..num_rows));
        let step = if together || !split {
            SPAN_KEYS
        } else {
            SHARED_KEYS
        };
        for start in (0..SPAN_KEYS).step_by(step) {
            let mut row = 0;
            while let Some(run) = self.next_run(row, keys.start, start..start + step) {
                row = run.rows.end;
                arithmetic.scores(simd, self, &run);
            }
        }
        arithmetic.weigh(simd, self);
        let states = &mut self.scratch.states;
        if split {
            states.partial_outputs[..num_rows * states.value_dim].fill(0.0);
        } else {
            states.join(simd, num_rows);
        }
        for start in (0..SPAN_KEYS).step_by(step) {
            let mut row = 0;
            while let Some(run) = self.next_run(row, keys.start, start..start + step) {
                row = run.rows.end;
                arithmetic.values(simd, self, &run, split);
            }
        }
    }

    /// The next rows, from row `row` on, that see some of the keys `keys` of the span at position
    /// `start`, and find them in the same memory.
    #[inline(always)]
    fn next_run(&self, row: usize, start: usize, keys: Range<usize>) -> Option<Run<'a, T>> {
        let seen = &self.scratch.seen;
        let sees = |row: &usize| seen[*row].start.max(keys.start) < seen[*row].end.min(keys.end);
        let first = (row..seen.len()).find(sees)?;
        let places = &self.scratch.places;
        let seq = places[first].seq;
        let positions = start + keys.start..start + keys.end;
        let blocks = self.layer.blocks(seq, positions.clone());
        let (mut end, mut other) = (first, seq);
        let (mut first_key, mut last_key) = (keys.end, keys.start);
        while end < seen.len() && sees(&end) {
            if places[end].seq != other {
                other = places[end].seq;
                if self.layer.blocks(other, positions.clone()) != blocks {
                    break;
                }
            }
            first_key = first_key.min(seen[end].start.max(keys.start));
            last_key = last_key.max(seen[end].end.min(keys.end));
            end += 1;
        }
        Some(Run {
            rows: first..end,
            keys: first_key..last_key,
            located: Located {
                layer: self.layer,
                table: self.layer.block_table(seq),
                kv_head: self.kv_head,
                start,
            },
        })
    }

    /// Leaves the rows' results over span `span` to be merged.
    #[inline(always)]
    fn leave(&mut self, span: usize) {
        for (row, place) in self.scratch.places.iter().enumerate() {
            if !self.scratch.seen[row].is_empty() {
                let split = self.plan.split_of(place.seq);
                let partial = self.partial(split.partial(self.kv_head, span, place.row));
                // SAFETY: a span's rows are written by the one task that has the span.
                unsafe { self.scratch.states.leave(row, partial) };
            }
        }
    }

    /// Merges the spans of a sequence whose last span is done.
    #[inline(always)]
    fn merge<S: Simd>(&mut self, simd: S, seq: usize) {
        let split = self.plan.split_of(seq);
        let num_rows = self.layer.num_rows(seq);
        self.scratch.states.clear(num_rows);
        for span in split.spans.clone() {
            // Rows that see the span: windows of later rows begin later, and earlier rows end
            // earlier.
            let sees = |row: &usize| spans(&self.layer.visible(seq, *row)).contains(&span);
            let Some(first) = (0..num_rows).find(sees) else {
                continue;
            };
            let count = (first..num_rows).take_while(sees).count();
            let partial = self.partial(split.partial(self.kv_head, span, first));
            // SAFETY: `Plan::complete` named this task after all of them were written.
            unsafe {
                self.scratch
                    .states
                    .merge(simd, partial, first..first + count);
            }
        }
        for row in 0..num_rows {
            self.finish(simd, row, seq, row);
        }
    }

    /// Writes the output of row `row`, which is `seq_row` of sequence `seq`.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, row: usize, seq: usize, seq_row: usize) {
        let (token, head) = token_and_head(self.layer, self.kv_head, seq, seq_row);
        let head_dim = self.layer.shape.head_dim;
        let start = token * self.layer.shape.q_size() + head * head_dim;
        // SAFETY: `Layer::check` made sure of the output's size, and this row's head is written by
        // the one task that finishes it.
        let out = unsafe { std::slice::from_raw_parts_mut(self.out.add(start), head_dim) };
        let sink = self.layer.sinks.map(|sinks| sinks[head]);
        self.scratch.states.finish(simd, row, sink, out);
    }

    /// Partial result `index` of the plan.
    #[inline(always)]
    fn partial(&self, index: usize) -> Partial {
        // SAFETY: the workspace has as many as the plan counts. A span's rows are written by the
        // one task that has the span, and read by the task that `Plan::complete` names, after them.
        unsafe { Partial::of(self.partials.get(), index, self.layer.shape.head_dim) }
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
