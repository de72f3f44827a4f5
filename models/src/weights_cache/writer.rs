//! Writing a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use kernels::{PackedBlocks, STORED_CHUNK};

use super::folder::PARTIAL;
use super::index::{Index, MAGIC, StoredMatrix, StoredPart, dtype_name};

/// A packed matrix to write.
pub(super) struct Packed<'a> {
    /// Of its first tensor.
    pub(super) name: String,
    pub(super) in_features: usize,
    pub(super) parts: Vec<PackedBlocks<'a>>,
}

/// A file that is not whole yet; removed unless it is renamed.
struct Partial<'a> {
    path: &'a Path,
    renamed: bool,
}

/// Writes `matrices` to `path` and returns the file's length; `index` has everything but them.
///
/// Nothing waits for the disk: what a crash leaves incomplete is found when it is read.
///
/// # Errors
/// The system's; there is no such file then, or the one that was there.
pub(super) fn write(path: &Path, mut index: Index, matrices: &[Packed<'_>]) -> io::Result<u64> {
    let partial_path = partial_path(path);
    let mut file = File::create_new(&partial_path)?;
    let mut partial = Partial {
        path: &partial_path,
        renamed: false,
    };
    file.write_all(&MAGIC)?;
    let mut offset = MAGIC.len() as u64;
    for matrix in matrices {
        let mut parts = Vec::with_capacity(matrix.parts.len());
        for part in &matrix.parts {
            let mut digests = Vec::new();
            for chunk in part.bytes.chunks(STORED_CHUNK) {
                file.write_all(chunk)?;
                digests.push(blake3::hash(chunk).to_hex().to_string());
            }
            let len = part.bytes.len() as u64;
            parts.push(StoredPart {
                dtype: dtype_name(part.dtype),
                out_features: part.out_features,
                offset,
                len,
                digests,
            });
            offset += len;
        }
        index.matrices.push(StoredMatrix {
            name: matrix.name.clone(),
            in_features: matrix.in_features,
            parts,
        });
    }
    let index = serde_json::to_vec(&index)?;
    file.write_all(&index)?;
    file.write_all(blake3::hash(&index).as_bytes())?;
    file.write_all(&(index.len() as u64).to_le_bytes())?;
    file.write_all(&MAGIC)?;
    drop(file);
    fs::rename(&partial_path, path)?;
    partial.renamed = true;
    Ok(fs::metadata(path)?.len())
}

/// A name that no other writer has.
fn partial_path(path: &Path) -> PathBuf {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    path.with_extension(format!("{process}-{number}.{PARTIAL}"))
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            // The first error is the news; a file that stays is removed by a later writer.
            let _ = fs::remove_file(self.path);
        }
    }
}
