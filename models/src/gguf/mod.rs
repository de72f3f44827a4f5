//! Models in GGUF files: weights, configuration, tokenizer and chat template in one.
//!
//! The file's metadata are translated into the files that `transformers` would write (config.json,
//! tokenizer.json, ..), and its tensors get the names of `transformers`; from there on a model is a
//! model. Nothing of the weights is copied: quantised blocks are packed from the mapped file.

mod architecture;
mod config;
mod element_type;
mod error;
mod family;
mod header;
mod metadata;
mod names;
mod part;
mod tokenizer;
mod value;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kernels::WeightDtype;
use serde_json::{Map, Value};

use crate::config::{ConfigError, ModelConfig, RopeScaling};
use crate::model::{Model, ModelFiles, OpenError, optional_file};
use crate::weights::{Checkpoint, Names, Tensor};

use architecture::Architecture;
use config::TensorFacts;
pub use error::GgufError;
use metadata::Metadata;
use part::Part;

/// Whether a file's name says that it is one.
pub(crate) fn has_extension(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// The GGUF file in `folder`, the first part of one that is split; `None` where there is none.
///
/// # Errors
/// `Folder` where there are several models; `Io`.
pub(crate) fn in_folder(folder: &Path) -> Result<Option<PathBuf>, GgufError> {
    let io = |source| GgufError::Io {
        file: folder.display().to_string(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if has_extension(&path) && !part::is_later(&path) {
            files.push(path);
        }
    }
    files.sort_unstable();
    if files.len() < 2 {
        return Ok(files.pop());
    }
    let names = files.iter().filter_map(|file| file.file_name());
    let names: Vec<Cow<'_, str>> = names.map(|name| name.to_string_lossy()).collect();
    Err(GgufError::Folder {
        folder: folder.display().to_string(),
        reason: format!("several GGUF files; name one of {}", names.join(", ")),
    })
}

/// Opens the model in the file `path`, or of which that is a part.
///
/// # Errors
/// Anything wrong with the files; each error names the file, and the key or tensor.
pub(crate) fn open(path: &Path, name: String) -> Result<Model, OpenError> {
    let shards = part::map_all(path)?;
    let parts: Vec<Part<'_>> = shards.iter().map(Part::read).collect::<Result<_, _>>()?;
    let metadata = &parts[0].metadata;
    let architecture = Architecture::of(metadata)?;
    let facts = TensorFacts::of(parts.iter().flat_map(|part| &part.header.tensors));
    let config_json = config::config(metadata, architecture, &facts)?;
    let files = files(metadata, path, &config_json)?;
    let described = |source: ConfigError| GgufError::Config {
        file: metadata.file().to_owned(),
        source,
    };
    let generation_config = files.generation_config.as_deref();
    let mut config = ModelConfig::parse(&files.config, generation_config).map_err(described)?;
    let tensors = tensors(&parts, architecture, config.head_dim)?;
    if architecture.has_whole_norm_weights() {
        config.norms.weight_offset = 0.0;
    }
    let divisors = |name: &str| {
        let tensor = tensors.get(name);
        let bytes = |tensor: &Tensor| -> &[u8] { &shards[tensor.shard].bytes };
        let divisors = tensor.map(|tensor| rope_divisors((name, tensor), bytes));
        let divisors = divisors.transpose();
        divisors.map_err(|reason| parts[0].damaged(reason))
    };
    if let Some(divisors) = divisors(Names::ROPE_DIVISORS)? {
        let scaling = RopeScaling::Divisors(divisors);
        config = config.with_rope_scaling(scaling).map_err(described)?;
    }
    let [short, long] = Names::LONG_ROPE_DIVISORS;
    if let (Some(short_factor), Some(long_factor)) = (divisors(short)?, divisors(long)?) {
        let scaling = family::long_rope(metadata, architecture, short_factor, long_factor)?;
        config = config.with_rope_scaling(scaling).map_err(described)?;
    }
    let unread = metadata.unread(&format!("{}.", architecture.name()));
    drop(parts);
    let checkpoint = Checkpoint::new(shards, tensors);
    let model = Model::with_config(name, files, config, checkpoint)?;
    Ok(model.with_unread_metadata(unread))
}

/// All tensors by the names of `transformers`.
fn tensors(
    parts: &[Part<'_>],
    architecture: Architecture,
    head_dim: usize,
) -> Result<BTreeMap<String, Tensor>, GgufError> {
    let mut tensors = BTreeMap::new();
    for (shard, part) in parts.iter().enumerate() {
        for info in &part.header.tensors {
            let tensor = part.tensor(info, shard, architecture, head_dim)?;
            let known = match names::of_experts(info.name) {
                Some(of) if tensor.shape.len() == 3 => of_each_expert(&tensor, of),
                _ => vec![(names::transformers_name(info.name, architecture), tensor)],
            };
            for (name, tensor) in known {
                if tensors.insert(name, tensor).is_some() {
                    return Err(part.damaged(format!("tensor {} is there twice", info.name)));
                }
            }
        }
    }
    Ok(tensors)
}

/// The matrices of each expert of a tensor `[num_experts, rows, cols]`.
fn of_each_expert(tensor: &Tensor, (layer, projection): (usize, &str)) -> Vec<(String, Tensor)> {
    let num_experts = tensor.shape[0];
    let bytes = tensor.range.len() / num_experts.max(1);
    let of_expert = |expert: usize| {
        let start = tensor.range.start + expert * bytes;
        let name = format!("{}.weight", Names::expert(expert, projection));
        let matrix = Tensor {
            shard: tensor.shard,
            element: tensor.element.clone(),
            shape: tensor.shape[1..].to_vec(),
            range: start..start + bytes,
            row_order: tensor.row_order,
            scales: None,
        };
        (Names::layer(layer, &name), matrix)
    };
    (0..num_experts).map(of_expert).collect()
}

/// The elements of divisors of rotary frequencies.
fn rope_divisors<'a>(
    (name, tensor): (&str, &Tensor),
    bytes: impl Fn(&Tensor) -> &'a [u8],
) -> Result<Vec<f32>, String> {
    if tensor.element != Ok(WeightDtype::F32) || tensor.shape.len() != 1 {
        return Err(format!(
            "tensor {name} must be a vector of F32, but is {:?} of shape {:?}",
            tensor.element, tensor.shape
        ));
    }
    let elements = bytes(tensor)[tensor.range.clone()].chunks_exact(4);
    Ok(elements
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect())
}

/// The files of the model: those beside the weights, or else the metadata's.
fn files(
    metadata: &Metadata<'_>,
    path: &Path,
    config: &Map<String, Value>,
) -> Result<ModelFiles, OpenError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let owned = |json: &Map<String, Value>| {
        let bytes = serde_json::to_vec(json).expect("an object of JSON is written");
        Cow::Owned(bytes)
    };
    let generation_config = match optional_file(folder, "generation_config.json")? {
        Some(bytes) => bytes,
        None => owned(&config::generation_config(metadata)?),
    };
    let mut files = ModelFiles {
        config: owned(config),
        generation_config: Some(generation_config),
        tokenizer: optional_file(folder, "tokenizer.json")?,
        tokenizer_config: None,
        special_tokens_map: None,
        chat_template: optional_file(folder, "chat_template.jinja")?,
    };
    if files.tokenizer.is_some() {
        files.tokenizer_config = optional_file(folder, "tokenizer_config.json")?;
        files.special_tokens_map = optional_file(folder, "special_tokens_map.json")?;
        if files.tokenizer_config.is_none() && files.chat_template.is_none() {
            let template = tokenizer::chat_template(metadata)?;
            files.chat_template = template.map(|text| Cow::Owned(text.as_bytes().to_vec()));
        }
    } else if let Some(text) = tokenizer::text_files(metadata)? {
        files.tokenizer = Some(Cow::Owned(text.tokenizer));
        files.tokenizer_config = Some(Cow::Owned(text.tokenizer_config));
    }
    Ok(files)
}
