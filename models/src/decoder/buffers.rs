//! A step's activations, allocated once.

use kernels::{Backend, DrawnToken, KernelError, QkvShape};

use super::experts::ExpertBuffers;
use crate::config::{ModelConfig, NormPlacement};
use crate::limits::Limits;

/// Activations; `tokens` is `max_num_batched_tokens`, `seqs` is `max_num_seqs`.
pub(super) struct Buffers<B: Backend> {
    /// The state that every layer adds to. `[tokens, hidden_size]`
    pub(super) residual: B::Buffer,
    /// Input of a projection. `[tokens, hidden_size]`
    pub(super) normed: B::Buffer,
    /// What attention or the feed-forward network adds to the state. `[tokens, hidden_size]`
    pub(super) delta: B::Buffer,
    /// What is still to be normalised before it is a `delta`. `[tokens, hidden_size]`
    pub(super) projected: Option<B::Buffer>,
    /// `[tokens, qkv.row_size()]`
    pub(super) qkv: B::Buffer,
    /// Output of attention. `[tokens, qkv.q_size()]`
    pub(super) attended: B::Buffer,
    /// `[tokens, 2 * intermediate_size]`
    pub(super) gate_up: B::Buffer,
    /// `[tokens, intermediate_size]`
    pub(super) activated: B::Buffer,
    /// Of layers with experts.
    pub(super) experts: Option<ExpertBuffers<B>>,
    /// The rows of `residual` whose logits are wanted. `[seqs, hidden_size]`
    pub(super) sampled_residual: B::Buffer,
    /// The rows of `attended` whose logits are wanted. `[seqs, qkv.q_size()]`
    pub(super) sampled_attended: B::Buffer,
    /// `[seqs, vocab_size]`
    pub(super) logits: B::Buffer,
    /// Where a backend with its own memory copies the logits.
    pub(super) host: Vec<f32>,
    /// Where it puts the tokens that it draws itself.
    pub(super) drawn: Vec<Option<DrawnToken>>,
    /// Where it copies the states behind them.
    pub(super) host_states: Vec<f32>,
    /// Log probabilities of the step's scored tokens.
    pub(super) scores: Vec<f32>,
}

impl<B: Backend> Buffers<B> {
    /// Allocates everything.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn new(
        backend: &B,
        config: &ModelConfig,
        qkv: QkvShape,
        limits: &Limits,
    ) -> Result<Self, KernelError> {
        let tokens = limits.max_num_batched_tokens;
        // A step has no more rows to sample than tokens; the tail of the last layer runs in the
        // buffers of all tokens, so these are never smaller.
        let seqs = limits.max_num_seqs;
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let projected = match config.norms.placement {
            NormPlacement::Before => None,
            NormPlacement::After | NormPlacement::Around => {
                Some(backend.exact_buffer(tokens, hidden)?)
            }
        };
        Ok(Self {
            projected,
            residual: backend.exact_buffer(tokens, hidden)?,
            normed: backend.buffer(tokens, hidden)?,
            delta: backend.exact_buffer(tokens, hidden)?,
            qkv: backend.exact_buffer(tokens, qkv.row_size())?,
            attended: backend.buffer(tokens, qkv.q_size())?,
            gate_up: backend.buffer(tokens, 2 * intermediate)?,
            activated: backend.buffer(tokens, intermediate)?,
            experts: config
                .experts
                .map(|experts| ExpertBuffers::new(backend, experts, tokens, hidden))
                .transpose()?,
            sampled_residual: backend.exact_buffer(seqs, hidden)?,
            sampled_attended: backend.buffer(seqs, qkv.q_size())?,
            logits: backend.exact_buffer(seqs, config.vocab_size)?,
            host: Vec::new(),
            drawn: Vec::new(),
            host_states: Vec::new(),
            scores: Vec::with_capacity(tokens),
        })
    }
}
