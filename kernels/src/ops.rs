//! The arguments of a backend's operations.

use crate::{Backend, Draw, DrawnToken, KvPool, QkvShape, StepBatch};

/// The non-linear function of a feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `x / (1 + e^-x)` (Elfwing et al., "Sigmoid-Weighted Linear Units", 2017).
    Silu,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`: the approximation of Hendrycks and
    /// Gimpel, "Gaussian Error Linear Units", 2016, which `transformers` calls `gelu_pytorch_tanh`.
    GeluTanh,
    /// `g / (1 + e^(-alpha g))` with `g = min(x, limit)`; what a gate lets through is clamped to
    /// `limit` on both sides, and 1 is added to it (OpenAI, "gpt-oss", 2025).
    ClampedSwiglu {
        /// Gain of the sigmoid.
        alpha: f32,
        /// Positive.
        limit: f32,
    },
}

/// `out[row] = scale * table[token_ids[row]]`; `table` is packed as for [`Backend::linear`], so that a tied
/// output projection is stored once.
pub struct Embed<'a, B: Backend> {
    /// `[vocab_size, hidden_size]`
    pub table: &'a B::Linear,
    /// Of the vocabulary, or a row that was drawn ([`DRAWN_BEFORE`](crate::DRAWN_BEFORE)); one without a
    /// token leaves its output as it was. `[rows]`
    pub token_ids: &'a [u32],
    /// Usually 1.
    pub scale: f32,
    /// `[rows, hidden_size]`
    pub out: &'a mut B::Buffer,
}

/// `out = x / sqrt(mean(x^2) + eps) * weight`, row by row.
pub struct RmsNorm<'a, B: Backend> {
    /// `[rows, hidden_size]`
    pub input: &'a B::Buffer,
    /// `[hidden_size]`
    pub weight: &'a B::Vector,
    /// Added to the mean square.
    pub eps: f32,
    /// Rows to compute.
    pub rows: usize,
    /// `[rows, hidden_size]`
    pub out: &'a mut B::Buffer,
}

/// `out = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias`, row by row (Ba et al., "Layer
/// Normalization", 2016).
pub struct LayerNorm<'a, B: Backend> {
    /// `[rows, hidden_size]`
    pub input: &'a B::Buffer,
    /// `[hidden_size]`
    pub weight: &'a B::Vector,
    /// `[hidden_size]`
    pub bias: &'a B::Vector,
    /// Added to the variance.
    pub eps: f32,
    /// Rows to compute.
    pub rows: usize,
    /// `[rows, hidden_size]`
    pub out: &'a mut B::Buffer,
}

/// `residual += scale * delta`, then `out = rms_norm(residual)`.
pub struct AddRmsNorm<'a, B: Backend> {
    /// `[rows, hidden_size]`, updated in place.
    pub residual: &'a mut B::Buffer,
    /// `[rows, hidden_size]`
    pub delta: &'a B::Buffer,
    /// Usually 1.
    pub scale: f32,
    /// `[hidden_size]`
    pub weight: &'a B::Vector,
    /// Added to the mean square.
    pub eps: f32,
    /// Rows to compute.
    pub rows: usize,
    /// `[rows, hidden_size]`
    pub out: &'a mut B::Buffer,
}

/// `residual += scale * delta`, of models that have no norm after it.
pub struct Add<'a, B: Backend> {
    /// `[rows, hidden_size]`, updated in place.
    pub residual: &'a mut B::Buffer,
    /// `[rows, hidden_size]`
    pub delta: &'a B::Buffer,
    /// Usually 1.
    pub scale: f32,
    /// Rows to compute.
    pub rows: usize,
}

/// `out = input * weight^T + bias`.
pub struct Linear<'a, B: Backend> {
    /// `[rows, in_features]`
    pub input: &'a B::Buffer,
    /// `[out_features, in_features]`, with its bias
    pub weight: &'a B::Linear,
    /// Rows to compute.
    pub rows: usize,
    /// `[rows, out_features]`
    pub out: &'a mut B::Buffer,
}

/// Stores the key and value heads of every row in the KV cache, in its element type. Before that,
/// query and key heads are normalised and then rotated in place, in layers that do so.
pub struct WriteKv<'a, B: Backend> {
    /// `[rows, shape.row_size()]`
    pub qkv: &'a mut B::Buffer,
    /// Division of a row.
    pub shape: QkvShape,
    /// The norm.
    pub norm: Option<HeadNorm<'a, B>>,
    /// The rotation.
    pub rope: Option<Rope<'a, B>>,
    /// The KV cache.
    pub kv: &'a mut B::KvCache,
    /// Layer to write.
    pub layer: usize,
    /// Which of a step's blocks are the cache's.
    pub pool: KvPool,
    /// `[rows]`
    pub slot_mapping: &'a [u32],
}

/// RMS norm of queries and keys: of every head, where a weight has the size of a head (Qwen3), or of
/// all heads together, where it has the size of all (OLMo 2).
pub struct HeadNorm<'a, B: Backend> {
    /// `[head_dim]` or `[shape.q_size()]`
    pub q_weight: &'a B::Vector,
    /// `[head_dim]` or `[shape.kv_size()]`, as `q_weight`
    pub k_weight: &'a B::Vector,
    /// Added to the mean square.
    pub eps: f32,
}

/// Rotary embedding (Su et al., "RoFormer", 2021); halves are rotated against each other
/// (`rotate_half` of the Hugging Face models).
pub struct Rope<'a, B: Backend> {
    /// Rows of the table. `[rows]`
    pub positions: &'a [u32],
    /// Cosines and sines.
    pub table: &'a B::RopeTable,
}

/// Causal attention of every row over its own sequence, K and V read through the block table.
///
/// Row `i` of sequence `s` stands at position `context_lens[s] - query_len + i` and attends to
/// positions `0..=position`, with a sliding window to the last `window` of them.
pub struct Attention<'a, B: Backend> {
    /// Queries are read from it. `[rows, shape.row_size()]`
    pub qkv: &'a B::Buffer,
    /// Division of a row.
    pub shape: QkvShape,
    /// The KV cache, this step's rows already written.
    pub kv: &'a B::KvCache,
    /// Layer to read.
    pub layer: usize,
    /// The step's sequences.
    pub batch: &'a StepBatch,
    /// Which of their blocks are the cache's.
    pub pool: KvPool,
    /// Factor of the scores, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// Scores `s` become `soft_cap * tanh(s / soft_cap)`, as in Gemma 2 (Gemma Team, 2024,
    /// section 2); positive.
    pub soft_cap: Option<f32>,
    /// Attention sinks (OpenAI, "gpt-oss", 2025): for each query head the score of a key that has no
    /// value, which takes its part of the softmax. `[num_q_heads]`
    pub sinks: Option<&'a B::Vector>,
    /// Positions that a row sees, itself included; `None` sees all.
    pub window: Option<usize>,
    /// `[rows, num_q_heads * head_dim]`
    pub out: &'a mut B::Buffer,
}

/// `out = activation(gate) * up`, where `[gate, up] = input * weight^T + bias`: the first half of a gated
/// feed-forward network (Shazeer, "GLU Variants Improve Transformer", 2020).
pub struct GatedLinear<'a, B: Backend> {
    /// `[rows, in_features]`
    pub input: &'a B::Buffer,
    /// `[2 * intermediate_size, in_features]` with its bias: the gate's matrix, then the other,
    /// packed as parts of their own.
    pub weight: &'a B::Linear,
    /// Rows to compute.
    pub rows: usize,
    /// Is left with `[gate, up]`. `[rows, 2 * intermediate_size]`
    pub gate_up: &'a mut B::Buffer,
    /// Of the gate.
    pub activation: Activation,
    /// `[rows, intermediate_size]`
    pub out: &'a mut B::Buffer,
}

/// Values `x` become `activation(x)`: between the products of a feed-forward network without gate.
pub struct Activate<'a, B: Backend> {
    /// `[rows, _]`, updated in place.
    pub values: &'a mut B::Buffer,
    /// The function.
    pub activation: Activation,
    /// Rows to compute.
    pub rows: usize,
}

/// Values `x` become `cap * tanh(x / cap)`: the logits of Gemma 2 (Gemma Team, 2024, section 2).
pub struct SoftCap<'a, B: Backend> {
    /// `[rows, _]`, updated in place.
    pub values: &'a mut B::Buffer,
    /// Positive.
    pub cap: f32,
    /// Rows to compute.
    pub rows: usize,
}

/// `out[i] = input[rows[i]]`.
pub struct GatherRows<'a, B: Backend> {
    /// `[_, cols]`
    pub input: &'a B::Buffer,
    /// Rows to take.
    pub rows: &'a [u32],
    /// `[rows.len(), cols]`
    pub out: &'a mut B::Buffer,
}

/// Rows become zeros.
pub struct Clear<'a, B: Backend> {
    /// `[rows, _]`
    pub out: &'a mut B::Buffer,
    /// Rows to clear.
    pub rows: usize,
}

/// `out[rows[i]] += factors[i] * input[i]`, the rows being different ones: what an expert has
/// computed of the rows that were gathered for it.
pub struct AddRows<'a, B: Backend> {
    /// `[rows.len(), cols]`
    pub input: &'a B::Buffer,
    /// Rows to add to.
    pub rows: &'a [u32],
    /// `[rows.len()]`
    pub factors: &'a [f32],
    /// `[_, cols]`
    pub out: &'a mut B::Buffer,
}

/// Chooses tokens of rows of logits, and leaves the other rows to the host.
pub struct Sample<'a, B: Backend> {
    /// `[draws.len(), vocab_size]`
    pub logits: &'a B::Buffer,
    /// How each row's token is chosen; `None` is left to the host. At least one is to be chosen.
    pub draws: &'a [Option<Draw>],
}

/// What came of a [`Sample`]: of the earliest one that was not asked for. Each is asked for once.
pub struct ReadDrawn<'a, B: Backend> {
    /// As they were sampled; those of the host's rows have not changed since.
    pub logits: &'a B::Buffer,
    /// As they were sampled.
    pub draws: &'a [Option<Draw>],
    /// What was chosen of each row; `None` of the host's. What it held is replaced. `[draws.len()]`
    pub drawn: &'a mut Vec<Option<DrawnToken>>,
    /// The logits of the other rows, one row after the other. What it held is replaced.
    pub host: &'a mut Vec<f32>,
}
