//! A checkpoint in safetensors: one file, or several with an index.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::checkpoint::Shard;
use super::tensor::{RowOrder, Tensor};
use super::{Bytes, Checkpoint, WeightsError, header};

const SINGLE_FILE: &str = "model.safetensors";
const INDEX_FILE: &str = "model.safetensors.index.json";
/// Where `transformers` put weights before there were safetensors.
const PICKLED: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Maps the checkpoint in `folder` and reads its headers.
///
/// # Errors
/// No weights, a missing shard, a malformed index or header, a file of the wrong length.
pub(crate) fn open(folder: &Path) -> Result<Checkpoint, WeightsError> {
    let index_path = folder.join(INDEX_FILE);
    if !index_path.is_file() {
        let path = folder.join(SINGLE_FILE);
        return match Bytes::map(&path) {
            Ok(bytes) => from_shards(vec![(SINGLE_FILE.to_owned(), bytes)]),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                let is_pickled = PICKLED.iter().any(|name| folder.join(name).is_file());
                let folder = folder.to_owned();
                Err(match is_pickled {
                    true => WeightsError::Pickled { folder },
                    false => WeightsError::NoWeights { folder },
                })
            }
            Err(source) => Err(WeightsError::Io {
                file: path.display().to_string(),
                source,
            }),
        };
    }
    let index = read_index(&index_path)?;
    let mut names: Vec<&String> = index.weight_map.values().collect();
    names.sort_unstable();
    names.dedup();
    let mut shards = Vec::with_capacity(names.len());
    for name in names {
        shards.push((name.clone(), map_shard(folder, name)?));
    }
    let checkpoint = from_shards(shards)?;
    for (tensor, shard) in &index.weight_map {
        if checkpoint.file_of(tensor) != Some(shard) {
            let (tensor, files) = (tensor.clone(), shard.clone());
            return Err(WeightsError::MissingTensor { tensor, files });
        }
    }
    Ok(checkpoint)
}

/// Whether `folder` has weights of this format.
pub(crate) fn is_in(folder: &Path) -> bool {
    [SINGLE_FILE, INDEX_FILE]
        .iter()
        .any(|name| folder.join(name).is_file())
}

/// A checkpoint of one file that is part of the program.
///
/// # Errors
/// As [`open`].
#[cfg_attr(
    not(feature = "embedded-model"),
    expect(dead_code, reason = "its only user")
)]
pub(crate) fn embedded(bytes: &'static [u8]) -> Result<Checkpoint, WeightsError> {
    from_shards(vec![(SINGLE_FILE.to_owned(), Bytes::Static(bytes))])
}

fn from_shards(files: Vec<(String, Bytes)>) -> Result<Checkpoint, WeightsError> {
    let mut shards = Vec::with_capacity(files.len());
    let mut tensors = BTreeMap::new();
    for (shard, (name, bytes)) in files.into_iter().enumerate() {
        let (start, metadata) = header::read(&name, &bytes)?;
        for (tensor, info) in metadata.tensors() {
            let (from, to) = info.data_offsets;
            let element = header::weight_dtype(info.dtype).ok_or(format!("{:?}", info.dtype));
            tensors.insert(
                tensor,
                Tensor {
                    shard,
                    element,
                    shape: info.shape.clone(),
                    range: start + from..start + to,
                    row_order: RowOrder::Natural,
                    scales: None,
                },
            );
        }
        shards.push(Shard { name, bytes });
    }
    Ok(Checkpoint::new(shards, tensors))
}

fn read_index(path: &Path) -> Result<Index, WeightsError> {
    let file = path.display().to_string();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(WeightsError::Io { file, source }),
    };
    let index: Index = match serde_json::from_slice(&bytes) {
        Ok(index) => index,
        Err(error) => {
            return Err(WeightsError::Index {
                file,
                reason: error.to_string(),
            });
        }
    };
    // A shard lies beside its index; a path would read files from elsewhere.
    let is_path = |name: &&String| Path::new(name).file_name() != Some(name.as_ref());
    if let Some(name) = index.weight_map.values().find(is_path) {
        let reason = format!("shard {name:?} is not a file name");
        return Err(WeightsError::Index { file, reason });
    }
    Ok(index)
}

fn map_shard(folder: &Path, name: &str) -> Result<Bytes, WeightsError> {
    Bytes::map(&folder.join(name)).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => WeightsError::MissingShard {
            shard: name.to_owned(),
            index: INDEX_FILE.to_owned(),
        },
        _ => WeightsError::Io {
            file: name.to_owned(),
            source,
        },
    })
}
