//! A checkpoint: one safetensors file, or several with an index.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

use kernels::{WeightDtype, WeightView};
use safetensors::tensor::Dtype;
use serde::Deserialize;

use super::{Bytes, Names, WeightsError, expected, header};
use crate::config::ModelConfig;

const SINGLE_FILE: &str = "model.safetensors";
const INDEX_FILE: &str = "model.safetensors.index.json";

/// Bytes of each tensor that enter the fingerprint.
const FINGERPRINT_SAMPLE: usize = 4096;

/// The tensors of all shards.
pub(crate) struct Checkpoint {
    shards: Vec<Shard>,
    tensors: BTreeMap<String, Tensor>,
}

/// A file.
struct Shard {
    name: String,
    bytes: Bytes,
}

/// Where a tensor lies.
struct Tensor {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    range: Range<usize>,
}

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Maps the checkpoint in `folder` and reads its headers.
    ///
    /// # Errors
    /// No weights, a missing shard, a malformed index or header, a file of the wrong length.
    pub(crate) fn open(folder: &Path) -> Result<Self, WeightsError> {
        let index_path = folder.join(INDEX_FILE);
        if !index_path.is_file() {
            let path = folder.join(SINGLE_FILE);
            return match Bytes::map(&path) {
                Ok(bytes) => Self::from_shards(vec![(SINGLE_FILE.to_owned(), bytes)]),
                Err(source) if source.kind() == io::ErrorKind::NotFound => {
                    Err(WeightsError::NoWeights {
                        folder: folder.to_owned(),
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
        let checkpoint = Self::from_shards(shards)?;
        for (tensor, shard) in &index.weight_map {
            let found = checkpoint
                .tensors
                .get(tensor)
                .map(|t| &checkpoint.shards[t.shard].name);
            if found != Some(shard) {
                let (tensor, files) = (tensor.clone(), shard.clone());
                return Err(WeightsError::MissingTensor { tensor, files });
            }
        }
        Ok(checkpoint)
    }

    /// A checkpoint of one file that is part of the program.
    ///
    /// # Errors
    /// As [`Self::open`].
    #[cfg_attr(
        not(feature = "embedded-model"),
        expect(dead_code, reason = "its only user")
    )]
    pub(crate) fn embedded(bytes: &'static [u8]) -> Result<Self, WeightsError> {
        Self::from_shards(vec![(SINGLE_FILE.to_owned(), Bytes::Static(bytes))])
    }

    fn from_shards(files: Vec<(String, Bytes)>) -> Result<Self, WeightsError> {
        let mut shards = Vec::with_capacity(files.len());
        let mut tensors = BTreeMap::new();
        for (shard, (name, bytes)) in files.into_iter().enumerate() {
            let (start, metadata) = header::read(&name, &bytes)?;
            for (tensor, info) in metadata.tensors() {
                let (from, to) = info.data_offsets;
                let range = start + from..start + to;
                let shape = info.shape.clone();
                tensors.insert(
                    tensor,
                    Tensor {
                        shard,
                        dtype: info.dtype,
                        shape,
                        range,
                    },
                );
            }
            shards.push(Shard { name, bytes });
        }
        Ok(Self { shards, tensors })
    }

    /// Checks that every tensor of the model is there with the right shape and a readable type, and
    /// returns the names of those that nothing reads and that are not known to be superfluous.
    ///
    /// # Errors
    /// `MissingTensor`, `Shape`, `Dtype`: the first tensor that is wrong.
    pub(crate) fn check(&self, config: &ModelConfig) -> Result<Vec<String>, WeightsError> {
        let expected = expected(config);
        for wanted in &expected {
            let Some(tensor) = self.tensors.get(&wanted.name) else {
                let files: Vec<&str> = self.shards.iter().map(|s| s.name.as_str()).collect();
                let (tensor, files) = (wanted.name.clone(), files.join(", "));
                return Err(WeightsError::MissingTensor { tensor, files });
            };
            let file = || self.shards[tensor.shard].name.clone();
            if tensor.shape != wanted.shape {
                return Err(WeightsError::Shape {
                    tensor: wanted.name.clone(),
                    file: file(),
                    expected: wanted.shape.clone(),
                    actual: tensor.shape.clone(),
                });
            }
            if header::weight_dtype(tensor.dtype).is_none() {
                let (tensor, actual) = (wanted.name.clone(), format!("{:?}", tensor.dtype));
                return Err(WeightsError::Dtype {
                    tensor,
                    file: file(),
                    actual,
                });
            }
        }
        let mut wanted: Vec<&str> = expected.iter().map(|tensor| tensor.name.as_str()).collect();
        wanted.sort_unstable();
        let unread = self.tensors.keys().filter(|name| {
            wanted.binary_search(&name.as_str()).is_err() && !Names::is_known_surplus(name, config)
        });
        Ok(unread.cloned().collect())
    }

    /// A matrix, or a vector as one row.
    ///
    /// # Panics
    /// If [`Self::check`] has not approved of the tensor.
    pub(crate) fn view<'a>(&'a self, name: &'a str) -> WeightView<'a> {
        let tensor = self.tensors.get(name).expect("the checkpoint was checked");
        let (rows, cols) = match tensor.shape[..] {
            [cols] => (1, cols),
            [rows, cols] => (rows, cols),
            _ => unreachable!("expected shapes have one or two dimensions"),
        };
        WeightView {
            name,
            data: &self.shards[tensor.shard].bytes[tensor.range.clone()],
            dtype: header::weight_dtype(tensor.dtype).expect("the checkpoint was checked"),
            rows,
            cols,
        }
    }

    /// A vector as f32.
    ///
    /// # Panics
    /// As [`Self::view`].
    pub(crate) fn vector(&self, name: &str) -> Vec<f32> {
        let view = self.view(name);
        let mut values = vec![0.0; view.cols];
        view.read(0, 0, &mut values);
        values
    }

    /// Element type of the tensor.
    pub(crate) fn dtype(&self, name: &str) -> WeightDtype {
        self.view(name).dtype
    }

    /// Adds every tensor's name, type, shape and first bytes to `hasher`.
    pub(crate) fn fingerprint(&self, hasher: &mut blake3::Hasher) {
        for (name, tensor) in &self.tensors {
            let described = format!("{name}\0{:?}\0{:?}\0", tensor.dtype, tensor.shape);
            hasher.update(described.as_bytes());
            let data = &self.shards[tensor.shard].bytes[tensor.range.clone()];
            hasher.update(&data[..data.len().min(FINGERPRINT_SAMPLE)]);
        }
    }
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
