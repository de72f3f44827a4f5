//! The folder of downloads that all tools of the hub share.
//!
//! ```text
//! models--ORG--NAME/refs/REVISION             the commit that a branch or tag was at last time
//! models--ORG--NAME/blobs/ETAG                a file's bytes, named by their digest
//! models--ORG--NAME/snapshots/COMMIT/FILE  -> ../../blobs/ETAG
//! .locks/models--ORG--NAME/ETAG.lock          held by the process that downloads it
//! ```
//!
//! Source: <https://huggingface.co/docs/huggingface_hub/guides/manage-cache>.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::HubError;

/// One repository's part of the cache.
#[derive(Clone)]
pub(super) struct Cache {
    root: PathBuf,
    folder: String,
}

impl Cache {
    /// The part of `repo`, which is a valid id, in the cache at `root`. Nothing is created yet.
    pub(super) fn new(root: &Path, repo: &str) -> Self {
        Self {
            root: root.to_owned(),
            folder: format!("models--{}", repo.replace('/', "--")),
        }
    }

    /// The cache of all repositories.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join(&self.folder).join("snapshots").join(commit)
    }

    /// The bytes of a file.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join(&self.folder).join("blobs").join(etag)
    }

    /// The part of a file that has arrived.
    pub(super) fn partial(&self, etag: &str) -> PathBuf {
        self.blob(&format!("{etag}.incomplete"))
    }

    /// The commit that `revision` was at when it was last fetched as a whole.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.reference(revision)).ok()?;
        let commit = commit.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    /// Remembers which commit `revision` is at.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if is_commit(revision) || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.reference(revision);
        create_parent(&path)?;
        fs::write(&path, commit).map_err(HubError::disk(path))
    }

    /// Whether a commit's file is there as a whole.
    pub(super) fn has(&self, commit: &str, name: &str) -> bool {
        self.snapshot(commit).join(name).is_file()
    }

    /// Names of a commit's files that are there, in its folder and one below.
    pub(super) fn names(&self, commit: &str) -> Vec<String> {
        let folder = self.snapshot(commit);
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if path.is_dir() {
                let below = fs::read_dir(&path).into_iter().flatten().flatten();
                let below = below.filter(|entry| entry.path().is_file());
                names.extend(
                    below.map(|entry| format!("{name}/{}", entry.file_name().to_string_lossy())),
                );
            } else if path.is_file() {
                names.push(name);
            }
        }
        names
    }

    /// Makes the bytes that are in the blob `etag` a commit's file.
    pub(super) fn link(&self, commit: &str, name: &str, etag: &str) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(name);
        create_parent(&path)?;
        let up = "../".repeat(2 + name.matches('/').count());
        let target = format!("{up}blobs/{etag}");
        // A link that leads nowhere is left over from a blob that somebody deleted.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(HubError::disk(path)(error));
            }
            _ => {}
        }
        match symlink(target, &path) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result.map_err(HubError::disk(path)),
        }
    }

    /// The right to write the blob `etag`, until the file is closed; `None` if another process has
    /// it. Other tools take the same lock.
    pub(super) fn try_lock(&self, etag: &str) -> Result<Option<File>, HubError> {
        let locks = self.root.join(".locks").join(&self.folder);
        let path = locks.join(format!("{etag}.lock"));
        create_parent(&path)?;
        let file = File::create(&path).map_err(HubError::disk(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(HubError::disk(path)(error)),
        }
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.root.join(&self.folder).join("refs").join(revision)
    }
}

/// Whether `text` is a whole SHA-1, as opposed to a branch or tag.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Creates the folder that `path` lies in.
pub(super) fn create_parent(path: &Path) -> Result<(), HubError> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(HubError::disk(parent)),
        None => Ok(()),
    }
}
