//! A mixture of experts in the place of a feed-forward network.

use kernels::{Activation, AddRows, Backend, Clear, GatedLinear, GatherRows, KernelError, Linear};

use super::routes::Routes;
use super::weights::Experts;
use crate::config::ExpertsConfig;

/// The activations of experts; `tokens` is `max_num_batched_tokens`.
pub(super) struct ExpertBuffers<B: Backend> {
    routes: Routes,
    /// Router logits. `[tokens, num_experts]`
    logits: B::Buffer,
    /// Where a backend with its own memory copies them.
    host: Vec<f32>,
    /// The rows of one expert. `[tokens, hidden_size]`
    gathered: B::Buffer,
    /// What it makes of them. `[tokens, hidden_size]`
    computed: B::Buffer,
    /// `[tokens, 2 * intermediate_size]`
    gate_up: B::Buffer,
    /// `[tokens, intermediate_size]`
    activated: B::Buffer,
}

impl<B: Backend> ExpertBuffers<B> {
    /// Allocates everything.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn new(
        backend: &B,
        config: ExpertsConfig,
        tokens: usize,
        hidden_size: usize,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            routes: Routes::new(config, tokens),
            logits: backend.exact_buffer(tokens, config.num_experts)?,
            host: Vec::new(),
            gathered: backend.buffer(tokens, hidden_size)?,
            computed: backend.buffer(tokens, hidden_size)?,
            gate_up: backend.buffer(tokens, 2 * config.intermediate_size)?,
            activated: backend.buffer(tokens, config.intermediate_size)?,
        })
    }

    /// What the experts make of `rows` rows of `input` `[rows, hidden_size]`, into `out`, likewise.
    ///
    /// Each expert takes its rows together, so that its weights are read once.
    ///
    /// # Errors
    /// `Device`.
    pub(super) fn run(
        &mut self,
        backend: &mut B,
        (experts, activation): (&Experts<B>, Activation),
        (input, rows): (&B::Buffer, usize),
        out: &mut B::Buffer,
    ) -> Result<(), KernelError> {
        backend.linear(Linear {
            input,
            weight: &experts.router,
            rows,
            out: &mut self.logits,
        })?;
        let logits = backend.read(&self.logits, rows, &mut self.host)?;
        self.routes.choose(logits);
        backend.clear(Clear { out, rows })?;
        for (index, expert) in experts.experts.iter().enumerate() {
            let (rows, factors) = self.routes.of(index);
            if rows.is_empty() {
                continue;
            }
            backend.gather_rows(GatherRows {
                input,
                rows,
                out: &mut self.gathered,
            })?;
            backend.gated_linear(GatedLinear {
                input: &self.gathered,
                weight: &expert.gate_up,
                rows: rows.len(),
                gate_up: &mut self.gate_up,
                activation,
                out: &mut self.activated,
            })?;
            backend.linear(Linear {
                input: &self.activated,
                weight: &expert.down,
                rows: rows.len(),
                out: &mut self.computed,
            })?;
            backend.add_rows(AddRows {
                input: &self.computed,
                rows,
                factors,
                out,
            })?;
        }
        Ok(())
    }
}
