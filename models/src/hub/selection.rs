//! Which files of a repository a model needs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// The configuration, which every model has.
pub(super) const CONFIG: &str = "config.json";
/// The list of shards, of a model with several files of weights.
pub(super) const INDEX: &str = "model.safetensors.index.json";
const SINGLE_FILE: &str = "model.safetensors";

/// What a model may have beside its configuration and weights.
const OPTIONAL: [&str; 5] = [
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
    /// The weights, if they are one file.
    pub(super) weights: Option<String>,
}

/// Why a repository has no model that can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// No weights in safetensors, but in these formats.
    NoSafetensors(Vec<&'static str>),
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
/// format, nor one in a folder of its own.
///
/// # Errors
/// No weights that can be read, or no configuration.
pub(super) fn select(names: &[String]) -> Result<Selection, Unreadable> {
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let sharded = has(INDEX);
    if !sharded && !has(SINGLE_FILE) {
        return Err(Unreadable::NoSafetensors(other_formats(names)));
    }
    if !has(CONFIG) {
        return Err(Unreadable::Missing(CONFIG));
    }
    let small: BTreeSet<&String> = names.iter().filter(|name| is_small(name)).collect();
    Ok(Selection {
        small: small.into_iter().cloned().collect(),
        weights: (!sharded).then(|| SINGLE_FILE.to_owned()),
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
        ("GGUF", &[".gguf"] as &[&str]),
        ("PyTorch .bin", &[".bin", ".pt", ".pth", ".ckpt"]),
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
