//! Low-rank updates of products: for each group of rows, down to the rank and up again.
//!
//! Inputs and sums are f32 with every instruction set, so that an update loses nothing beside its own
//! weights' format.

#![expect(unsafe_code, reason = "tasks write disjoint rows and columns")]

mod product;

use std::ops::Range;

use crate::cpu::activation::GatedUnit;
use crate::cpu::packed::{Bf16Product, PackedLinear, Panels};
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::rows::rows_per_task;
use crate::cpu::simd::{Isa, LANES};
use crate::cpu::{Cpu, CpuBuffer};
use crate::lora::{check_updates, end_of};
use crate::{
    ActivateGated, AddLora, KernelError, LoraBackend, LoraRows, LoraView, WeightFormat, WeightView,
};

use product::Product;

/// Rows of a task, at most: two of the largest tiles.
const ROW_BLOCK: usize = 24;
/// Multiply-adds that are worth handing to another thread.
const TASK_WORK: usize = 1 << 17;

/// An adapter's updates of one product.
pub struct CpuLora {
    /// The updates' `A`, stacked; each begins with a panel. `[sum of ranks, in_features]`
    down: PackedLinear,
    updates: Vec<Update>,
}

/// One update.
struct Update {
    /// `B`, `[out_features, rank]`
    up: PackedLinear,
    scale: f32,
    /// First column of the product's output.
    first: usize,
    /// First column of `A * input`.
    shrunk_first: usize,
}

/// Some rows times one matrix: what is divided into tasks.
struct Job<'a> {
    panels: &'a Panels,
    depth: usize,
    num_panels: usize,
    rows: Range<usize>,
    /// First column of the input.
    input_first: usize,
    /// First column of the output, and how many there are.
    out_first: usize,
    columns: usize,
    /// What the products are multiplied with and added to the output; `None` replaces the output.
    scale: Option<f32>,
}

impl LoraBackend for Cpu {
    type Lora = CpuLora;

    fn pack_lora(&self, updates: &[LoraView<'_>]) -> Result<CpuLora, KernelError> {
        check_updates(updates)?;
        let pack = |parts: &[WeightView<'_>]| {
            let formats = vec![WeightFormat::Checkpoint; parts.len()];
            let (pool, product) = (&self.pool, Bf16Product::Widened);
            PackedLinear::pack(pool, self.isa, parts, None, &formats, product)
        };
        let down: Vec<WeightView<'_>> = updates.iter().map(|update| update.a).collect();
        let down = pack(&down)?;
        let mut shrunk_first = 0;
        let mut packed = Vec::with_capacity(updates.len());
        for LoraView { a, b, scale, first } in updates {
            packed.push(Update {
                up: pack(&[*b])?,
                scale: *scale,
                first: *first,
                shrunk_first,
            });
            shrunk_first += a.rows.next_multiple_of(LANES);
        }
        Ok(CpuLora {
            down,
            updates: packed,
        })
    }

    fn add_lora(&mut self, op: AddLora<'_, Self>) -> Result<(), KernelError> {
        let AddLora {
            input,
            weights,
            groups,
            shrunk,
            out,
        } = op;
        let end = end_of(groups);
        for (_, lora) in changed(weights, groups) {
            lora.check([input.cols, shrunk.cols, out.cols]);
        }
        let down = || changed(weights, groups).flat_map(|(group, lora)| lora.down_jobs(group));
        run(&self.pool, self.isa, down, (input, shrunk, end));
        let up = || changed(weights, groups).flat_map(|(group, lora)| lora.up_jobs(group));
        run(&self.pool, self.isa, up, (shrunk, out, end));
        Ok(())
    }

    fn activate_gated(&mut self, op: ActivateGated<'_, Self>) -> Result<(), KernelError> {
        let cols = op.out.cols;
        assert_eq!(op.gate_up.cols, 2 * cols, "activate_gated: columns");
        let end = end_of(op.groups);
        let gate_up = op.gate_up.rows(end);
        let out = SharedPtr(op.out.rows_mut(end).as_mut_ptr());
        let rows_per_task = rows_per_task(cols);
        for LoraRows { rows, .. } in op.groups {
            let tasks = rows.len().div_ceil(rows_per_task);
            self.pool.run(tasks, &|_, task| {
                let first = rows.start + task * rows_per_task;
                self.isa.run(GatedUnit {
                    activation: op.activation,
                    gate_up: gate_up.as_ptr(),
                    cols,
                    rows: first..rows.end.min(first + rows_per_task),
                    columns: 0..cols,
                    out: out.get(),
                });
            });
        }
        Ok(())
    }
}

/// The groups whose adapters change something, and how.
fn changed<'a>(
    weights: &'a [Option<CpuLora>],
    groups: &'a [LoraRows],
) -> impl Iterator<Item = (&'a LoraRows, &'a CpuLora)> {
    groups
        .iter()
        .filter_map(|group| Some((group, weights[group.slot].as_ref()?)))
}

/// Does `jobs` on the first `end` rows of buffers.
fn run<'a, J: Iterator<Item = Job<'a>>>(
    pool: &Pool,
    isa: Isa,
    jobs: impl Fn() -> J + Sync,
    (input, out, end): (&CpuBuffer, &mut CpuBuffer, usize),
) {
    let (in_cols, out_cols) = (input.cols, out.cols);
    let input = input.rows(end);
    let out = SharedPtr(out.rows_mut(end).as_mut_ptr());
    let num_tasks = jobs().map(|job| job.num_tasks()).sum();
    pool.run(num_tasks, &|_, task| {
        let mut task = task;
        for job in jobs() {
            if task < job.num_tasks() {
                return job.compute(isa, task, (input, in_cols), (out.get(), out_cols));
            }
            task -= job.num_tasks();
        }
    });
}

impl Job<'_> {
    fn rows_per_task(&self) -> usize {
        self.rows.len().min(ROW_BLOCK)
    }

    /// As many as are worthwhile for so many rows.
    fn panels_per_task(&self) -> usize {
        let work = self.rows_per_task() * self.depth * LANES;
        (TASK_WORK / work.max(1)).clamp(1, self.num_panels)
    }

    fn num_tasks(&self) -> usize {
        let panel_tasks = self.num_panels.div_ceil(self.panels_per_task());
        match self.rows.len() {
            0 => 0,
            rows => rows.div_ceil(self.rows_per_task()) * panel_tasks,
        }
    }

    /// Does task `task`; inputs and outputs begin with row 0 and have so many columns.
    fn compute(
        &self,
        isa: Isa,
        task: usize,
        (input, in_cols): (&[f32], usize),
        (out, out_cols): (*mut f32, usize),
    ) {
        let panel_tasks = self.num_panels.div_ceil(self.panels_per_task());
        let first_row = self.rows.start + task / panel_tasks * self.rows_per_task();
        let first_panel = task % panel_tasks * self.panels_per_task();
        let rows = first_row..self.rows.end.min(first_row + self.rows_per_task());
        let panels = first_panel..self.num_panels.min(first_panel + self.panels_per_task());
        match self.panels {
            Panels::F32(values) => {
                isa.run(self.product(values, (rows, panels), (input, in_cols), (out, out_cols)))
            }
            Panels::Bf16(values) => {
                isa.run(self.product(values, (rows, panels), (input, in_cols), (out, out_cols)))
            }
            Panels::F16(values) => {
                isa.run(self.product(values, (rows, panels), (input, in_cols), (out, out_cols)))
            }
            Panels::Bf16Pairs(_) | Panels::Integers(_) => {
                unreachable!("updates are packed as floats")
            }
        }
    }

    fn product<'p, T>(
        &self,
        values: &'p [T],
        (rows, panels): (Range<usize>, Range<usize>),
        (input, in_cols): (&'p [f32], usize),
        (out, out_cols): (*mut f32, usize),
    ) -> Product<'p, T> {
        Product {
            values,
            depth: self.depth,
            rows,
            panels,
            input: &input[self.input_first..],
            in_cols,
            // SAFETY: the updates were checked to lie inside the columns of the output, which has
            // the rows of all groups.
            out: unsafe { out.add(self.out_first) },
            out_cols,
            columns: self.columns,
            scale: self.scale,
        }
    }
}

impl CpuLora {
    /// # Panics
    /// If the columns of input, room and output are not those of the updates.
    fn check(&self, [input, shrunk, out]: [usize; 3]) {
        assert_eq!(input, self.down.in_features(), "add_lora: columns of input");
        for update in &self.updates {
            let rank = update.up.in_features().next_multiple_of(LANES);
            let fits = update.shrunk_first + rank <= shrunk
                && update.first + update.up.out_features() <= out;
            assert!(fits, "add_lora: columns {shrunk} and {out}");
        }
    }

    /// `A * input`, into whole vectors.
    fn down_jobs(&self, group: &LoraRows) -> impl Iterator<Item = Job<'_>> {
        let mut next = 0;
        let rows = group.rows.clone();
        self.down.segments().iter().map(move |segment| {
            let num_panels = segment.out_features.div_ceil(LANES);
            let out_first = next;
            next += num_panels * LANES;
            Job {
                panels: &segment.panels,
                depth: self.down.in_features(),
                num_panels,
                rows: rows.clone(),
                input_first: 0,
                out_first,
                columns: num_panels * LANES,
                scale: None,
            }
        })
    }

    /// `out += scale * B * shrunk`.
    fn up_jobs(&self, group: &LoraRows) -> impl Iterator<Item = Job<'_>> {
        let rows = group.rows.clone();
        self.updates.iter().flat_map(move |update| {
            let rows = rows.clone();
            update.up.segments().iter().map(move |segment| Job {
                panels: &segment.panels,
                depth: update.up.in_features(),
                num_panels: segment.out_features.div_ceil(LANES),
                rows: rows.clone(),
                input_first: update.shrunk_first,
                out_first: update.first + segment.first,
                columns: segment.out_features,
                scale: Some(update.scale),
            })
        })
    }
}
