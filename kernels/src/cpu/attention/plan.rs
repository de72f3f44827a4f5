//! Which rows and spans are computed together.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::StepSizes;
use crate::cpu::attention::{ITEM_ROWS, Layer, SPAN_KEYS};
use crate::cpu::kv::KvElement;

/// The units of one layer of a step. Made anew for every layer: that costs less than a microsecond
/// per sequence, and keeps nothing that could be out of date.
#[derive(Default)]
pub(super) struct Plan {
    units: Vec<Unit>,
    members: Vec<Member>,
    /// Per sequence.
    splits: Vec<Split>,
    /// Units that a sequence's KV head still waits for. `[num_seqs, num_kv_heads]`
    pending: Vec<AtomicU32>,
    num_kv_heads: usize,
    num_partials: usize,
    /// Sequences of few rows, by block table.
    short: Vec<u32>,
}

/// Rows that one task computes, for each KV head.
pub(super) struct Unit {
    members: Range<usize>,
    /// Spans to compute.
    pub(super) spans: Range<usize>,
    /// About proportional to the time it takes.
    cost: usize,
}

/// Rows of one sequence.
pub(super) struct Member {
    pub(super) seq: usize,
    pub(super) rows: Range<usize>,
}

/// How a sequence's spans are divided.
#[derive(Clone)]
pub(super) struct Split {
    /// Its rows' spans where they are computed one by one, for the partial results to be merged;
    /// empty where a unit has all of them.
    pub(super) spans: Range<usize>,
    /// Rows per KV head.
    num_rows: usize,
    first_partial: usize,
}

impl Split {
    /// Whether the sequence's spans are computed one by one.
    pub(super) fn is_split(&self) -> bool {
        !self.spans.is_empty()
    }

    /// Where the partial result of a row lies.
    pub(super) fn partial(&self, kv_head: usize, span: usize, row: usize) -> usize {
        let span = span - self.spans.start;
        self.first_partial + (kv_head * self.spans.len() + span) * self.num_rows + row
    }
}

impl Plan {
    /// Makes room for steps of these sizes, each of whose sequences has at most `spans` spans.
    pub(super) fn reserve(&mut self, sizes: &StepSizes, spans: usize) {
        let StepSizes { qkv, max_seqs, .. } = *sizes;
        let rows = sizes.max_tokens * (qkv.num_q_heads / qkv.num_kv_heads);
        let units = max_seqs * spans.max(1) + rows / ITEM_ROWS;
        self.units.reserve(units);
        self.members.reserve(units);
        self.splits.reserve(max_seqs);
        self.pending.reserve(max_seqs * qkv.num_kv_heads);
        self.short.reserve(max_seqs);
    }

    /// Plans a layer, largest units first.
    pub(super) fn make<T: KvElement>(&mut self, layer: &Layer<'_, T>) {
        self.units.clear();
        self.members.clear();
        self.splits.clear();
        self.pending.clear();
        self.short.clear();
        self.num_partials = 0;
        self.num_kv_heads = layer.shape.num_kv_heads;
        for seq in 0..layer.batch.num_seqs() {
            let split = self.split(layer, seq);
            self.splits.push(split);
            for _ in 0..self.num_kv_heads {
                let spans = self.splits[seq].spans.len() as u32;
                self.pending.push(AtomicU32::new(spans));
            }
        }
        let table = |seq: &u32| layer.block_table(*seq as usize);
        self.short
            .sort_unstable_by(|a, b| table(a).cmp(table(b)).then(a.cmp(b)));
        let last = self
            .short
            .iter()
            .map(|&seq| self.splits[seq as usize].spans.end);
        for span in 0..last.max().unwrap_or(0) {
            self.plan_span(layer, span);
        }
        self.units
            .sort_unstable_by_key(|unit| std::cmp::Reverse(unit.cost));
    }

    /// Units, each computed once per KV head.
    pub(super) fn num_units(&self) -> usize {
        self.units.len()
    }

    /// The unit of that index.
    pub(super) fn unit(&self, index: usize) -> &Unit {
        &self.units[index]
    }

    /// The rows of a unit.
    pub(super) fn members(&self, unit: &Unit) -> &[Member] {
        &self.members[unit.members.clone()]
    }

    /// How sequence `seq` is divided.
    pub(super) fn split_of(&self, seq: usize) -> &Split {
        &self.splits[seq]
    }

    /// Partial results that the units leave.
    pub(super) fn num_partials(&self) -> usize {
        self.num_partials
    }

    /// Counts one of the spans of a split sequence as done; true for the last one of this KV head,
    /// by when the others' partial results are visible.
    pub(super) fn complete(&self, seq: usize, kv_head: usize) -> bool {
        let pending = &self.pending[seq * self.num_kv_heads + kv_head];
        pending.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Decides about sequence `seq`; adds its units unless it is split.
    fn split<T: KvElement>(&mut self, layer: &Layer<'_, T>, seq: usize) -> Split {
        let num_rows = layer.num_rows(seq);
        let mut split = Split {
            spans: 0..0,
            num_rows,
            first_partial: self.num_partials,
        };
        if num_rows == 0 {
            return split;
        }
        let spans = span_range(layer, seq, &(0..num_rows));
        if num_rows <= ITEM_ROWS && spans.len() > 1 {
            self.num_partials += self.num_kv_heads * spans.len() * num_rows;
            self.short.push(seq as u32);
            split.spans = spans;
            return split;
        }
        for first in (0..num_rows).step_by(ITEM_ROWS) {
            let rows = first..num_rows.min(first + ITEM_ROWS);
            let keys = layer.visible(seq, rows.end - 1).end - layer.visible(seq, first).start;
            let start = self.members.len();
            self.units.push(Unit {
                members: start..start + 1,
                spans: span_range(layer, seq, &rows),
                cost: rows.len() * keys,
            });
            self.members.push(Member { seq, rows });
        }
        split
    }

    /// Units of span `span` of the split sequences.
    fn plan_span<T: KvElement>(&mut self, layer: &Layer<'_, T>, span: usize) {
        let positions = span * SPAN_KEYS..(span + 1) * SPAN_KEYS;
        // Rows that meet the first half of a span together: where they part later, each of them is
        // alone with the rest, on the same thread.
        let half = positions.start..positions.start + SPAN_KEYS / 2;
        let mut before: Option<usize> = None;
        for index in 0..self.short.len() {
            let seq = self.short[index] as usize;
            if !self.splits[seq].spans.contains(&span) {
                continue;
            }
            let num_rows = self.splits[seq].num_rows;
            let context_len = layer.batch.context_lens[seq] as usize;
            let keys = context_len.min(positions.end) - positions.start;
            let blocks = |seq| layer.blocks(seq, half.clone());
            let shares = before.is_some_and(|before| {
                let len = layer.batch.context_lens[before] as usize;
                len.min(context_len) >= half.end && blocks(before) == blocks(seq)
            });
            before = Some(seq);
            let end = self.members.len() + 1;
            let rows = 0..num_rows;
            self.members.push(Member { seq, rows });
            let open = self.units.last_mut().filter(|_| shares);
            let room = |unit: &&mut Unit| {
                let rows = self.members[unit.members.clone()].iter();
                rows.map(|member| member.rows.len()).sum::<usize>() + num_rows <= ITEM_ROWS
            };
            match open.filter(room) {
                Some(unit) => {
                    unit.members.end = end;
                    unit.cost += num_rows * keys;
                }
                None => self.units.push(Unit {
                    members: end - 1..end,
                    spans: span..span + 1,
                    cost: num_rows * keys,
                }),
            }
        }
    }
}

/// Spans that the rows see.
fn span_range<T: KvElement>(layer: &Layer<'_, T>, seq: usize, rows: &Range<usize>) -> Range<usize> {
    let start = layer.visible(seq, rows.start).start / SPAN_KEYS;
    start..layer.visible(seq, rows.end - 1).end.div_ceil(SPAN_KEYS)
}
