//! The norms between attention and the feed-forward networks, and the sums that they are of.

use kernels::{Add, AddRmsNorm, Backend, KernelError, LayerNorm, Linear, LoraBackend, RmsNorm};

use super::lora::{Adapters, Place};

/// A norm of `hidden_size` elements.
pub(super) struct Norm<B: Backend> {
    /// `[hidden_size]`
    pub(super) weight: B::Vector,
    /// `[hidden_size]`, of a layer norm; others are RMS norms.
    pub(super) bias: Option<B::Vector>,
}

/// What is added to the state, and the norm of the sum, where there are these.
pub(super) struct AddAndNorm<'a, 'd, B: Backend> {
    /// The state. `[rows, hidden_size]`
    pub(super) residual: &'a mut B::Buffer,
    /// What is added, times a factor. `[rows, hidden_size]`
    pub(super) delta: Option<(&'d B::Buffer, f32)>,
    pub(super) norm: Option<&'a Norm<B>>,
    pub(super) eps: f32,
    pub(super) rows: usize,
    /// Where the normalised state goes. `[rows, hidden_size]`
    pub(super) normed: &'a mut B::Buffer,
}

/// A product, with what adapters change of it, whose result may be normalised before it is added to
/// the state.
pub(super) struct Projection<'a, B: LoraBackend> {
    pub(super) place: Place,
    /// `[rows, in_features]`
    pub(super) input: &'a B::Buffer,
    /// `[hidden_size, in_features]`
    pub(super) weight: &'a B::Linear,
    pub(super) norm: Option<&'a Norm<B>>,
    pub(super) eps: f32,
    pub(super) rows: usize,
    /// Where the product waits for its norm. `[rows, hidden_size]`
    pub(super) projected: Option<&'a mut B::Buffer>,
    /// `[rows, hidden_size]`
    pub(super) out: &'a mut B::Buffer,
}

impl<'a, B: Backend> AddAndNorm<'a, '_, B> {
    /// Computes it, and gives the rows that come next: the normalised ones, or else the state.
    pub(super) fn run(self, backend: &mut B) -> Result<&'a B::Buffer, KernelError> {
        let Self {
            residual,
            delta,
            norm,
            eps,
            rows,
            normed,
        } = self;
        // The sum and an RMS norm are one pass over memory.
        if let (Some(Norm { weight, bias: None }), Some((delta, scale))) = (norm, delta) {
            backend.add_rms_norm(AddRmsNorm {
                residual,
                delta,
                scale,
                weight,
                eps,
                rows,
                out: normed,
            })?;
            return Ok(normed);
        }
        if let Some((delta, scale)) = delta {
            backend.add(Add {
                residual,
                delta,
                scale,
                rows,
            })?;
        }
        match norm {
            None => Ok(residual),
            Some(norm) => {
                norm.run(backend, residual, (eps, rows), normed)?;
                Ok(normed)
            }
        }
    }
}

impl<B: Backend> Norm<B> {
    /// `out = norm(input)`, row by row.
    fn run(
        &self,
        backend: &mut B,
        input: &B::Buffer,
        (eps, rows): (f32, usize),
        out: &mut B::Buffer,
    ) -> Result<(), KernelError> {
        let weight = &self.weight;
        match &self.bias {
            None => backend.rms_norm(RmsNorm {
                input,
                weight,
                eps,
                rows,
                out,
            }),
            Some(bias) => backend.layer_norm(LayerNorm {
                input,
                weight,
                bias,
                eps,
                rows,
                out,
            }),
        }
    }
}

impl<B: LoraBackend> Projection<'_, B> {
    /// Computes it.
    pub(super) fn run(
        self,
        backend: &mut B,
        adapters: &mut Adapters<B>,
    ) -> Result<(), KernelError> {
        let Self {
            place,
            input,
            weight,
            norm,
            eps,
            rows,
            projected,
            out,
        } = self;
        let mut product = |backend: &mut B, out: &mut B::Buffer| {
            backend.linear(Linear {
                input,
                weight,
                rows,
                out: &mut *out,
            })?;
            adapters.add(backend, place, input, out)
        };
        let Some(norm) = norm else {
            return product(backend, out);
        };
        let projected = projected.expect("models that normalise products have room for them");
        product(backend, projected)?;
        norm.run(backend, projected, (eps, rows), out)
    }
}
