//! Packing a checkpoint's tensors for a backend.

use kernels::{Backend, KernelError, WeightDtype, WeightFormat, WeightView};

use crate::config::ModelConfig;
use crate::loading::Loading;
use crate::quantization::Precision;
use crate::rope_table::RopeTable;
use crate::weights::{Checkpoint, Matrix, Names};
use crate::weights_cache::Kept;

/// Projections of a layer, by the names of their tensors.
const QKV: [&str; 3] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
const O: [&str; 1] = ["self_attn.o_proj"];
const GATE_UP: [&str; 2] = ["mlp.gate_proj", "mlp.up_proj"];
const DOWN: [&str; 1] = ["mlp.down_proj"];

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
    /// Packs everything that `loading` has not got already, and tells it what is done.
    ///
    /// A tensor's pages are given back once it is packed, and the largest tensors come first: so
    /// hardly more is in memory than what is packed.
    ///
    /// # Errors
    /// `OutOfMemory`, `Shape`.
    pub(super) fn pack(
        &self,
        max_positions: usize,
        loading: &mut Loading<'_>,
    ) -> Result<Weights<B>, KernelError> {
        let config = self.config;
        let embedding = self.matrix(Names::EMBEDDING, loading)?;
        let lm_head = match config.tie_word_embeddings {
            true => None,
            false => Some(self.matrix(Names::LM_HEAD, loading)?),
        };
        let mut layers = Vec::with_capacity(config.num_layers());
        for layer in 0..config.num_layers() {
            layers.push(self.layer(layer, loading)?);
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

    fn layer(&self, layer: usize, loading: &mut Loading<'_>) -> Result<Layer<B>, KernelError> {
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
        let mut stacked =
            |projections: &[&str], bias| self.stacked(layer, projections, bias, loading);
        Ok(Layer {
            input_norm: vector("input_layernorm.weight")?,
            qkv: stacked(&QKV, config.qkv_bias)?,
            head_norms,
            o: stacked(&O, config.o_bias)?,
            post_attention_norm: vector("post_attention_layernorm.weight")?,
            gate_up: stacked(&GATE_UP, config.mlp_bias)?,
            down: stacked(&DOWN, config.mlp_bias)?,
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
        loading: &mut Loading<'_>,
    ) -> Result<B::Linear, KernelError> {
        let names: Vec<String> = projections
            .iter()
            .map(|projection| matrix_name(layer, projection))
            .collect();
        let biases = projections.iter().flat_map(|projection| {
            self.checkpoint
                .vector(&Names::layer(layer, &format!("{projection}.bias")))
        });
        let bias: Option<Vec<f32>> = has_bias.then(|| biases.collect());
        self.packed(&names, bias.as_deref(), loading)
    }

    fn matrix(&self, name: &str, loading: &mut Loading<'_>) -> Result<B::Linear, KernelError> {
        self.packed(&[name.to_owned()], None, loading)
    }

    /// Matrices stacked on the output axis, each in the format that it is to have.
    fn packed(
        &self,
        names: &[String],
        bias: Option<&[f32]>,
        loading: &mut Loading<'_>,
    ) -> Result<B::Linear, KernelError> {
        let (precision, config) = (self.precision, self.config);
        let shape = |name: &String| {
            let [rows, cols] = self.checkpoint.matrix_shape(name);
            let format = precision.format(name, cols, config);
            (rows, cols, format, format.of(self.checkpoint.dtype(name)))
        };
        let shapes: Vec<(usize, usize, WeightFormat, WeightDtype)> =
            names.iter().map(shape).collect();
        let mut parts: Vec<(WeightDtype, usize)> = Vec::new();
        for &(rows, _, _, dtype) in &shapes {
            match parts.last_mut() {
                Some((last, more)) if *last == dtype => *more += rows,
                _ => parts.push((dtype, rows)),
            }
        }
        let kept = Kept {
            name: &names[0],
            in_features: shapes[0].1,
            parts: &parts,
            bias,
        };
        let linear = match loading.cached(self.backend, kept)? {
            Some(linear) => linear,
            None => {
                let formats: Vec<WeightFormat> = shapes.iter().map(|shape| shape.2).collect();
                self.pack_now(names, bias, &formats)?
            }
        };
        let bytes = shapes
            .iter()
            .map(|(rows, cols, _, dtype)| rows * dtype.row_bytes(*cols));
        loading.advance(bytes.sum());
        Ok(linear)
    }

    /// Packs matrices of the checkpoint, and gives back their pages.
    fn pack_now(
        &self,
        names: &[String],
        bias: Option<&[f32]>,
        formats: &[WeightFormat],
    ) -> Result<B::Linear, KernelError> {
        let matrices: Vec<Matrix<'_>> = names
            .iter()
            .map(|name| self.checkpoint.matrix(name))
            .collect();
        let parts: Vec<WeightView<'_>> = matrices.iter().map(Matrix::view).collect();
        let packed = self.backend.pack_linear(&parts, bias, formats)?;
        for name in names {
            self.checkpoint.release(name);
        }
        Ok(packed)
    }
}

impl<B: Backend> Weights<B> {
    /// All matrices: name of the first tensor, columns, packed.
    pub(super) fn matrices<'w>(
        &'w self,
        config: &'w ModelConfig,
    ) -> impl Iterator<Item = (String, usize, &'w B::Linear)> {
        let hidden = config.hidden_size;
        let head = self.lm_head.as_ref();
        let head = head.map(|head| (Names::LM_HEAD.to_owned(), hidden, head));
        let layers = self
            .layers
            .iter()
            .enumerate()
            .flat_map(move |(index, layer)| {
                let name = |projections: &[&str]| matrix_name(index, projections[0]);
                [
                    (name(&QKV), hidden, &layer.qkv),
                    (name(&O), config.num_q_heads * config.head_dim, &layer.o),
                    (name(&GATE_UP), hidden, &layer.gate_up),
                    (name(&DOWN), config.intermediate_size, &layer.down),
                ]
            });
        let embedding = (Names::EMBEDDING.to_owned(), hidden, &self.embedding);
        std::iter::once(embedding).chain(head).chain(layers)
    }
}

/// The tensor of a projection's matrix.
fn matrix_name(layer: usize, projection: &str) -> String {
    Names::layer(layer, &format!("{projection}.weight"))
}
