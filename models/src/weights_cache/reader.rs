//! Reading a file, and checking all of it that is used.

use std::fs::File;
use std::io;
use std::path::Path;

use kernels::{Backend, KernelError, StoredLinear, WeightDtype};

use super::Key;
use super::index::{Index, MAGIC, TRAILER};
use crate::files::read_exact_at;

/// A file whose index is what it should be.
pub(super) struct Reader {
    file: File,
    index: Index,
}

/// Why a matrix cannot be taken from a file.
pub(super) enum ReadError {
    /// The file is not what it should be.
    Damaged(String),
    /// The matrix cannot be made.
    Kernel(KernelError),
}

impl Reader {
    /// Opens the file of `key`; `None` if there is none.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn open(path: &Path, key: Key) -> Result<Option<Self>, String> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let index = read_index(&file)?;
        if index.key != key.to_string() {
            return Err("it was written for other weights".to_owned());
        }
        Ok(Some(Self { file, index }))
    }

    /// The matrix whose first tensor is `name`.
    ///
    /// # Errors
    /// `Damaged` if it is not there, of another shape, or not what was written.
    pub(super) fn matrix<B: Backend>(
        &self,
        backend: &B,
        name: &str,
        in_features: usize,
        parts: &[(WeightDtype, usize)],
        bias: Option<&[f32]>,
    ) -> Result<B::Linear, ReadError> {
        let damaged = |what: &str| ReadError::Damaged(format!("{name} {what}"));
        let found = self.index.matrices.iter().find(|m| m.name == name);
        let found = found.ok_or_else(|| damaged("is missing"))?;
        let parts = found.parts(in_features, parts);
        let parts = parts.ok_or_else(|| damaged("has another shape"))?;
        let read = |part: usize, offset: usize, out: &mut [u8]| {
            let part = &found.parts[part];
            let Some(digest) = part.digest(offset, out.len()) else {
                return false;
            };
            let position = part.offset.checked_add(offset as u64);
            let filled = position.map(|position| read_exact_at(&self.file, position, out));
            matches!(filled, Some(Ok(()))) && blake3::hash(out).to_hex().as_str() == digest
        };
        let stored = StoredLinear {
            in_features,
            parts: &parts,
            bias,
            read: &read,
        };
        let linear = backend.restore_linear(&stored).map_err(ReadError::Kernel)?;
        linear.ok_or_else(|| damaged("is not what was written"))
    }
}

/// Whether there is no such file; a folder that cannot be one is heard of when it is written to.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn read_index(file: &File) -> Result<Index, String> {
    let len = file.metadata().map_err(|error| error.to_string())?.len();
    let read = |offset: u64, out: &mut [u8]| {
        read_exact_at(file, offset, out).map_err(|error| error.to_string())
    };
    let whole = (MAGIC.len() + TRAILER) as u64;
    let truncated = || format!("truncated: {len} bytes");
    let trailer_at = len.checked_sub(TRAILER as u64).ok_or_else(truncated)?;
    let mut trailer = [0; TRAILER];
    read(trailer_at, &mut trailer)?;
    let mut first = [0; MAGIC.len()];
    read(0, &mut first)?;
    let (digest, rest) = trailer.split_at(32);
    let (index_len, last) = rest.split_at(8);
    if first != MAGIC || last != MAGIC {
        return Err("truncated, or no file of quantised weights of this version".to_owned());
    }
    let index_len = u64::from_le_bytes(index_len.try_into().expect("eight bytes"));
    let fits = whole
        .checked_add(index_len)
        .is_some_and(|least| least <= len);
    let size = usize::try_from(index_len).ok().filter(|_| fits);
    let mut index = vec![0; size.ok_or_else(truncated)?];
    read(trailer_at - index_len, &mut index)?;
    if blake3::hash(&index).as_bytes() != digest {
        return Err("its index is not what was written".to_owned());
    }
    serde_json::from_slice(&index).map_err(|error| format!("its index: {error}"))
}
