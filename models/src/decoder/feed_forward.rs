//! The second half of a layer.

use kernels::{Activate, Activation, Backend, GatedLinear, KernelError, Linear};

use super::Decoder;
use super::norms::{AddAndNorm, Projection};
use super::weights::Mlp;

/// Which rows pass through the end of a layer.
#[derive(Clone, Copy)]
pub(super) enum Rows {
    /// All of the step.
    All,
    /// Those whose logits are wanted.
    Sampled,
}

impl<B: Backend> Decoder<B> {
    /// The rest of layer `index`, from attention's output on; what it adds to the state is left in
    /// `buffers.delta`.
    pub(super) fn feed_forward(
        &mut self,
        index: usize,
        which: Rows,
        rows: usize,
    ) -> Result<(), KernelError> {
        let (backend, shape, buffers) = (&mut self.backend, &self.shape, &mut self.buffers);
        let layer = &self.weights.layers[index];
        let (attended, residual) = match which {
            Rows::All => (&buffers.attended, &mut buffers.residual),
            Rows::Sampled => (&buffers.sampled_attended, &mut buffers.sampled_residual),
        };
        let projection = Projection {
            input: attended,
            weight: &layer.o,
            norm: layer.norms.after_attention.as_ref(),
            eps: shape.eps,
            rows,
            projected: buffers.projected.as_mut(),
            out: &mut buffers.delta,
        };
        projection.run(backend)?;
        let add_and_norm = AddAndNorm {
            residual,
            delta: Some((&buffers.delta, shape.residual_multiplier)),
            norm: layer.norms.before_mlp.as_ref(),
            eps: shape.eps,
            rows,
            normed: &mut buffers.normed,
        };
        let input = add_and_norm.run(backend)?;
        let (input_of_down, down) = match &layer.mlp {
            Mlp::Gated(mlp) => {
                backend.gated_linear(GatedLinear {
                    input,
                    weight: &mlp.gate_up,
                    rows,
                    gate_up: &mut buffers.gate_up,
                    activation: shape.activation,
                    out: &mut buffers.activated,
                })?;
                (&buffers.activated, &mlp.down)
            }
            Mlp::Plain { up, down } => {
                let up = Linear {
                    input,
                    weight: up,
                    rows,
                    out: &mut buffers.activated,
                };
                widen(backend, up, shape.activation)?;
                (&buffers.activated, down)
            }
            Mlp::Experts(experts) => {
                let work = buffers.experts.as_mut().expect("experts have buffers");
                let (experts, input) = ((experts, shape.activation), (input, rows));
                return work.run(backend, experts, input, &mut buffers.delta);
            }
        };
        let projection = Projection {
            input: input_of_down,
            weight: down,
            norm: layer.norms.after_mlp.as_ref(),
            eps: shape.eps,
            rows,
            projected: buffers.projected.as_mut(),
            out: &mut buffers.delta,
        };
        projection.run(backend)
    }
}

/// The activated product of a network without a gate.
fn widen<B: Backend>(
    backend: &mut B,
    up: Linear<'_, B>,
    activation: Activation,
) -> Result<(), KernelError> {
    let Linear {
        input,
        weight,
        rows,
        out,
    } = up;
    backend.linear(Linear {
        input,
        weight,
        rows,
        out: &mut *out,
    })?;
    backend.activate(Activate {
        values: out,
        activation,
        rows,
    })
}
