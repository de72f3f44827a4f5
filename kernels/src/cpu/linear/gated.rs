//! The first half of a gated feed-forward network: both products and the activation in one go, while
//! what they leave is in the cache.

use crate::Activation;
use crate::cpu::activation::GatedUnit;
use crate::cpu::linear::{Division, Input, Part, rows_per_task};
use crate::cpu::packed::PackedLinear;
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::simd::{Isa, LANES};

/// `out[row] = activation(gate) * up` for every row, `[gate, up] = weight * input[row] + bias`, which is
/// left in `gate_up`.
///
/// # Panics
/// If `input`, `gate_up` or `out` is shorter than its rows, or `up` does not begin a panel.
pub(crate) fn gated_linear(
    (pool, isa): (&Pool, Isa),
    (weight, activation): (&PackedLinear, Activation),
    input: Input<'_>,
    gate_up: &mut [f32],
    out: &mut [f32],
) {
    input.check(isa, weight);
    let (rows, cols) = (input.rows, weight.out_features() / 2);
    assert!(
        gate_up.len() >= rows * 2 * cols && out.len() >= rows * cols,
        "the outputs have {rows} rows"
    );
    let halves = [0, cols].map(|first| {
        weight
            .panel_of(first)
            .expect("gate and up were packed as parts of their own")
    });
    let [gate_rows, up_rows] = halves.map(|(segment, _)| rows_per_task(isa, segment));
    let division = Division::new(
        pool.num_threads(),
        (rows, gate_rows.min(up_rows)),
        cols.div_ceil(LANES),
        2 * weight.in_features(),
    );
    let (gate_up, out) = (SharedPtr(gate_up.as_mut_ptr()), SharedPtr(out.as_mut_ptr()));
    pool.run(division.num_tasks(), &|_, task| {
        let (rows, columns) = division.task(task);
        for (segment, first) in halves {
            let part = Part {
                weight,
                segment,
                input,
                rows: rows.clone(),
                columns: first + columns.start..first + columns.end,
            };
            part.compute(isa, gate_up.get());
        }
        let columns = columns.start * LANES..cols.min(columns.end * LANES);
        isa.run(GatedUnit {
            activation,
            gate_up: gate_up.get(),
            cols,
            rows,
            columns,
            out: out.get(),
        });
    });
}
