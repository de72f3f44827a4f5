//! The second half of a layer.

use kernels::{Activate, Activation, GatedLinear, KernelError, Linear, LoraBackend};

use super::Decoder;
use super::lora::{Adapters, Place, Site};
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

impl<B: LoraBackend> Decoder<B> {
    /// The rest of layer `index`, from attention's output on; what it adds to the state is left in
    /// `buffers.delta`.
    pub(super) fn feed_forward(
        &mut self,
        index: usize,
        which: Rows,
        rows: usize,
    ) -> Result<(), KernelError> {
        let (backend, shape, buffers) = (&mut self.backend, &self.shape, &mut self.buffers);
        let (layer, adapters) = (&self.weights.layers[index], &mut self.adapters);
        let place = |site| Place::new(index, site, which);
        let (attended, residual) = match which {
            Rows::All => (&buffers.attended, &mut buffers.residual),
            Rows::Sampled => (&buffers.sampled_attended, &mut buffers.sampled_residual),
        };
        let projection = Projection {
            place: place(Site::O),
            input: attended,
            weight: &layer.o,
            norm: layer.norms.after_attention.as_ref(),
            eps: shape.eps,
            rows,
            projected: buffers.projected.as_mut(),
            out: &mut buffers.delta,
        };
        projection.run(backend, adapters)?;
        let add_and_norm = AddAndNorm {
            residual,
            delta: Some((&buffers.delta, shape.residual_multiplier)),
            norm: layer.norms.before_mlp.as_ref(),
            eps: shape.eps,
            rows,
            normed: &mut buffers.normed,
        };
        let input = add_and_norm.run(backend)?;
        let widened = Widened {
            place: place(Site::GateUp),
            input,
            rows,
            gate_up: &mut buffers.gate_up,
            activation: shape.activation,
            out: &mut buffers.activated,
        };
        let down = match &layer.mlp {
            Mlp::Gated(mlp) => {
                widened.gated(backend, adapters, &mlp.gate_up)?;
                &mlp.down
            }
            Mlp::Plain { up, down } => {
                widened.plain(backend, adapters, up)?;
                down
            }
            Mlp::Experts(experts) => {
                let work = buffers.experts.as_mut().expect("experts have buffers");
                let (experts, input) = ((experts, shape.activation), (input, rows));
                return work.run(backend, experts, input, &mut buffers.delta);
            }
        };
        let projection = Projection {
            place: place(Site::Down),
            input: &buffers.activated,
            weight: down,
            norm: layer.norms.after_mlp.as_ref(),
            eps: shape.eps,
            rows,
            projected: buffers.projected.as_mut(),
            out: &mut buffers.delta,
        };
        projection.run(backend, adapters)
    }
}

/// The activated first half of a feed-forward network, with what adapters change of it.
struct Widened<'a, B: LoraBackend> {
    place: Place,
    /// `[rows, hidden_size]`
    input: &'a B::Buffer,
    rows: usize,
    /// Of a network with a gate. `[rows, 2 * intermediate_size]`
    gate_up: &'a mut B::Buffer,
    activation: Activation,
    /// `[rows, intermediate_size]`
    out: &'a mut B::Buffer,
}

impl<B: LoraBackend> Widened<'_, B> {
    fn gated(
        self,
        backend: &mut B,
        adapters: &mut Adapters<B>,
        weight: &B::Linear,
    ) -> Result<(), KernelError> {
        let Self {
            place,
            input,
            rows,
            gate_up,
            activation,
            out,
        } = self;
        backend.gated_linear(GatedLinear {
            input,
            weight,
            rows,
            gate_up: &mut *gate_up,
            activation,
            out: &mut *out,
        })?;
        adapters.add_gated(backend, place, (input, activation), (gate_up, out))
    }

    fn plain(
        self,
        backend: &mut B,
        adapters: &mut Adapters<B>,
        weight: &B::Linear,
    ) -> Result<(), KernelError> {
        let Self {
            place,
            input,
            rows,
            activation,
            out,
            ..
        } = self;
        backend.linear(Linear {
            input,
            weight,
            rows,
            out: &mut *out,
        })?;
        adapters.add(backend, place, input, out)?;
        backend.activate(Activate {
            values: out,
            activation,
            rows,
        })
    }
}
