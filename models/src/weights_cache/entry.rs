//! The file of the weights that are being loaded.

use std::fs;
use std::path::PathBuf;

use kernels::{Backend, KernelError, WeightDtype};

use super::folder::{WHOLE, make_room};
use super::index::{Index, TRAILER};
use super::reader::{ReadError, Reader};
use super::writer::{Packed, write};
use super::{CacheNotice, Key, WeightsCache};

/// The file of one key: read where it is what it should be, written otherwise.
pub(crate) struct Entry {
    cache: WeightsCache,
    key: Key,
    path: PathBuf,
    /// Whose weights, for the index.
    model: String,
    /// How they are quantised, for the index.
    quantization: &'static str,
    /// `None` if there is nothing to read.
    reader: Option<Reader>,
    notices: Vec<CacheNotice>,
}

/// How a matrix is kept that a file may have.
#[derive(Clone, Copy)]
pub(crate) struct Kept<'a> {
    /// Of its first tensor.
    pub(crate) name: &'a str,
    pub(crate) in_features: usize,
    /// Format and output features of each part.
    pub(crate) parts: &'a [(WeightDtype, usize)],
    /// Of all output features.
    pub(crate) bias: Option<&'a [f32]>,
}

impl Entry {
    /// The file of `key` in `cache`, opened if it is there.
    pub(crate) fn open(
        cache: WeightsCache,
        key: Key,
        model: &str,
        quantization: &'static str,
    ) -> Self {
        let path = cache.folder.join(format!("{key}.{WHOLE}"));
        let mut entry = Self {
            cache,
            key,
            path,
            model: model.to_owned(),
            quantization,
            reader: None,
            notices: Vec::new(),
        };
        match Reader::open(&entry.path, key) {
            Ok(reader) => entry.reader = reader,
            Err(reason) => entry.refuse(reason),
        }
        entry
    }

    /// Whether weights come from the file, as far as is known.
    pub(crate) fn is_read(&self) -> bool {
        self.reader.is_some()
    }

    /// A matrix of the file; `None` if it must be packed.
    ///
    /// # Errors
    /// `OutOfMemory`
    pub(crate) fn matrix<B: Backend>(
        &mut self,
        backend: &B,
        kept: Kept<'_>,
    ) -> Result<Option<B::Linear>, KernelError> {
        let Some(reader) = &self.reader else {
            return Ok(None);
        };
        // Floats are not in the file.
        if kept.parts.iter().any(|(dtype, _)| dtype.block_len() == 1) {
            return Ok(None);
        }
        let Kept {
            name,
            in_features,
            parts,
            bias,
        } = kept;
        match reader.matrix(backend, name, in_features, parts, bias) {
            Ok(linear) => Ok(Some(linear)),
            Err(ReadError::Kernel(error)) => Err(error),
            Err(ReadError::Damaged(reason)) => {
                self.refuse(reason);
                Ok(None)
            }
        }
    }

    /// Ends loading: writes `matrices` (name of the first tensor, columns, packed) if they did not all
    /// come from the file, and says what happened.
    pub(crate) fn finish<'a, B: Backend>(
        mut self,
        backend: &B,
        matrices: impl Iterator<Item = (String, usize, &'a B::Linear)>,
    ) -> Vec<CacheNotice> {
        if self.reader.is_some() {
            self.notices.push(CacheNotice::Read { path: self.path });
            return self.notices;
        }
        let packed = matrices.filter_map(|(name, in_features, linear)| {
            let parts = backend.packed_blocks(linear)?;
            Some(Packed {
                name,
                in_features,
                parts,
            })
        });
        let packed: Vec<Packed<'_>> = packed.collect();
        if let Err((path, reason)) = self.write(&packed) {
            self.notices.push(CacheNotice::NotWritten { path, reason });
        }
        self.notices
    }

    fn write(&mut self, matrices: &[Packed<'_>]) -> Result<(), (PathBuf, String)> {
        let parts = matrices.iter().flat_map(|matrix| &matrix.parts);
        let bytes: u64 = parts.map(|part| part.bytes.len() as u64).sum();
        let (folder, path) = (self.cache.folder.clone(), self.path.clone());
        let in_folder = |error: std::io::Error| (folder.clone(), error.to_string());
        let max_bytes = self.cache.max_bytes;
        // A digest per MiB, and the other lines of the index.
        let index = bytes / 8192 + 1024 * matrices.len() as u64;
        let wanted = bytes.saturating_add(index + TRAILER as u64);
        if wanted > max_bytes {
            let reason = format!("it would have {wanted} bytes, of {max_bytes} for all");
            return Err((path, reason));
        }
        fs::create_dir_all(&folder).map_err(in_folder)?;
        let removed = make_room(&folder, &path, wanted, max_bytes).map_err(in_folder)?;
        let removed = removed.into_iter();
        self.notices
            .extend(removed.map(|path| CacheNotice::Removed { path }));
        let index = Index {
            key: self.key.to_string(),
            model: self.model.clone(),
            quantization: self.quantization.to_owned(),
            matrices: Vec::new(),
        };
        match write(&path, index, matrices) {
            Ok(bytes) => self.notices.push(CacheNotice::Written { path, bytes }),
            Err(error) => return Err((path, error.to_string())),
        }
        Ok(())
    }

    fn refuse(&mut self, reason: String) {
        self.reader = None;
        self.notices.push(CacheNotice::Refused {
            path: self.path.clone(),
            reason,
        });
    }
}
