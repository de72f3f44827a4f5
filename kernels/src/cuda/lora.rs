//! Low-rank updates on the device.

use crate::cuda::Cuda;
use crate::cuda::arguments::{GateArguments, LoraArguments};
use crate::cuda::buffer::{CudaBuffer, CudaVector};
use crate::cuda::device::{CudaDevice, Geometry};
use crate::cuda::function::function;
use crate::lora::{check_updates, end_of};
use crate::weights::stacked_shape;
use crate::{
    ActivateGated, AddLora, KernelError, LoraBackend, LoraRows, LoraView, WeightFormat, WeightView,
};

/// Output features of a block: one per warp.
const FEATURES: usize = 4;

/// An adapter's updates of one product.
pub struct CudaLora<D: CudaDevice>(Vec<Update<D>>);

struct Update<D: CudaDevice> {
    /// `[rank, in_features]` f32
    a: CudaVector<D>,
    /// `[out_features, rank]` f32
    b: CudaVector<D>,
    rank: usize,
    out_features: usize,
    scale: f32,
    first: usize,
}

impl<D: CudaDevice> LoraBackend for Cuda<D> {
    type Lora = CudaLora<D>;

    fn pack_lora(&self, updates: &[LoraView<'_>]) -> Result<CudaLora<D>, KernelError> {
        check_updates(updates)?;
        let update = |view: &LoraView<'_>| {
            Ok(Update {
                a: matrix(&self.device, &view.a)?,
                b: matrix(&self.device, &view.b)?,
                rank: view.a.rows,
                out_features: view.b.rows,
                scale: view.scale,
                first: view.first,
            })
        };
        let updates: Result<Vec<_>, KernelError> = updates.iter().map(update).collect();
        updates.map(CudaLora)
    }

    fn add_lora(&mut self, op: AddLora<'_, Self>) -> Result<(), KernelError> {
        end_of(op.groups);
        for group in op.groups {
            let Some(CudaLora(updates)) = &op.weights[group.slot] else {
                continue;
            };
            let mut column = 0;
            for update in updates {
                let shrunk = &*op.shrunk;
                assert!(column + update.rank <= shrunk.cols, "room for the ranks");
                let shrink = LoraArguments {
                    matrix: update.a.address(&self.device),
                    in_features: op.input.cols as u32,
                    out_features: update.rank as u32,
                    out_first: column as u32,
                    adds: 0,
                    scale: 1.0,
                    ..self.between(op.input, shrunk, group)
                };
                self.product(&shrink, group)?;
                let expand = self.between(shrunk, op.out, group);
                let expand = LoraArguments {
                    in_first: column as u32,
                    matrix: update.b.address(&self.device),
                    in_features: update.rank as u32,
                    out_features: update.out_features as u32,
                    out_first: update.first as u32,
                    adds: 1,
                    scale: update.scale,
                    ..expand
                };
                self.product(&expand, group)?;
                column += update.rank;
            }
        }
        Ok(())
    }

    fn activate_gated(&mut self, op: ActivateGated<'_, Self>) -> Result<(), KernelError> {
        end_of(op.groups);
        let (code, alpha, limit) = function(op.activation);
        for LoraRows { rows, .. } in op.groups {
            let arguments = GateArguments {
                gate_up: op.gate_up.values(&self.device, rows.end),
                out: op.out.values(&self.device, rows.end),
                first_row: rows.start as u32,
                rows: rows.len() as u32,
                cols: op.out.cols as u32,
                function: code,
                alpha,
                limit,
            };
            let geometry = Geometry::of_elements(rows.len() * op.out.cols);
            self.device.launch(geometry, &arguments)?;
        }
        Ok(())
    }
}

impl<D: CudaDevice> Cuda<D> {
    /// Addresses, rows and strides of a product from one buffer to another; the rest is zeros.
    fn between(
        &self,
        input: &CudaBuffer<D>,
        out: &CudaBuffer<D>,
        group: &LoraRows,
    ) -> LoraArguments {
        LoraArguments {
            input: input.values(&self.device, group.rows.end),
            matrix: 0,
            out: out.values(&self.device, group.rows.end),
            first_row: group.rows.start as u32,
            in_first: 0,
            in_features: 0,
            in_stride: input.cols as u32,
            out_features: 0,
            out_first: 0,
            out_stride: out.cols as u32,
            adds: 0,
            scale: 0.0,
        }
    }

    fn product(&self, arguments: &LoraArguments, group: &LoraRows) -> Result<(), KernelError> {
        let features = (arguments.out_features as usize).div_ceil(FEATURES);
        let grid = [features, group.rows.len()];
        self.device
            .launch(Geometry::new(grid, 32 * FEATURES), arguments)
    }
}

/// A matrix as f32.
fn matrix<D: CudaDevice>(device: &D, view: &WeightView<'_>) -> Result<CudaVector<D>, KernelError> {
    stacked_shape("pack_lora", &[*view], None, &[WeightFormat::Checkpoint])?;
    let mut values = vec![0.0; view.rows * view.cols];
    for (row, out) in values.chunks_exact_mut(view.cols).enumerate() {
        view.read(row, 0, out);
    }
    CudaVector::new(device, &values)
}
