//! Low-rank updates on candle tensors.

use candle_core::Tensor;

use super::{Reference, device_error, gated};
use crate::lora::{check_updates, end_of};
use crate::weights::stacked_shape;
use crate::{
    ActivateGated, AddLora, KernelError, LoraBackend, LoraRows, LoraView, WeightFormat, WeightView,
};

/// An adapter's updates of one product.
pub struct ReferenceLora(Vec<Update>);

struct Update {
    /// `[rank, in_features]` f32
    a: Tensor,
    /// `[out_features, rank]` f32
    b: Tensor,
    scale: f32,
    first: usize,
}

impl LoraBackend for Reference {
    type Lora = ReferenceLora;

    fn pack_lora(&self, updates: &[LoraView<'_>]) -> Result<ReferenceLora, KernelError> {
        check_updates(updates)?;
        let update = |view: &LoraView<'_>| {
            Ok(Update {
                a: self.matrix(&view.a)?,
                b: self.matrix(&view.b)?,
                scale: view.scale,
                first: view.first,
            })
        };
        updates
            .iter()
            .map(update)
            .collect::<Result<_, _>>()
            .map(ReferenceLora)
    }

    fn add_lora(&mut self, op: AddLora<'_, Self>) -> Result<(), KernelError> {
        let mut out = op.out.tensor.clone();
        let mut add = || {
            for (rows, updates) in changed(op.weights, op.groups) {
                let input = op
                    .input
                    .tensor
                    .narrow(0, rows.rows.start, rows.rows.len())?;
                let mut block = out.narrow(0, rows.rows.start, rows.rows.len())?;
                for update in &updates.0 {
                    let delta = input.matmul(&update.a.t()?)?.matmul(&update.b.t()?)?;
                    let delta = delta.affine(f64::from(update.scale), 0.0)?;
                    let width = delta.dim(1)?;
                    let sum = (block.narrow(1, update.first, width)? + delta)?;
                    block = replaced(&block, 1, update.first, &sum)?;
                }
                out = replaced(&out, 0, rows.rows.start, &block)?;
            }
            Ok(())
        };
        add().map_err(|e| device_error("add_lora", e))?;
        op.out.set(out);
        Ok(())
    }

    fn activate_gated(&mut self, op: ActivateGated<'_, Self>) -> Result<(), KernelError> {
        end_of(op.groups);
        let mut out = op.out.tensor.clone();
        let mut activate = || {
            for LoraRows { rows, .. } in op.groups {
                let gate_up = op.gate_up.tensor.narrow(0, rows.start, rows.len())?;
                let halves = gate_up.chunk(2, 1)?;
                let block = gated(&halves[0], &halves[1], op.activation)?;
                out = replaced(&out, 0, rows.start, &block)?;
            }
            Ok(())
        };
        activate().map_err(|e| device_error("activate_gated", e))?;
        op.out.set(out);
        Ok(())
    }
}

impl Reference {
    fn matrix(&self, view: &WeightView<'_>) -> Result<Tensor, KernelError> {
        stacked_shape("pack_lora", &[*view], None, &[WeightFormat::Checkpoint])?;
        let mut values = vec![0.0; view.rows * view.cols];
        for (row, out) in values.chunks_exact_mut(view.cols).enumerate() {
            view.read(row, 0, out);
        }
        Tensor::from_vec(values, (view.rows, view.cols), &self.device)
            .map_err(|e| device_error("pack_lora", e))
    }
}

/// The groups whose adapters change something, and how.
fn changed<'a>(
    weights: &'a [Option<ReferenceLora>],
    groups: &'a [LoraRows],
) -> impl Iterator<Item = (&'a LoraRows, &'a ReferenceLora)> {
    end_of(groups);
    groups
        .iter()
        .filter_map(|group| Some((group, weights[group.slot].as_ref()?)))
}

/// `tensor` with `part` in place of what lies from `start` on along `dim`.
fn replaced(
    tensor: &Tensor,
    dim: usize,
    start: usize,
    part: &Tensor,
) -> candle_core::Result<Tensor> {
    let end = start + part.dim(dim)?;
    let head = tensor.narrow(dim, 0, start)?;
    let tail = tensor.narrow(dim, end, tensor.dim(dim)? - end)?;
    Tensor::cat(&[&head, part, &tail], dim)
}
