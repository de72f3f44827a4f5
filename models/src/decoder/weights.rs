//! Packing a checkpoint's tensors for a backend.

use kernels::{Backend, KernelError, WeightDtype, WeightFormat, WeightView};

use super::norms::Norm;
use crate::config::{LayerNorms, ModelConfig, NormKind, QkNorm};
use crate::loading::Loading;
use crate::quantization::Precision;
use crate::rope_table::RopeTable;
use crate::weights::{Checkpoint, Matrix, Names};
use crate::weights_cache::Kept;

/// Projections of a layer, by the names of their tensors.
pub(super) const QKV: [&str; 3] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
pub(super) const O: [&str; 1] = ["self_attn.o_proj"];
pub(super) const GATE_UP: [&str; 2] = ["mlp.gate_proj", "mlp.up_proj"];
const UP: [&str; 1] = ["mlp.up_proj"];
pub(super) const DOWN: [&str; 1] = ["mlp.down_proj"];

/// Packed weights of a model.
pub(super) struct Weights<B: Backend> {
    /// `[vocab_size, hidden_size]`
    pub(super) embedding: B::Linear,
    /// One per layer.
    pub(super) layers: Vec<Layer<B>>,
    /// `[hidden_size]`
    pub(super) final_norm: Norm<B>,
    /// `[vocab_size, hidden_size]`; `None` when the embedding is the output projection.
    pub(super) lm_head: Option<B::Linear>,
    /// Cosines and sines.
    pub(super) rope: B::RopeTable,
    /// Those of layers with a sliding window, where they are others.
    pub(super) sliding_rope: Option<B::RopeTable>,
}

/// Packed weights of a layer, and what it does differently from others.
pub(super) struct Layer<B: Backend> {
    /// `[hidden_size]` each
    pub(super) norms: LayerNorms<Norm<B>>,
    /// Query, key and value in one product. `[qkv.row_size(), hidden_size]`
    pub(super) qkv: B::Linear,
    /// Norms of queries and keys, `[head_dim]` each, or as long as all heads.
    pub(super) head_norms: Option<(B::Vector, B::Vector)>,
    /// Attention sinks, `[num_q_heads]`.
    pub(super) sinks: Option<B::Vector>,
    /// `[hidden_size, qkv.q_size()]`
    pub(super) o: B::Linear,
    /// What stands after attention.
    pub(super) mlp: Mlp<B>,
    /// Whether the rotary embedding is applied.
    pub(super) rope: bool,
    /// Positions that a token sees.
    pub(super) sliding_window: Option<usize>,
}

/// A feed-forward network.
pub(super) enum Mlp<B: Backend> {
    /// With a gate.
    Gated(GatedMlp<B>),
    /// Without.
    Plain {
        /// `[intermediate_size, hidden_size]`
        up: B::Linear,
        /// `[hidden_size, intermediate_size]`
        down: B::Linear,
    },
    /// Several, of which each token passes through some.
    Experts(Experts<B>),
}

/// A feed-forward network with a gate.
pub(super) struct GatedMlp<B: Backend> {
    /// Gate and up in one product. `[2 * intermediate_size, hidden_size]`
    pub(super) gate_up: B::Linear,
    /// `[hidden_size, intermediate_size]`
    pub(super) down: B::Linear,
}

/// A mixture of experts.
pub(super) struct Experts<B: Backend> {
    /// `[num_experts, hidden_size]`
    pub(super) router: B::Linear,
    /// One per expert.
    pub(super) experts: Vec<GatedMlp<B>>,
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
        let rope = |rope| {
            let table = RopeTable::new(rope, config.head_dim, max_positions);
            self.backend.rope_table(table.view())
        };
        Ok(Weights {
            embedding,
            layers,
            final_norm: self.norm(Names::FINAL_NORM, config.multipliers.logits)?,
            lm_head,
            rope: rope(&config.rope)?,
            sliding_rope: config.sliding_rope.as_ref().map(rope).transpose()?,
        })
    }

    /// A norm; what comes after it is to be multiplied by `multiplier`.
    fn norm(&self, name: &str, multiplier: f32) -> Result<Norm<B>, KernelError> {
        let norms = &self.config.norms;
        let vector = |end: &str, offset: f32| {
            let mut values = self.checkpoint.vector(&format!("{name}.{end}"));
            for value in &mut values {
                *value = (*value + offset) * multiplier;
            }
            self.backend.vector(&values)
        };
        Ok(Norm {
            weight: vector("weight", norms.weight_offset)?,
            bias: match norms.kind {
                NormKind::Rms => None,
                NormKind::Layer => Some(vector("bias", 0.0)?),
            },
        })
    }

    fn layer(&self, layer: usize, loading: &mut Loading<'_>) -> Result<Layer<B>, KernelError> {
        let config = self.config;
        let norm = |name: &str| self.norm(&Names::layer(layer, name), 1.0);
        let head_norm = |name: &str| {
            let mut weights = self.checkpoint.vector(&Names::layer(layer, name));
            let offset = config.norms.weight_offset;
            weights.iter_mut().for_each(|weight| *weight += offset);
            self.backend.vector(&weights)
        };
        let head_norms = match config.qk_norm {
            QkNorm::None => None,
            QkNorm::Heads | QkNorm::Whole => {
                let (q, k) = ("self_attn.q_norm.weight", "self_attn.k_norm.weight");
                Some((head_norm(q)?, head_norm(k)?))
            }
        };
        Ok(Layer {
            norms: config.norms.placement.names().try_map(norm)?,
            qkv: self.stacked(layer, &QKV, config.qkv_bias, loading)?,
            head_norms,
            sinks: match config.attention_sinks {
                true => Some(
                    self.backend.vector(
                        &self
                            .checkpoint
                            .vector(&Names::layer(layer, "self_attn.sinks")),
                    )?,
                ),
                false => None,
            },
            o: self.stacked(layer, &O, config.o_bias, loading)?,
            mlp: self.mlp(layer, loading)?,
            rope: config.layers[layer].rope,
            sliding_window: config.layers[layer].sliding_window,
        })
    }

    fn mlp(&self, layer: usize, loading: &mut Loading<'_>) -> Result<Mlp<B>, KernelError> {
        let bias = self.config.mlp_bias;
        let mut stacked = |projections: &[&str]| self.stacked(layer, projections, bias, loading);
        let Some(config) = self.config.experts_of(layer) else {
            return Ok(match self.config.mlp_gate {
                true => Mlp::Gated(GatedMlp {
                    gate_up: stacked(&GATE_UP)?,
                    down: stacked(&DOWN)?,
                }),
                false => Mlp::Plain {
                    up: stacked(&UP)?,
                    down: stacked(&DOWN)?,
                },
            });
        };
        let router = stacked(&[Names::ROUTER])?;
        let mut experts = Vec::with_capacity(config.num_experts);
        for expert in 0..config.num_experts {
            let name = |name| Names::expert(expert, name);
            let (gate, up, down) = (name("gate_proj"), name("up_proj"), name("down_proj"));
            experts.push(GatedMlp {
                gate_up: stacked(&[&gate, &up])?,
                down: stacked(&[&down])?,
            });
        }
        Ok(Mlp::Experts(Experts { router, experts }))
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
    pub(super) fn matrices(&self, config: &ModelConfig) -> Vec<(String, usize, &B::Linear)> {
        let hidden = config.hidden_size;
        let mut all = vec![(Names::EMBEDDING.to_owned(), hidden, &self.embedding)];
        if let Some(head) = &self.lm_head {
            all.push((Names::LM_HEAD.to_owned(), hidden, head));
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let mut push = |name: &str, cols, matrix| {
                all.push((matrix_name(index, name), cols, matrix));
            };
            push(QKV[0], hidden, &layer.qkv);
            push(O[0], config.num_q_heads * config.head_dim, &layer.o);
            match &layer.mlp {
                Mlp::Gated(mlp) => {
                    push(GATE_UP[0], hidden, &mlp.gate_up);
                    push(DOWN[0], config.intermediate_size, &mlp.down);
                }
                Mlp::Plain { up, down } => {
                    push(UP[0], hidden, up);
                    push(DOWN[0], config.intermediate_size, down);
                }
                Mlp::Experts(mlp) => {
                    push(Names::ROUTER, hidden, &mlp.router);
                    let intermediate = config.experts.map_or(0, |all| all.intermediate_size);
                    for (expert, mlp) in mlp.experts.iter().enumerate() {
                        let name = |name| Names::expert(expert, name);
                        push(&name("gate_proj"), hidden, &mlp.gate_up);
                        push(&name("down_proj"), intermediate, &mlp.down);
                    }
                }
            }
        }
        all
    }
}

/// The tensor of a projection's matrix.
fn matrix_name(layer: usize, projection: &str) -> String {
    Names::layer(layer, &format!("{projection}.weight"))
}
