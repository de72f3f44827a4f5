//! Quantising weights at load: what becomes of each matrix.

use kernels::{WeightDtype, WeightFormat};

use crate::config::ModelConfig;
use crate::weights::{Expected, Names, expected};

/// How matrices of floats are quantised at load. Norms and biases stay f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quantization {
    /// Not at all.
    #[default]
    None,
    /// Rounded to bfloat16.
    Bf16,
    /// Blocks of 32 with a scale each, 8.5 bits per weight.
    Q8_0,
    /// llama.cpp's mixture Q4_K_M: blocks of 256, 4.5 bits per weight for most matrices and 6.6 for
    /// those where bits count most: the output projection (or the embedding that is it too), and in
    /// half of the layers the value and down projections (`llama-quant.cpp`). Matrices whose columns
    /// are no multiple of 256 become Q8_0.
    Q4KM,
}

/// How the weights of matrix products are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Precision {
    /// Of matrices.
    pub(crate) quantization: Quantization,
    /// Of those that are not quantised.
    pub(crate) plain: WeightFormat,
}

impl Precision {
    /// How matrix `tensor` with `cols` columns is kept.
    pub(crate) fn format(self, tensor: &str, cols: usize, config: &ModelConfig) -> WeightFormat {
        self.quantization.format(tensor, cols, config, self.plain)
    }

    /// Bytes of a tensor of the model once it is loaded; vectors are f32.
    pub(crate) fn loaded_bytes(
        self,
        tensor: &Expected,
        dtype: WeightDtype,
        config: &ModelConfig,
    ) -> usize {
        match tensor.shape[..] {
            [rows, cols] => {
                let kept = self.format(&tensor.name, cols, config).of(dtype);
                rows * kept.row_bytes(cols)
            }
            _ => tensor.shape.iter().product::<usize>() * size_of::<f32>(),
        }
    }
}

impl Quantization {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q4KM => "q4_k_m",
        }
    }

    /// How matrix `tensor` with `cols` columns is kept; `plain` is what happens without
    /// quantisation.
    pub(crate) fn format(
        self,
        tensor: &str,
        cols: usize,
        config: &ModelConfig,
        plain: WeightFormat,
    ) -> WeightFormat {
        // As llama.cpp does: a choice of experts is not to hang on rounding.
        if is_router(tensor) {
            return match self {
                Self::Bf16 => WeightFormat::Bf16,
                _ => plain,
            };
        }
        let fits = |format: WeightFormat| cols.is_multiple_of(block_len(format));
        let candidates: &[WeightFormat] = match self {
            Self::None => return plain,
            Self::Bf16 => return WeightFormat::Bf16,
            Self::Q8_0 => &[WeightFormat::Q8_0],
            Self::Q4KM if wants_more_bits(tensor, config) => {
                &[WeightFormat::Q6K, WeightFormat::Q8_0]
            }
            Self::Q4KM => &[WeightFormat::Q4K, WeightFormat::Q8_0],
        };
        let found = candidates.iter().copied().find(|&format| fits(format));
        found.unwrap_or(plain)
    }

    /// How many of the model's matrices do not get the format that the mixture has for them, because
    /// of their number of columns.
    pub(crate) fn num_fallbacks(self, config: &ModelConfig) -> usize {
        let block = match self {
            Self::None | Self::Bf16 => 1,
            Self::Q8_0 => 32,
            Self::Q4KM => 256,
        };
        let tensors = expected(config);
        let matrices = tensors.iter().filter_map(|tensor| match tensor.shape[..] {
            [_, cols] if !is_router(&tensor.name) => Some(cols),
            _ => None,
        });
        matrices.filter(|cols| !cols.is_multiple_of(block)).count()
    }
}

/// Whether the tensor says which experts a token passes through.
fn is_router(tensor: &str) -> bool {
    let projection = tensor.strip_suffix(".weight");
    projection.is_some_and(|name| name.ends_with(&format!(".{}", Names::ROUTER)))
}

fn block_len(format: WeightFormat) -> usize {
    // Of floats any format makes its own type.
    format.of(WeightDtype::F32).block_len()
}

/// Whether Q4_K_M gives the tensor 6 bits.
fn wants_more_bits(tensor: &str, config: &ModelConfig) -> bool {
    let layers = config.num_layers();
    match tensor {
        Names::LM_HEAD => true,
        Names::EMBEDDING => config.tie_word_embeddings,
        _ => {
            let of_layer = || {
                let (layer, rest) = tensor.strip_prefix("model.layers.")?.split_once('.')?;
                let bits_count = ["self_attn.v_proj.weight", "mlp.down_proj.weight"];
                let counts = bits_count.contains(&rest)
                    || (Names::is_of_expert(tensor) && rest.ends_with(".down_proj.weight"));
                counts.then(|| layer.parse().ok())?
            };
            of_layer().is_some_and(|layer| is_outer_or_third(layer, layers))
        }
    }
}

/// The first and the last eighth of the layers, and every third between them.
fn is_outer_or_third(layer: usize, layers: usize) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
}

#[cfg(test)]
mod tests;
