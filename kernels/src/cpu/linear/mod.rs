//! Matrix products with packed weights.

#![expect(
    unsafe_code,
    reason = "tasks write disjoint parts of the output through pointers"
)]

mod chunked_rows;
mod float_rows;
mod floats;
mod gated;
mod integer_chunk;
mod integer_tiles;
mod integers;
mod operand;
mod output;
mod pair_tiles;
mod pairs;
mod whole_chunk;

use std::ops::Range;

use crate::cpu::linear::float_rows::FloatRows;
use crate::cpu::linear::floats::Product;
pub(crate) use crate::cpu::linear::gated::gated_linear;
use crate::cpu::linear::integer_tiles::{TiledIntegerProduct, wants_tiles};
use crate::cpu::linear::integers::IntegerProduct;
pub(crate) use crate::cpu::linear::operand::{Forms, FormsInUse, Operand, OperandWriter};
use crate::cpu::linear::output::Output;
use crate::cpu::linear::pairs::PairProduct;
use crate::cpu::packed::{PackedLinear, Panels, Segment};
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::simd::{Isa, LANES};

/// Rows per task of floats: their inputs of one pass stay in the L2 cache (96 KiB).
const ROW_BLOCK: usize = 96;
/// The same for integers (128 KiB of i16), which have to be unpacked for each task.
const INTEGER_ROW_BLOCK: usize = 256;
/// The same for pairs of bfloat16 (96 KiB).
const PAIR_ROW_BLOCK: usize = 192;
/// The same for tiles of them (128 KiB).
const PAIR_TILE_ROW_BLOCK: usize = 256;
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
    /// The same rows, in the forms that the weights want.
    pub(crate) operand: &'a Operand,
    pub(crate) rows: usize,
}

impl Input<'_> {
    /// # Panics
    /// If there are fewer rows, or they are not in the form that `weight` wants.
    fn check(&self, isa: Isa, weight: &PackedLinear) {
        let (rows, depth) = (self.rows, weight.in_features());
        assert!(
            self.floats.len() >= rows * depth,
            "the input has {rows} rows"
        );
        let forms = Forms::of(isa, weight, rows);
        assert!(self.operand.has(forms, rows), "the input has {forms:?}");
    }
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
    input.check(isa, weight);
    let rows = input.rows;
    assert!(
        out.len() >= rows * weight.out_features(),
        "the output has {rows} rows"
    );
    let depth = weight.in_features();
    let division = |segment: &Segment| {
        let panels = segment.out_features.div_ceil(LANES);
        Division::new(
            pool.num_threads(),
            (rows, rows_per_task(isa, segment)),
            panels,
            depth,
        )
    };
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

/// Rows per task of a product with `segment`, at most.
fn rows_per_task(isa: Isa, segment: &Segment) -> usize {
    match segment.panels {
        Panels::Integers(_) => INTEGER_ROW_BLOCK,
        Panels::Bf16Pairs(_) if isa.has_tiles() => PAIR_TILE_ROW_BLOCK,
        Panels::Bf16Pairs(_) => PAIR_ROW_BLOCK,
        Panels::F32(_) | Panels::Bf16(_) | Panels::F16(_) => ROW_BLOCK,
    }
}

/// How a product with some panels is divided into tasks.
struct Division {
    rows: usize,
    rows_per_task: usize,
    panels: usize,
    panels_per_task: usize,
}

impl Division {
    /// Of rows, so many per task, times panels of `depth` inputs: as many tasks as are worthwhile,
    /// at most some per thread, the same number for every thread, and whole tiles of one row. All
    /// have about as many rows.
    fn new(
        threads: usize,
        (rows, rows_per_task): (usize, usize),
        panels: usize,
        depth: usize,
    ) -> Self {
        let row_tasks = rows.div_ceil(rows_per_task).max(1);
        let worthwhile = (rows * depth * panels * LANES).div_ceil(TASK_WORK);
        let tasks = worthwhile
            .clamp(1, threads * TASKS_PER_THREAD)
            .next_multiple_of(threads);
        let panel_tasks = tasks.div_ceil(row_tasks);
        Self {
            rows,
            rows_per_task: rows.div_ceil(row_tasks).max(1),
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
            Panels::Bf16Pairs(panels) => {
                let product = PairProduct {
                    panels,
                    input: &self.input.operand.bf16,
                    rows: self.rows,
                    columns: self.columns,
                    out,
                };
                match isa.has_tiles() {
                    true => isa.run_tiles(product),
                    false => isa.run(product),
                }
            }
            Panels::F16(panels) => isa.run(self.floats(panels, out)),
            Panels::Integers(panels) if wants_tiles(isa, self.input.rows) => {
                isa.run_tiles(TiledIntegerProduct {
                    panels,
                    input: &self.input.operand.whole,
                    rows: self.rows,
                    columns: self.columns,
                    out,
                });
            }
            Panels::Integers(panels) => isa.run(IntegerProduct {
                panels,
                input: &self.input.operand.integers,
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
        let depth = self.weight.in_features();
        let input = match FloatRows::wants_chunks(self.input.rows, depth) {
            true => FloatRows::chunked(&self.input.operand.floats, depth),
            false => FloatRows::new(self.input.floats, depth),
        };
        Product {
            panels,
            input,
            rows: self.rows,
            columns: self.columns,
            out,
        }
    }
}
