//! The files of a model: one, or the parts of a split one.
//!
//! llama.cpp's `gguf-split` names them `NAME-00001-of-00003.gguf`. The first part has the metadata,
//! and each has the whereabouts of its own tensors.

use std::path::{Path, PathBuf};

use crate::weights::{Bytes, RowOrder, Shard, Tensor};

use super::architecture::Architecture;
use super::header::{Header, TensorInfo};
use super::metadata::Metadata;
use super::{GgufError, element_type, names};

/// Digits of a part's number in its name.
const DIGITS: usize = 5;
/// Parts beyond which a count is taken for damage.
const MAX_PARTS: usize = 4096;

/// A file whose header has been read.
pub(super) struct Part<'a> {
    pub(super) header: Header<'a>,
    pub(super) metadata: Metadata<'a>,
    len: usize,
}

/// The name of a part, taken apart.
struct PartName<'a> {
    stem: &'a str,
    number: usize,
    count: usize,
}

impl<'a> PartName<'a> {
    fn of(path: &'a Path) -> Option<Self> {
        let (rest, count) = path.file_stem()?.to_str()?.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let number_of = |digits: &str| {
            let plain = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        Some(Self {
            stem,
            number: number_of(number)?,
            count: number_of(count)?,
        })
    }
}

/// Whether the name is that of a part that is not the first.
pub(super) fn is_later(path: &Path) -> bool {
    PartName::of(path).is_some_and(|name| name.number != 1)
}

/// Maps a file.
///
/// # Errors
/// `Io`
pub(super) fn map(path: &Path) -> Result<Shard, GgufError> {
    let name = path.display().to_string();
    match Bytes::map(path) {
        Ok(bytes) => Ok(Shard { name, bytes }),
        Err(source) => Err(GgufError::Io { file: name, source }),
    }
}

/// Maps the file `path`, and the others if it is a part.
///
/// # Errors
/// `Io`, `Header`; `Contradiction` where a part's name does not say what its metadata do.
pub(super) fn map_all(path: &Path) -> Result<Vec<Shard>, GgufError> {
    const COUNT: &str = "split.count";
    let asked = map(path)?;
    let count = {
        let part = Part::read(&asked)?;
        let count = part.metadata.count(COUNT)?.unwrap_or(1);
        let named = PartName::of(path).map(|name| name.count);
        if count > MAX_PARTS || (count > 1 && named != Some(count)) {
            let reason = format!("{count} parts, but the file's name is not that of one of them");
            return Err(part.metadata.contradiction(COUNT, reason));
        }
        count
    };
    let name = match PartName::of(path) {
        Some(name) if count > 1 => name,
        _ => return Ok(vec![asked]),
    };
    let sibling = |number: usize| -> PathBuf {
        let file = format!("{}-{number:05}-of-{count:05}.gguf", name.stem);
        path.with_file_name(file)
    };
    (1..=count).map(|number| map(&sibling(number))).collect()
}

impl<'a> Part<'a> {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// `Header`
    pub(super) fn read(shard: &'a Shard) -> Result<Self, GgufError> {
        let mut header = Header::read(&shard.bytes).map_err(|reason| GgufError::Header {
            file: shard.name.clone(),
            reason,
        })?;
        let values = std::mem::take(&mut header.metadata);
        Ok(Self {
            header,
            metadata: Metadata::new(shard.name.clone(), values),
            len: shard.bytes.len(),
        })
    }

    /// Where a tensor of this part, which is file number `shard`, lies.
    ///
    /// # Errors
    /// `Header`: its data leaves the file, or its rows are no whole blocks.
    pub(super) fn tensor(
        &self,
        info: &TensorInfo<'_>,
        shard: usize,
        architecture: Architecture,
        head_dim: usize,
    ) -> Result<Tensor, GgufError> {
        let element = element_type::element_type(info.type_id);
        let range = match &element {
            // Of what is not read, nobody asks how long it is.
            Err(_) => 0..0,
            Ok(dtype) => {
                let row = info.shape.last().copied().unwrap_or(1);
                if !row.is_multiple_of(dtype.block_len()) {
                    let reason = format!(
                        "tensor {} has rows of {row} elements, which are no blocks of {}",
                        info.name,
                        dtype.block_len()
                    );
                    return Err(self.damaged(reason));
                }
                let outer = info.shape[..info.shape.len().saturating_sub(1)].iter();
                let blocks = outer
                    .copied()
                    .try_fold(row / dtype.block_len(), usize::checked_mul);
                let len = blocks.and_then(|blocks| blocks.checked_mul(dtype.block_bytes()));
                let start = usize::try_from(info.offset)
                    .ok()
                    .and_then(|offset| self.header.data_start.checked_add(offset));
                let end = start
                    .zip(len)
                    .and_then(|(start, len)| start.checked_add(len));
                match (start, end) {
                    (Some(start), Some(end)) if end <= self.len => start..end,
                    _ => {
                        let reason = format!(
                            "tensor {} ends behind the {} bytes of the file: truncated or damaged",
                            info.name, self.len
                        );
                        return Err(self.damaged(reason));
                    }
                }
            }
        };
        let interleaved = architecture.has_interleaved_rows() && names::has_head_rows(info.name);
        Ok(Tensor {
            shard,
            element,
            shape: info.shape.clone(),
            range,
            row_order: match interleaved {
                true => RowOrder::InterleavedHalves { head_dim },
                false => RowOrder::Natural,
            },
            scales: None,
        })
    }

    /// The error for a header that says something impossible.
    pub(super) fn damaged(&self, reason: String) -> GgufError {
        GgufError::Header {
            file: self.metadata.file().to_owned(),
            reason,
        }
    }
}
