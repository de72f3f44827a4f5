//! The tensors of a checkpoint, whatever the format of its files.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kernels::WeightDtype;

use super::tensor::{Matrix, RowSize, Scales, Tensor};
use super::{Bytes, Expected, Names, WeightsError, expected, expert_stacks, mxfp4};
use crate::config::ModelConfig;

/// Bytes of each tensor that enter the fingerprint.
const FINGERPRINT_SAMPLE: usize = 4096;

/// The tensors of all files, by the names of `transformers`.
pub(crate) struct Checkpoint {
    shards: Vec<Shard>,
    tensors: BTreeMap<String, Tensor>,
}

/// A file.
pub(crate) struct Shard {
    /// For errors.
    pub(crate) name: String,
    /// All of it.
    pub(crate) bytes: Bytes,
}

impl Checkpoint {
    /// The tensors of `shards`.
    ///
    /// # Panics
    /// If a tensor's range leaves its file.
    pub(crate) fn new(shards: Vec<Shard>, tensors: BTreeMap<String, Tensor>) -> Self {
        for tensor in tensors.values() {
            let file = shards[tensor.shard].bytes.len();
            assert!(tensor.range.end <= file, "the reader checked the range");
        }
        Self { shards, tensors }
    }

    /// The same by the names of all families, with every projection by itself.
    ///
    /// # Errors
    /// `Shape` of a tensor that several projections lie in.
    pub(crate) fn in_plain_naming(self, config: &ModelConfig) -> Result<Self, WeightsError> {
        let is_bare = self.tensors.contains_key(Names::BARE_EMBEDDING);
        let checkpoint = self.renamed(|name| match is_bare && name != Names::LM_HEAD {
            true => config.naming.name_here(&format!("{}{name}", Names::BODY)),
            false => config.naming.name_here(name),
        });
        let Self {
            shards,
            mut tensors,
        } = checkpoint;
        let file_of = |tensor: &Tensor| shards[tensor.shard].name.clone();
        config
            .naming
            .split(&mut tensors, &expected(config), file_of)?;
        if config.naming.expert_stacks {
            expert_stacks::split(&mut tensors, config, file_of)?;
        }
        Ok(Self { shards, tensors })
    }

    /// The same by other names.
    pub(crate) fn renamed(self, name_here: impl Fn(&str) -> String) -> Self {
        let renamed = self.tensors.into_iter();
        Self {
            tensors: renamed
                .map(|(name, tensor)| (name_here(&name), tensor))
                .collect(),
            shards: self.shards,
        }
    }

    /// The name of the file that has the tensor.
    pub(crate) fn file_of(&self, tensor: &str) -> Option<&String> {
        let tensor = self.tensors.get(tensor)?;
        Some(&self.shards[tensor.shard].name)
    }

    /// Checks that every tensor of the model is there with the right shape and a readable type, and
    /// returns the names of those that nothing reads and that are not known to be superfluous.
    ///
    /// # Errors
    /// `MissingTensor`, `Shape`, `Dtype`: the first tensor that is wrong.
    pub(crate) fn check(&self, config: &ModelConfig) -> Result<Vec<String>, WeightsError> {
        let name_in_file = |name: &str| config.naming.name_in_file(name);
        let is_surplus = |name: &str| Names::is_known_surplus(name, config);
        self.check_tensors(&expected(config), name_in_file, is_surplus)
    }

    /// As [`Self::check`], of any tensors.
    ///
    /// # Errors
    /// As [`Self::check`]; `name_in_file` gives the names in them.
    pub(crate) fn check_tensors(
        &self,
        expected: &[Expected],
        name_in_file: impl Fn(&str) -> String,
        is_surplus: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, WeightsError> {
        for wanted in expected {
            let Some(tensor) = self.tensors.get(&wanted.name) else {
                let files: Vec<&str> = self.shards.iter().map(|s| s.name.as_str()).collect();
                let tensor = name_in_file(&wanted.name);
                let files = files.join(", ");
                return Err(WeightsError::MissingTensor { tensor, files });
            };
            let file = || self.shards[tensor.shard].name.clone();
            if tensor.shape != wanted.shape {
                return Err(WeightsError::Shape {
                    tensor: name_in_file(&wanted.name),
                    file: file(),
                    expected: wanted.shape.clone(),
                    actual: tensor.shape.clone(),
                });
            }
            let unreadable = match &tensor.element {
                Err(name) => Some(name.clone()),
                // A vector is read as a whole, and no format has vectors of blocks.
                Ok(dtype) if wanted.shape.len() == 1 && dtype.block_len() > 1 => {
                    Some(format!("{dtype:?}, for a vector"))
                }
                Ok(_) => None,
            };
            if let Some(actual) = unreadable {
                return Err(WeightsError::Dtype {
                    tensor: name_in_file(&wanted.name),
                    file: file(),
                    actual,
                });
            }
        }
        let mut wanted: Vec<&str> = expected.iter().map(|tensor| tensor.name.as_str()).collect();
        wanted.sort_unstable();
        let unread = self
            .tensors
            .keys()
            .filter(|name| wanted.binary_search(&name.as_str()).is_err() && !is_surplus(name));
        Ok(unread.cloned().collect())
    }

    /// A matrix, or a vector as one row. Its rows are copied if the file has them in another order.
    ///
    /// # Panics
    /// If [`Self::check`] has not approved of the tensor.
    pub(crate) fn matrix<'a>(&'a self, name: &'a str) -> Matrix<'a> {
        let tensor = self.tensor(name);
        let dtype = self.dtype(name);
        let (rows, cols) = match tensor.shape[..] {
            [cols] => (1, cols),
            [rows, cols] => (rows, cols),
            _ => unreachable!("expected shapes have one or two dimensions"),
        };
        let data = match &tensor.scales {
            Some(scales) => Cow::Owned(self.decoded(tensor, scales, (rows, cols))),
            // The elements of a vector are ordered like the rows of their matrix.
            None => {
                let (rows, cols) = match tensor.shape.len() {
                    1 => (cols, 1),
                    _ => (rows, cols),
                };
                let bytes = dtype.row_bytes(cols);
                let size = RowSize { rows, cols, bytes };
                tensor.row_order.restore(self.data(tensor), size)
            }
        };
        Matrix {
            name,
            data,
            dtype,
            rows,
            cols,
        }
    }

    /// A matrix in MXFP4, as bfloat16.
    fn decoded(&self, tensor: &Tensor, scales: &Scales, (rows, cols): (usize, usize)) -> Vec<u8> {
        let size = |bytes| RowSize { rows, cols, bytes };
        let blocks = mxfp4::row_bytes(cols);
        let blocks = tensor
            .row_order
            .restore(self.data(tensor), size(blocks.quants));
        let scales = &self.shards[scales.shard].bytes[scales.range.clone()];
        let scale_bytes = mxfp4::row_bytes(cols).scales;
        let scales = tensor.row_order.restore(scales, size(scale_bytes));
        mxfp4::to_bf16(&blocks, &scales)
    }

    /// Rows and columns of a matrix.
    ///
    /// # Panics
    /// As [`Self::matrix`], or if it is none.
    pub(crate) fn matrix_shape(&self, name: &str) -> [usize; 2] {
        let shape = self.tensor(name).shape.as_slice();
        shape.try_into().expect("a matrix has two dimensions")
    }

    /// What tells each file from every other one, and from itself once it is changed; `None` of one
    /// that is part of the program, or of which the system says too little.
    pub(crate) fn file_identities(&self) -> impl Iterator<Item = Option<&str>> {
        self.shards.iter().map(|shard| shard.bytes.identity())
    }

    /// A vector as f32.
    ///
    /// # Panics
    /// As [`Self::matrix`].
    pub(crate) fn vector(&self, name: &str) -> Vec<f32> {
        let vector = self.matrix(name);
        let mut values = vec![0.0; vector.cols];
        vector.view().read(0, 0, &mut values);
        values
    }

    /// Element type of the tensor.
    ///
    /// # Panics
    /// As [`Self::matrix`].
    pub(crate) fn dtype(&self, name: &str) -> WeightDtype {
        let element = &self.tensor(name).element;
        *element.as_ref().expect("the checkpoint was checked")
    }

    /// Bytes of the tensor.
    ///
    /// # Panics
    /// As [`Self::matrix`].
    pub(crate) fn num_bytes(&self, name: &str) -> usize {
        let tensor = self.tensor(name);
        let elements: usize = tensor.shape.iter().product();
        let cols = tensor.shape.last().copied().unwrap_or(1).max(1);
        match tensor.scales {
            Some(_) => {
                let row = mxfp4::row_bytes(cols);
                elements / cols * (row.quants + row.scales)
            }
            // Several tensors may lie in the same bytes, row by row.
            None => elements / cols * self.dtype(name).row_bytes(cols),
        }
    }

    /// Gives the memory of the tensor's pages back to the system; reading them again costs time.
    ///
    /// # Panics
    /// As [`Self::matrix`].
    pub(crate) fn release(&self, name: &str) {
        let tensor = self.tensor(name);
        self.shards[tensor.shard].bytes.release(&tensor.range);
    }

    fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name).expect("the checkpoint was checked")
    }

    fn data(&self, tensor: &Tensor) -> &[u8] {
        &self.shards[tensor.shard].bytes[tensor.range.clone()]
    }

    /// Adds every tensor's name, type, shape and first bytes to `hasher`.
    pub(crate) fn fingerprint(&self, hasher: &mut blake3::Hasher) {
        for (name, tensor) in &self.tensors {
            let described = format!("{name}\0{:?}\0{:?}\0", tensor.element, tensor.shape);
            hasher.update(described.as_bytes());
            let data = self.data(tensor);
            hasher.update(&data[..data.len().min(FINGERPRINT_SAMPLE)]);
        }
    }
}
