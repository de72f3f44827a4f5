//! LoRA adapters as PEFT saves them: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! Format: <https://huggingface.co/docs/peft/developer_guides/checkpoint>. Everything that can be
//! checked without a device is checked here, and nothing of an adapter is ignored: what is not
//! computed as PEFT computes it is an error that names the file, the field or the tensor.

mod config;
mod error;
mod modules;
mod tensors;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use kernels::{LoraView, WeightDtype, WeightView};

use crate::config::ModelConfig;
use crate::weights::{Names, expected};

use config::LoraConfig;
pub use error::AdapterError;
use tensors::Tensors;

const CONFIG_FILE: &str = "adapter_config.json";
const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// What a file may have beside its tensors' elements.
const MOST_HEADER_BYTES: usize = 16 << 20;

/// An adapter that fits a model, in the host's memory.
///
/// Life cycle: [`LoraAdapter::open`] reads and checks everything;
/// [`AdapterSlots::load`](crate::AdapterSlots::load) packs it for a device, after which it can go.
pub struct LoraAdapter {
    digest: [u8; 32],
    bytes: Vec<u8>,
    /// By the first projection that the matrix is made of, as a layer's tensors are named here.
    updates: BTreeMap<String, Update>,
}

/// What an adapter adds to one matrix: `scale * B * A`.
pub(crate) struct Update {
    scale: f32,
    /// `[rank, in_features]`
    a: Factor,
    /// `[out_features, rank]`
    b: Factor,
}

/// A matrix in the adapter's file.
struct Factor {
    name: String,
    dtype: WeightDtype,
    rows: usize,
    cols: usize,
    range: Range<usize>,
}

/// A matrix of the model that an adapter may update.
pub(crate) struct Module {
    /// As in PEFT: the name of its tensor in the model's files, without `.weight`.
    name: String,
    /// The same here, or that of the first projection that the tensor is made of.
    projection: String,
    pub(crate) out_features: usize,
    pub(crate) in_features: usize,
}

impl LoraAdapter {
    /// Reads the adapter in `folder`, for a model of `config`.
    ///
    /// # Errors
    /// Files that cannot be read; anything that the adapter asks for and that is not done here; a
    /// rank above `max_rank`; tensors that are missing, left over, of another shape or type, or not
    /// finite.
    pub fn open(
        folder: &Path,
        config: &ModelConfig,
        max_rank: usize,
    ) -> Result<Self, AdapterError> {
        let modules = modules_of(config);
        let lora = LoraConfig::parse(&read(&folder.join(CONFIG_FILE), MOST_HEADER_BYTES)?)?;
        let targets = lora.targets(&modules)?;
        let elements = |module: &Module| max_rank * (module.in_features + module.out_features);
        let most = modules.iter().map(elements).sum::<usize>() * size_of::<f32>();
        let bytes = read(&folder.join(WEIGHTS_FILE), most + MOST_HEADER_BYTES)?;
        let mut tensors = Tensors::parse(&bytes)?;
        let mut updates = BTreeMap::new();
        for module in targets {
            let rank = lora.rank(&module.name);
            if rank > max_rank {
                let reason = format!("rank {rank} of {} exceeds {max_rank}", module.name);
                return Err(AdapterError::field("r, rank_pattern", reason));
            }
            let update = Update {
                scale: lora.scale(&module.name)?,
                a: tensors.take(&module.name, "lora_A", [rank, module.in_features])?,
                b: tensors.take(&module.name, "lora_B", [module.out_features, rank])?,
            };
            updates.insert(module.projection.clone(), update);
        }
        tensors.none_is_left()?;
        Ok(Self::new(bytes, updates))
    }

    /// An adapter whose file is `bytes`.
    pub(crate) fn new(bytes: Vec<u8>, updates: BTreeMap<String, Update>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("purser LoRA adapter 1");
        // The file tells names, types, shapes and values; the factors come from the configuration.
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(&bytes);
        for update in updates.values() {
            hasher.update(&update.scale.to_le_bytes());
        }
        Self {
            digest: *hasher.finalize().as_bytes(),
            bytes,
            updates,
        }
    }

    /// Names what the adapter computes, whatever its folder is called: equal digests mean equal KV
    /// for equal tokens of one model.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Bytes of the matrices.
    pub fn num_bytes(&self) -> usize {
        let factors = self.updates.values().flat_map(|u| [&u.a, &u.b]);
        factors.map(|factor| factor.range.len()).sum()
    }

    /// The update of a layer's projection, whose output begins at `first` among those that it is
    /// stacked with; and of those that follow it, where the model's files have them as one matrix.
    pub(crate) fn update(
        &self,
        layer: usize,
        projection: &str,
        first: usize,
    ) -> Option<LoraView<'_>> {
        let update = self.updates.get(&Names::layer(layer, projection))?;
        Some(LoraView {
            a: self.view(&update.a),
            b: self.view(&update.b),
            scale: update.scale,
            first,
        })
    }

    fn view<'a>(&'a self, factor: &'a Factor) -> WeightView<'a> {
        WeightView {
            name: &factor.name,
            data: &self.bytes[factor.range.clone()],
            dtype: factor.dtype,
            rows: factor.rows,
            cols: factor.cols,
        }
    }
}

/// The layers' matrices, but for experts and what chooses between them.
pub(crate) fn modules_of(config: &ModelConfig) -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    for tensor in expected(config) {
        let [out_features, in_features] = tensor.shape[..] else {
            continue;
        };
        let Some(projection) = tensor.name.strip_suffix(".weight") else {
            continue;
        };
        let is_of_experts =
            Names::is_of_expert(&tensor.name) || projection.ends_with(Names::ROUTER);
        if !projection.starts_with(Names::LAYERS) || is_of_experts {
            continue;
        }
        let in_file = config.naming.name_in_file(&tensor.name);
        let name = in_file.strip_suffix(".weight").unwrap_or(&in_file);
        // The parts of a matrix follow each other here as there.
        match modules.iter_mut().find(|module| module.name == name) {
            Some(whole) => whole.out_features += out_features,
            None => modules.push(Module {
                name: name.to_owned(),
                projection: projection.to_owned(),
                out_features,
                in_features,
            }),
        }
    }
    modules
}

/// A file of at most `most` bytes.
fn read(path: &Path, most: usize) -> Result<Vec<u8>, AdapterError> {
    let failed = |source: io::Error| AdapterError::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    match bytes.len() > most {
        false => Ok(bytes),
        true => Err(AdapterError::TooLarge {
            path: path.to_owned(),
            most,
        }),
    }
}
