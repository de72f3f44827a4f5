//! Packing a checkpoint's tensors for a backend.

use std::borrow::Cow;

use kernels::{Backend, KernelError, WeightFormat, WeightView};

use crate::config::ModelConfig;
use crate::quantization::Precision;
use crate::rope_table::RopeTable;
use crate::weights::{Checkpoint, Matrix, Names};

/// Packed weights of a model.
pub(super) struct Weights<B: Backend> {
    /// `[vocab_size, hidden_size]`
    pub(super) embedding: B::Linear,
    /// One per layer.
    pub(super) layers: Vec<Layer<B>>,
    /// `[hidden_size]`
    pub(super) final_norm: B::Vector,
    /// `[vocab_size, hidden_size]`; `None` when the embedding is the output projection.
    pub(super) lm_head: Option<B::Linear>,
    /// Cosines and sines.
    pub(super) rope: B::RopeTable,
}

/// Packed weights of a layer, and what it does differently from others.
pub(super) struct Layer<B: Backend> {
    /// `[hidden_size]`
    pub(super) input_norm: B::Vector,
    /// Query, key and value in one product. `[qkv.row_size(), hidden_size]`
    pub(super) qkv: B::Linear,
    /// Norms of query and key heads, `[head_dim]` each.
    pub(super) head_norms: Option<(B::Vector, B::Vector)>,
    /// `[hidden_size, qkv.q_size()]`
    pub(super) o: B::Linear,
    /// `[hidden_size]`
    pub(super) post_attention_norm: B::Vector,
    /// Gate and up in one product. `[2 * intermediate_size, hidden_size]`
    pub(super) gate_up: B::Linear,
    /// `[hidden_size, intermediate_size]`
    pub(super) down: B::Linear,
    /// Whether the rotary embedding is applied.
    pub(super) rope: bool,
    /// Positions that a token sees.
    pub(super) sliding_window: Option<usize>,
}

/// What packing reads from.
pub(super) struct Packing<'a, B: Backend> {
    pub(super) backend: &'a B,
    pub(super) config: &'a ModelConfig,
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) precision: Precision,
}

impl<B: Backend> Packing<'_, B> {
    /// Packs everything; `progress` hears the number of layers that are done.
    ///
    /// A tensor's pages are given back once it is packed, and the largest tensors come first: so
    /// hardly more is in memory than what is packed.
    ///
    /// # Errors
    /// `OutOfMemory`, `Shape`.
    pub(super) fn pack(
        &self,
        max_positions: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Weights<B>, KernelError> {
        let config = self.config;
        let embedding = self.matrix(Names::EMBEDDING)?;
        let lm_head = match config.tie_word_embeddings {
            true => None,
            false => Some(self.matrix(Names::LM_HEAD)?),
        };
        let mut layers = Vec::with_capacity(config.num_layers());
        for layer in 0..config.num_layers() {
            layers.push(self.layer(layer)?);
            progress(layer + 1);
        }
        let table = RopeTable::new(&config.rope, config.head_dim, max_positions);
        Ok(Weights {
            embedding,
            layers,
            final_norm: self
                .backend
                .vector(&self.checkpoint.vector(Names::FINAL_NORM))?,
            lm_head,
            rope: self.backend.rope_table(table.view())?,
        })
    }

    fn layer(&self, layer: usize) -> Result<Layer<B>, KernelError> {
        let config = self.config;
        let vector = |name: &str| {
            self.backend
                .vector(&self.checkpoint.vector(&Names::layer(layer, name)))
        };
        let head_norms = match config.qk_norm {
            true => {
                let (q, k) = ("self_attn.q_norm.weight", "self_attn.k_norm.weight");
                Some((vector(q)?, vector(k)?))
            }
            false => None,
        };
        let attention = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
        Ok(Layer {
            input_norm: vector("input_layernorm.weight")?,
            qkv: self.stacked(layer, &attention, config.qkv_bias)?,
            head_norms,
            o: self.stacked(layer, &["self_attn.o_proj"], config.o_bias)?,
            post_attention_norm: vector("post_attention_layernorm.weight")?,
            gate_up: self.stacked(layer, &["mlp.gate_proj", "mlp.up_proj"], config.mlp_bias)?,
            down: self.stacked(layer, &["mlp.down_proj"], config.mlp_bias)?,
            rope: config.layers[layer].rope,
            sliding_window: config.layers[layer].sliding_window,
        })
    }

    /// The projections of a layer, stacked on the output axis.
    fn stacked(
        &self,
        layer: usize,
        projections: &[&str],
        has_bias: bool,
    ) -> Result<B::Linear, KernelError> {
        let names: Vec<String> = projections
            .iter()
            .map(|projection| Names::layer(layer, &format!("{projection}.weight")))
            .collect();
        let biases = projections.iter().flat_map(|projection| {
            self.checkpoint
                .vector(&Names::layer(layer, &format!("{projection}.bias")))
        });
        let bias: Option<Vec<f32>> = has_bias.then(|| biases.collect());
        self.packed(&names, bias.as_deref())
    }

    fn matrix(&self, name: &str) -> Result<B::Linear, KernelError> {
        self.packed(&[name.to_owned()], None)
    }

    /// Matrices stacked on the output axis, each in the format that it is to have.
    fn packed(&self, names: &[String], bias: Option<&[f32]>) -> Result<B::Linear, KernelError> {
        let format_of = |matrix: &Matrix<'_>| {
            let (precision, config) = (self.precision, self.config);
            precision.format(matrix.name, matrix.cols, config)
        };
        let mut matrices: Vec<Matrix<'_>> = names
            .iter()
            .map(|name| self.checkpoint.matrix(name))
            .collect();
        let format = format_of(&matrices[0]);
        for matrix in &mut matrices[1..] {
            // The backend takes one format for all, and leaves alone what has blocks already.
            let own = format_of(matrix);
            if own != format {
                quantize(matrix, own);
            }
        }
        let parts: Vec<WeightView<'_>> = matrices.iter().map(Matrix::view).collect();
        let packed = self.backend.pack_linear(&parts, bias, format)?;
        for name in names {
            self.checkpoint.release(name);
        }
        Ok(packed)
    }
}

/// Replaces a matrix of floats by blocks of `format`.
fn quantize(matrix: &mut Matrix<'_>, format: WeightFormat) {
    let dtype = format.of(matrix.dtype);
    if dtype != matrix.dtype {
        let blocks = matrix.view().quantized(dtype);
        matrix.data = Cow::Owned(blocks);
        matrix.dtype = dtype;
    }
}
