//! Operations that go row by row.

#![expect(
    unsafe_code,
    reason = "tasks hand their rows to the products that take them"
)]

use crate::cpu::activation::{Activated, Cap};
use crate::cpu::norm::{LayerNormRows, Norm, add_scaled};
use crate::cpu::{Cpu, CpuVector};
use crate::{
    Activate, Add, AddRmsNorm, AddRows, Embed, GatherRows, HeadNorm, KernelError, LayerNorm,
    QkvShape, RmsNorm, SoftCap,
};

/// Elements per task: below, another thread is not worth waking.
const TASK_ELEMENTS: usize = 16 * 1024;

/// Rows per task of an operation over rows of `cols` elements.
pub(super) fn rows_per_task(cols: usize) -> usize {
    (TASK_ELEMENTS / cols.max(1)).max(1)
}

pub(super) fn embed(cpu: &Cpu, op: Embed<'_, Cpu>) -> Result<(), KernelError> {
    let cols = op.table.in_features();
    assert_eq!(op.out.cols, cols, "embed: columns of the output");
    let rows_per_task = rows_per_task(cols);
    let out = op.out.rows_mut(op.token_ids.len());
    cpu.pool
        .for_chunks(out, rows_per_task * cols, |index, out| {
            let ids = &op.token_ids[index * rows_per_task..];
            for (&id, out) in ids.iter().zip(out.chunks_exact_mut(cols)) {
                op.table.unpack_row(id as usize, out);
                if op.scale != 1.0 {
                    out.iter_mut().for_each(|x| *x *= op.scale);
                }
            }
        });
    Ok(())
}

pub(super) fn rms_norm(cpu: &Cpu, op: RmsNorm<'_, Cpu>) -> Result<(), KernelError> {
    let cols = op.weight.0.len();
    assert_eq!([op.input.cols, op.out.cols], [cols; 2], "rms_norm: columns");
    let norm = norm(op.weight, op.eps);
    let input = op.input.rows(op.rows);
    let rows_per_task = rows_per_task(cols);
    let chunk = rows_per_task * cols;
    let (out, writer) = op.out.rows_for_products(op.rows, (cpu.isa, &cpu.forms))?;
    cpu.pool.for_chunks(out, chunk, |index, out| {
        norm.rows(cpu.isa, &input[index * chunk..][..out.len()], out);
        // SAFETY: `op.out` is borrowed, and these rows are this task's.
        unsafe { writer.write(cpu.isa, index * rows_per_task, out) };
    });
    Ok(())
}

pub(super) fn layer_norm(cpu: &Cpu, op: LayerNorm<'_, Cpu>) -> Result<(), KernelError> {
    let cols = op.weight.0.len();
    let widths = [op.bias.0.len(), op.input.cols, op.out.cols];
    assert_eq!(widths, [cols; 3], "layer_norm: columns");
    let input = op.input.rows(op.rows);
    let rows_per_task = rows_per_task(cols);
    let chunk = rows_per_task * cols;
    let (out, writer) = op.out.rows_for_products(op.rows, (cpu.isa, &cpu.forms))?;
    cpu.pool.for_chunks(out, chunk, |index, out| {
        cpu.isa.run(LayerNormRows {
            norm: norm(op.weight, op.eps),
            bias: &op.bias.0,
            input: &input[index * chunk..][..out.len()],
            out,
        });
        // SAFETY: `op.out` is borrowed, and these rows are this task's.
        unsafe { writer.write(cpu.isa, index * rows_per_task, out) };
    });
    Ok(())
}

pub(super) fn add_rms_norm(cpu: &Cpu, op: AddRmsNorm<'_, Cpu>) -> Result<(), KernelError> {
    let cols = op.weight.0.len();
    let widths = [op.residual.cols, op.delta.cols, op.out.cols];
    assert_eq!(widths, [cols; 3], "add_rms_norm: columns");
    let norm = norm(op.weight, op.eps);
    let delta = op.delta.rows(op.rows);
    let rows_per_task = rows_per_task(cols);
    let chunk = rows_per_task * cols;
    let residual = op.residual.rows_mut(op.rows);
    let (out, writer) = op.out.rows_for_products(op.rows, (cpu.isa, &cpu.forms))?;
    cpu.pool
        .for_chunk_pairs(residual, out, chunk, |index, residual, out| {
            add_scaled(residual, &delta[index * chunk..][..out.len()], op.scale);
            norm.rows(cpu.isa, residual, out);
            // SAFETY: `op.out` is borrowed, and these rows are this task's.
            unsafe { writer.write(cpu.isa, index * rows_per_task, out) };
        });
    Ok(())
}

pub(super) fn add(cpu: &Cpu, op: Add<'_, Cpu>) {
    let cols = op.residual.cols;
    assert_eq!(op.delta.cols, cols, "add: columns");
    let delta = op.delta.rows(op.rows);
    let chunk = rows_per_task(cols) * cols;
    let residual = op.residual.rows_mut(op.rows);
    cpu.pool.for_chunks(residual, chunk, |index, residual| {
        add_scaled(
            residual,
            &delta[index * chunk..][..residual.len()],
            op.scale,
        );
    });
}

/// Of `qkv`, `[rows, shape.row_size()]`.
pub(super) fn head_norm(cpu: &Cpu, op: &HeadNorm<'_, Cpu>, shape: QkvShape, qkv: &mut [f32]) {
    let (cols, q_size, kv_size) = (shape.row_size(), shape.q_size(), shape.kv_size());
    let weights = [op.q_weight.0.len(), op.k_weight.0.len()];
    assert!(
        weights == [shape.head_dim; 2] || weights == [q_size, kv_size],
        "head_norm: weights of {weights:?}"
    );
    let (q_norm, k_norm) = (norm(op.q_weight, op.eps), norm(op.k_weight, op.eps));
    let chunk = rows_per_task(cols) * cols;
    cpu.pool.for_chunks(qkv, chunk, |_, rows| {
        for row in rows.chunks_exact_mut(cols) {
            q_norm.rows_in_place(cpu.isa, &mut row[..q_size]);
            k_norm.rows_in_place(cpu.isa, &mut row[q_size..q_size + kv_size]);
        }
    });
}

pub(super) fn activate(cpu: &Cpu, op: Activate<'_, Cpu>) {
    let values = op.values.rows_mut(op.rows);
    cpu.pool.for_chunks(values, TASK_ELEMENTS, |_, values| {
        cpu.isa.run(Activated {
            values,
            activation: op.activation,
        });
    });
}

pub(super) fn soft_cap(cpu: &Cpu, op: SoftCap<'_, Cpu>) {
    assert!(op.cap > 0.0, "soft_cap: a cap is positive");
    let values = op.values.rows_mut(op.rows);
    cpu.pool.for_chunks(values, TASK_ELEMENTS, |_, values| {
        cpu.isa.run(Cap {
            values,
            cap: op.cap,
        });
    });
}

pub(super) fn gather_rows(op: GatherRows<'_, Cpu>) {
    let cols = op.input.cols;
    assert_eq!(op.out.cols, cols, "gather_rows: columns");
    let out = op.out.rows_mut(op.rows.len());
    for (&row, out) in op.rows.iter().zip(out.chunks_exact_mut(cols)) {
        out.copy_from_slice(&op.input.data[row as usize * cols..][..cols]);
    }
}

/// On the caller's thread: the products between which it stands take far longer.
pub(super) fn add_rows(op: AddRows<'_, Cpu>) {
    let cols = op.input.cols;
    assert_eq!(op.out.cols, cols, "add_rows: columns");
    assert_eq!(op.factors.len(), op.rows.len(), "add_rows: factors");
    let max_rows = op.out.max_rows();
    let out = op.out.rows_mut(max_rows);
    let input = op.input.rows(op.rows.len()).chunks_exact(cols);
    for ((input, &row), &factor) in input.zip(op.rows).zip(op.factors) {
        add_scaled(&mut out[row as usize * cols..][..cols], input, factor);
    }
}

fn norm(weight: &CpuVector, eps: f32) -> Norm<'_> {
    Norm {
        weight: &weight.0,
        eps,
    }
}
