//! Matrix products with packed weights.

#![expect(
    unsafe_code,
    reason = "tasks write disjoint parts of the output through pointers"
)]

mod activations;
mod floats;
mod integers;
mod output;
mod pairs;
mod rounded;

use std::ops::Range;

pub(crate) use crate::cpu::linear::activations::QuantizedRows;
use crate::cpu::linear::floats::Product;
use crate::cpu::linear::integers::IntegerProduct;
use crate::cpu::linear::output::Output;
use crate::cpu::linear::pairs::PairProduct;
pub(crate) use crate::cpu::linear::rounded::RoundedRows;
use crate::cpu::packed::{PackedLinear, Panels, Segment};
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::simd::{Isa, LANES};

/// Rows per task of floats: their inputs of one pass stay in the L2 cache (96 KiB).
const ROW_BLOCK: usize = 96;
/// The same for integers (128 KiB of i16), which have to be unpacked for each task.
const INTEGER_ROW_BLOCK: usize = 256;
/// The same for pairs of bfloat16 (96 KiB).
const PAIR_ROW_BLOCK: usize = 192;
/// Panels that one row of floats takes at once.
const STREAM_PANELS: usize = 4;
/// Multiply-adds that are worth handing to another thread: the weights take one core several
/// microseconds to stream.
const TASK_WORK: usize = 1 << 17;
/// Tasks per thread that even out cores of different speed.
const TASKS_PER_THREAD: usize = 8;

/// `rows` rows of inputs, `[rows, in_features]`.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) floats: &'a [f32],
    /// The same rows, if weights are integers.
    pub(crate) integers: &'a QuantizedRows,
    /// The same rows, if weights are pairs of bfloat16.
    pub(crate) rounded: &'a RoundedRows,
    pub(crate) rows: usize,
}

/// `out[row] = weight * input[row] + bias` for every row.
///
/// # Panics
/// If `input` or `out` is shorter than its rows.
pub(crate) fn linear(
    pool: &Pool,
    isa: Isa,
    weight: &PackedLinear,
    input: Input<'_>,
    out: &mut [f32],
) {
    let (rows, depth) = (input.rows, weight.in_features());
    assert!(
        input.floats.len() >= rows * depth,
        "the input has {rows} rows"
    );
    assert!(
        !weight.has_integers() || input.integers.rows() == rows,
        "the input is quantised"
    );
    assert!(
        !weight.has_pairs() || input.rounded.rows() == rows,
        "the input is rounded"
    );
    assert!(
        out.len() >= rows * weight.out_features(),
        "the output has {rows} rows"
    );
    let division = |segment: &Segment| Division::of(segment, pool.num_threads(), rows, depth);
    let tasks_of = |segment: &Segment| division(segment).num_tasks();
    let out = SharedPtr(out.as_mut_ptr());
    let num_tasks = weight.segments().iter().map(tasks_of).sum();
    pool.run(num_tasks, &|_, task| {
        let mut task = task;
        let mut segments = weight.segments().iter();
        let mut segment = segments.next().expect("tasks are those of the segments");
        while task >= tasks_of(segment) {
            task -= tasks_of(segment);
            segment = segments.next().expect("tasks are those of the segments");
        }
        let (rows, columns) = division(segment).task(task);
        let part = Part {
            weight,
            segment,
            input,
            rows,
            columns,
        };
        part.compute(isa, out.get());
    });
}

/// How a product with a segment is divided into tasks.
struct Division {
    rows: usize,
    rows_per_task: usize,
    panels: usize,
    panels_per_task: usize,
}

impl Division {
    /// As many tasks as are worthwhile, at most some per thread, the same number for every thread,
    /// and whole tiles of one row.
    fn of(segment: &Segment, threads: usize, rows: usize, depth: usize) -> Self {
        let rows_per_task = match segment.panels {
            Panels::Integers(_) => INTEGER_ROW_BLOCK,
            Panels::Bf16Pairs(_) => PAIR_ROW_BLOCK,
            _ => ROW_BLOCK,
        };
        let panels = segment.out_features.div_ceil(LANES);
        let worthwhile = (rows * depth * panels * LANES).div_ceil(TASK_WORK);
        let tasks = worthwhile
            .clamp(1, threads * TASKS_PER_THREAD)
            .next_multiple_of(threads);
        let panel_tasks = tasks.div_ceil(rows.div_ceil(rows_per_task).max(1));
        Self {
            rows,
            rows_per_task,
            panels,
            panels_per_task: panels.div_ceil(panel_tasks).next_multiple_of(STREAM_PANELS),
        }
    }

    fn panel_tasks(&self) -> usize {
        self.panels.div_ceil(self.panels_per_task)
    }

    fn num_tasks(&self) -> usize {
        self.panel_tasks() * self.rows.div_ceil(self.rows_per_task)
    }

    /// Rows and panels of task `task`.
    fn task(&self, task: usize) -> (Range<usize>, Range<usize>) {
        let row = task / self.panel_tasks() * self.rows_per_task;
        let panel = task % self.panel_tasks() * self.panels_per_task;
        (
            row..self.rows.min(row + self.rows_per_task),
            panel..self.panels.min(panel + self.panels_per_task),
        )
    }
}

/// A task: some rows times some panels of a segment.
struct Part<'a> {
    weight: &'a PackedLinear,
    segment: &'a Segment,
    input: Input<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Part<'_> {
    /// Computes it in `out` `[rows, out_features]`, of which nobody else touches this part.
    fn compute(self, isa: Isa, out: *mut f32) {
        let Segment {
            first,
            out_features,
            panels,
        } = self.segment;
        let bias = self
            .weight
            .bias()
            .map(|bias| &bias[*first..][..*out_features]);
        let out = Output {
            // SAFETY: a segment's columns are columns of the output.
            ptr: unsafe { out.add(*first) },
            stride: self.weight.out_features(),
            columns: *out_features,
            bias,
        };
        match panels {
            Panels::F32(panels) => isa.run(self.floats(panels, out)),
            Panels::Bf16(panels) => isa.run(self.floats(panels, out)),
            Panels::Bf16Pairs(panels) => isa.run(PairProduct {
                panels,
                input: self.input.rounded,
                rows: self.rows,
                columns: self.columns,
                out,
            }),
            Panels::F16(panels) => isa.run(self.floats(panels, out)),
            Panels::Integers(panels) => isa.run(IntegerProduct {
                panels,
                input: self.input.integers,
                rows: self.rows,
                columns: self.columns,
                out,
            }),
        }
    }

    fn floats<'p, T>(self, panels: &'p [T], out: Output<'p>) -> Product<'p, T>
    where
        Self: 'p,
    {
        Product {
            panels,
            depth: self.weight.in_features(),
            input: self.input.floats,
            rows: self.rows,
            columns: self.columns,
            out,
        }
    }
}
