//! Random LoRA adapters, written as PEFT writes them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize_to_file};
use serde_json::{Value, json};

use crate::ModelConfig;
use crate::weights::{Names, expected};

/// All projections of a layer.
pub const ALL_PROJECTIONS: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];

/// Tensors in f32 by name: shape and elements.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// What an adapter's files are made of.
pub struct AdapterFiles {
    /// `adapter_config.json`
    pub config: Value,
    /// `adapter_model.safetensors`
    pub tensors: Tensors,
}

impl AdapterFiles {
    /// An adapter of `rank` that updates the projections `targets` of every layer, by about as much
    /// as their outputs.
    ///
    /// # Panics
    /// If the model has no such projection.
    pub fn random(model: &ModelConfig, targets: &[&str], rank: usize, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = || {
            // Xorshift (Marsaglia, "Xorshift RNGs", 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        let matrices = expected(model);
        let mut tensors = Tensors::new();
        for layer in 0..model.num_layers() {
            for projection in targets {
                let name = Names::layer(layer, &format!("{projection}.weight"));
                let matrix = matrices.iter().find(|matrix| matrix.name == name);
                let shape = &matrix.expect("the model has the projection").shape;
                let (out_features, in_features) = (shape[0], shape[1]);
                let size = 1.0 / (in_features as f32).sqrt();
                let module = format!("base_model.model.model.layers.{layer}.{projection}");
                let a = (0..rank * in_features).map(|_| size * random()).collect();
                let b = (0..out_features * rank).map(|_| random()).collect();
                let name = |factor| format!("{module}.{factor}.weight");
                tensors.insert(name("lora_A"), (vec![rank, in_features], a));
                tensors.insert(name("lora_B"), (vec![out_features, rank], b));
            }
        }
        let config = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "bias": "none",
            "r": rank,
            "lora_alpha": rank,
            "target_modules": targets,
        });
        Self { config, tensors }
    }

    /// Writes both files into `folder`.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let config = self.config.to_string();
        std::fs::write(folder.join("adapter_config.json"), config)?;
        write_tensors(&self.tensors, &folder.join("adapter_model.safetensors"))
    }
}

/// Writes tensors in f32.
///
/// # Errors
/// The system's.
///
/// # Panics
/// If a tensor has not as many elements as its shape.
pub fn write_tensors(tensors: &Tensors, file: &Path) -> io::Result<()> {
    let bytes = |values: &[f32]| -> Vec<u8> {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        bytes.collect()
    };
    let data: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| (name, shape, bytes(values)))
        .collect();
    let views = data.iter().map(|(name, shape, data)| {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), data);
        (name, view.expect("the shape is that of the elements"))
    });
    serialize_to_file(views, None, file).map_err(io::Error::other)
}
