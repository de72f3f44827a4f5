//! Which files of a repository a model needs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::gguf_choice::choose;

/// The configuration, which every model has.
pub(super) const CONFIG: &str = "config.json";
/// The list of shards, of a model with several files of weights.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// The weights of a model that has one file of them.
pub(super) const SINGLE_FILE: &str = "model.safetensors";

/// What a model may have beside its configuration and weights.
const OPTIONAL: [&str; 10] = [
    // How an embedding model's states become a vector, and which texts it takes.
    "1_Pooling/config.json",
    "modules.json",
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_xlm-roberta_config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];
/// Where `save_pretrained` puts the chat templates beyond the default one.
const MORE_TEMPLATES: &str = "additional_chat_templates/";

/// The files of a model, without the shards that the index will name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// In alphabetical order. [`INDEX`] among them means that there are shards.
    pub(super) small: Vec<String>,
    /// The weights.
    pub(super) weights: Weights,
}

/// Files of weights.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Weights {
    /// One file.
    Safetensors(String),
    /// Those that the index names.
    Shards,
    /// A GGUF file, or the parts of one in their order.
    Gguf(Vec<String>),
}

/// Why a repository has no model that can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Neither safetensors nor GGUF, but these formats.
    NoWeights(Vec<&'static str>),
    /// Not the GGUF file that was asked for, but these.
    NoSuchGguf(Vec<String>),
    /// No such file.
    Missing(&'static str),
}

/// `model.safetensors.index.json`
#[derive(Deserialize)]
struct Index {
    /// Tensor to file.
    weight_map: BTreeMap<String, String>,
}

/// The files that a model needs among all `names` of a repository: the index and its shards, or
/// `model.safetensors`, as the loader reads them; never a second copy of the weights in another
/// format, nor one in a folder of its own. GGUF files are taken where they are asked for, or where
/// there are no safetensors; `gguf` is that of [`crate::HubRequest`].
///
/// # Errors
/// No weights that can be read, or no configuration.
pub(super) fn select(names: &[String], gguf: Option<&str>) -> Result<Selection, Unreadable> {
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let sharded = has(INDEX);
    let weights = match gguf {
        None if sharded => Weights::Shards,
        None if has(SINGLE_FILE) => Weights::Safetensors(SINGLE_FILE.to_owned()),
        asked => match choose(names, asked) {
            Ok(files) => Weights::Gguf(files),
            Err(files) if files.is_empty() => {
                return Err(Unreadable::NoWeights(other_formats(names)));
            }
            Err(files) => return Err(Unreadable::NoSuchGguf(files)),
        },
    };
    let is_gguf = matches!(weights, Weights::Gguf(_));
    if !is_gguf && !has(CONFIG) {
        return Err(Unreadable::Missing(CONFIG));
    }
    let is_needed = |name: &&String| match is_gguf {
        // Configuration, and often all the rest, is in the file.
        true => name.as_str() != CONFIG && name.as_str() != INDEX && is_small(name),
        false => is_small(name),
    };
    let small: BTreeSet<&String> = names.iter().filter(is_needed).collect();
    Ok(Selection {
        small: small.into_iter().cloned().collect(),
        weights,
    })
}

/// The files that an index names, in alphabetical order.
///
/// # Errors
/// What is wrong with the index; a shard outside the model's own folder is.
pub(super) fn shards(index: &[u8]) -> Result<Vec<String>, String> {
    let index: Index = serde_json::from_slice(index).map_err(|error| error.to_string())?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    match names.iter().find(|name| !is_plain(name)) {
        Some(name) => Err(format!("{name:?} is not the name of a file beside it")),
        None if names.is_empty() => Err("it names no file".to_owned()),
        None => Ok(names.into_iter().collect()),
    }
}

/// Whether `name` is a file's name without any folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

/// Whether a file is one that is fetched before the weights.
fn is_small(name: &str) -> bool {
    let is_template = name
        .strip_prefix(MORE_TEMPLATES)
        .is_some_and(|rest| rest.ends_with(".jinja") && !rest.contains('/'));
    name == CONFIG || name == INDEX || OPTIONAL.contains(&name) || is_template
}

/// Formats of weights that are there and that are not read.
fn other_formats(names: &[String]) -> Vec<&'static str> {
    let formats = [
        ("PyTorch .bin", &[".bin", ".pt", ".pth", ".ckpt"] as &[&str]),
        ("ONNX", &[".onnx"]),
        ("TensorFlow", &[".h5", ".msgpack"]),
        ("safetensors of another layout", &[".safetensors"]),
    ];
    let ends = |name: &String, endings: &[&str]| endings.iter().any(|end| name.ends_with(end));
    let is_there = |endings: &[&str]| names.iter().any(|name| ends(name, endings));
    let there = formats.iter().filter(|(_, endings)| is_there(endings));
    there.map(|&(format, _)| format).collect()
}

#[cfg(test)]
mod tests;
