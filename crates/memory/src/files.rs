//! Files of a namespace. Folders are where files are: they come and go with them.

use redb::{ReadableTable, Table, WriteTransaction};

use crate::entry::{
    BYTES_NUMBER, FILES, NAMESPACES, NUMBERS, files_prefix, folder_prefix, namespace_key,
};
use crate::store::number;
use crate::{Limits, MemoryPath, Namespace, StorageError, Store, Tenant};

/// Why something was not done with a file; everything is as it was. The words are for the model
/// that called the memory tool.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no such file or folder.
    #[error("The path {0} does not exist.")]
    NotFound(MemoryPath),
    /// A file or folder is there already.
    #[error("The path {0} exists already.")]
    Exists(MemoryPath),
    /// It is a folder, and only a file will do.
    #[error("The path {0} is a folder, not a file.")]
    IsFolder(MemoryPath),
    /// Something in the way to it is a file.
    #[error("The path {path} cannot be: {file} is a file, not a folder.")]
    InFile {
        /// The path.
        path: MemoryPath,
        /// The file.
        file: String,
    },
    /// The root cannot be removed, moved or replaced.
    #[error("The folder /memories itself cannot be removed, moved or replaced.")]
    Root,
    /// A folder would move into itself.
    #[error("The folder {from} cannot be moved into itself, to {to}.")]
    IntoItself {
        /// The folder.
        from: MemoryPath,
        /// Where it would go.
        to: MemoryPath,
    },
    /// A file in it would have a path that is too long or too deep.
    #[error("The path {0} cannot be: a file in it would have too long or too deep a path.")]
    TooDeep(MemoryPath),
    /// The file is too long.
    #[error("The file {path} would have {bytes} bytes; at most {limit} are allowed.")]
    TooLarge {
        /// The file.
        path: MemoryPath,
        /// The length that it would have.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// The namespace is full.
    #[error("This memory is full: {limit} bytes. Remove or shorten files.")]
    NamespaceFull {
        /// The bound.
        limit: u64,
    },
    /// The namespace has too many files.
    #[error("This memory is full: {limit} files. Remove files.")]
    TooManyFiles {
        /// The bound.
        limit: u64,
    },
    /// The store is full.
    #[error("The memory store is full: {limit} bytes.")]
    StoreFull {
        /// The bound.
        limit: u64,
    },
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Store {
    /// The text of a file.
    ///
    /// # Errors
    /// If there is none, if it is a folder, or if reading fails.
    pub fn read_file(
        &self,
        tenant: &Tenant,
        namespace: &Namespace,
        path: &MemoryPath,
    ) -> Result<String, FileError> {
        let files = self
            .begin_read()?
            .open_table(FILES)
            .map_err(StorageError::from)?;
        let prefix = files_prefix(tenant, namespace);
        match text_of(&files, &prefix, path)? {
            Some(text) => Ok(text),
            None if is_folder(&files, &prefix, path)? => Err(FileError::IsFolder(path.clone())),
            None => Err(FileError::NotFound(path.clone())),
        }
    }

    /// Creates or replaces a file; whether it was created.
    ///
    /// # Errors
    /// If the path is or needs a folder, if a bound is exceeded, or if the database fails.
    pub fn write_file(
        &self,
        tenant: &Tenant,
        namespace: &Namespace,
        path: &MemoryPath,
        text: &str,
    ) -> Result<bool, FileError> {
        self.change_files(tenant, namespace, |files| {
            let is_new = files.text(path)?.is_none();
            files.set(path, text)?;
            Ok(is_new)
        })
    }

    /// Removes a file, or a folder with all that is in it; how many files that were.
    ///
    /// # Errors
    /// If there is neither, for the root, or if the database fails.
    pub fn remove_files(
        &self,
        tenant: &Tenant,
        namespace: &Namespace,
        path: &MemoryPath,
    ) -> Result<u64, FileError> {
        self.change_files(tenant, namespace, |files| files.remove(path))
    }

    /// Paths below `/memories/` and texts of all files in a folder, by path.
    pub(crate) fn files_in(
        &self,
        tenant: &Tenant,
        namespace: &Namespace,
        folder: &MemoryPath,
    ) -> Result<Vec<(String, String)>, StorageError> {
        let files = self.begin_read()?.open_table(FILES)?;
        let prefix = files_prefix(tenant, namespace);
        below(&files, &prefix, folder, decode)
    }

    /// Paths below `/memories/` and lengths of all files in a folder, by path.
    pub(crate) fn sizes_in(
        &self,
        tenant: &Tenant,
        namespace: &Namespace,
        folder: &MemoryPath,
    ) -> Result<Vec<(String, u64)>, StorageError> {
        let files = self.begin_read()?.open_table(FILES)?;
        let prefix = files_prefix(tenant, namespace);
        below(&files, &prefix, folder, |text| Ok(text.len() as u64))
    }

    /// Makes changes to files that are made together, or not at all.
    pub(crate) fn change_files<T, E: From<StorageError>>(
        &self,
        tenant: &Tenant,
        namespace: &Namespace,
        change_them: impl FnOnce(&mut Files<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let change = self.begin_write()?;
        let result = change_them(&mut Files::open(
            &change,
            tenant,
            namespace,
            *self.limits(),
        )?)?;
        change.commit().map_err(StorageError::from)?;
        Ok(result)
    }
}

/// The files of a namespace in a change.
pub(crate) struct Files<'t> {
    files: Table<'t, &'static [u8], &'static [u8]>,
    namespaces: Table<'t, &'static [u8], (u64, u64)>,
    numbers: Table<'t, &'static str, u64>,
    prefix: Vec<u8>,
    namespace: Vec<u8>,
    limits: Limits,
}

impl<'t> Files<'t> {
    fn open(
        change: &'t WriteTransaction,
        tenant: &Tenant,
        namespace: &Namespace,
        limits: Limits,
    ) -> Result<Self, StorageError> {
        Ok(Self {
            files: change.open_table(FILES)?,
            namespaces: change.open_table(NAMESPACES)?,
            numbers: change.open_table(NUMBERS)?,
            prefix: files_prefix(tenant, namespace),
            namespace: namespace_key(tenant, namespace),
            limits,
        })
    }

    /// The text of a file, if it is one.
    pub(crate) fn text(&self, path: &MemoryPath) -> Result<Option<String>, StorageError> {
        text_of(&self.files, &self.prefix, path)
    }

    /// Whether anything is in this folder.
    pub(crate) fn is_folder(&self, path: &MemoryPath) -> Result<bool, StorageError> {
        is_folder(&self.files, &self.prefix, path)
    }

    /// Creates or replaces a file.
    pub(crate) fn set(&mut self, path: &MemoryPath, text: &str) -> Result<(), FileError> {
        if path.is_root() {
            return Err(FileError::Root);
        }
        if self.is_folder(path)? {
            return Err(FileError::IsFolder(path.clone()));
        }
        for folder in path.folders() {
            let key = [&self.prefix, folder.as_bytes()].concat();
            if self
                .files
                .get(key.as_slice())
                .map_err(StorageError::from)?
                .is_some()
            {
                let file = format!("/memories/{folder}");
                return Err(FileError::InFile {
                    path: path.clone(),
                    file,
                });
            }
        }
        let (bytes, limit) = (text.len() as u64, self.limits.file_bytes);
        if bytes > limit {
            return Err(FileError::TooLarge {
                path: path.clone(),
                bytes,
                limit,
            });
        }
        self.replace(path.below(), Some(text))
    }

    /// Removes a file, or a folder with all that is in it; how many files that were.
    pub(crate) fn remove(&mut self, path: &MemoryPath) -> Result<u64, FileError> {
        if path.is_root() {
            return Err(FileError::Root);
        }
        let all = self.at_or_below(path)?;
        for (below, _) in &all {
            self.replace(below, None)?;
        }
        Ok(all.len() as u64)
    }

    /// Moves a file, or a folder with all that is in it.
    pub(crate) fn rename(&mut self, from: &MemoryPath, to: &MemoryPath) -> Result<(), FileError> {
        if from.is_root() || to.is_root() {
            return Err(FileError::Root);
        }
        let all = self.at_or_below(from)?;
        if self.text(to)?.is_some() || self.is_folder(to)? {
            return Err(FileError::Exists(to.clone()));
        }
        if to.folders().any(|folder| folder == from.below()) {
            return Err(FileError::IntoItself {
                from: from.clone(),
                to: to.clone(),
            });
        }
        for (below, _) in &all {
            self.replace(below, None)?;
        }
        for (below, text) in &all {
            let moved = format!("{}{}", to.below(), &below[from.below().len()..]);
            // What was a path in its old place can only be too long or too deep in the new one.
            let moved =
                MemoryPath::below_root(&moved).map_err(|_| FileError::TooDeep(to.clone()))?;
            self.set(&moved, text)?;
        }
        Ok(())
    }

    /// The file at this path, or all files in the folder at this path.
    fn at_or_below(&self, path: &MemoryPath) -> Result<Vec<(String, String)>, FileError> {
        if let Some(text) = self.text(path)? {
            return Ok(vec![(path.below().to_owned(), text)]);
        }
        let all = below(&self.files, &self.prefix, path, decode)?;
        if all.is_empty() {
            Err(FileError::NotFound(path.clone()))
        } else {
            Ok(all)
        }
    }

    /// Sets or removes one file and counts what that changes. Only growth can exceed a bound.
    fn replace(&mut self, below: &str, text: Option<&str>) -> Result<(), FileError> {
        let key = [&self.prefix, below.as_bytes()].concat();
        let size = |text: usize| (below.len() + text) as u64;
        let before = match text {
            Some(text) => self.files.insert(key.as_slice(), text.as_bytes()),
            None => self.files.remove(key.as_slice()),
        };
        let before = before
            .map_err(StorageError::from)?
            .map(|text| size(text.value().len()));
        let after = text.map(|text| size(text.len()));
        let (bytes, files) = self.share()?;
        let change = |n: u64| (n + after.unwrap_or(0)).saturating_sub(before.unwrap_or(0));
        let share = (
            change(bytes),
            (files + u64::from(after.is_some())).saturating_sub(u64::from(before.is_some())),
        );
        let total = change(number(&self.numbers, BYTES_NUMBER).map_err(StorageError::from)?);
        if after > before {
            self.check(share, total)?;
        }
        let namespace = self.namespace.as_slice();
        self.namespaces
            .insert(namespace, share)
            .map_err(StorageError::from)?;
        self.numbers
            .insert(BYTES_NUMBER, total)
            .map_err(StorageError::from)?;
        Ok(())
    }

    fn check(&self, (bytes, files): (u64, u64), total: u64) -> Result<(), FileError> {
        let Limits {
            namespace_bytes,
            namespace_files,
            total_bytes,
            ..
        } = self.limits;
        if bytes > namespace_bytes {
            return Err(FileError::NamespaceFull {
                limit: namespace_bytes,
            });
        }
        if files > namespace_files {
            return Err(FileError::TooManyFiles {
                limit: namespace_files,
            });
        }
        if total > total_bytes {
            return Err(FileError::StoreFull { limit: total_bytes });
        }
        Ok(())
    }

    fn share(&self) -> Result<(u64, u64), StorageError> {
        let share = self.namespaces.get(self.namespace.as_slice())?;
        Ok(share.map_or((0, 0), |share| share.value()))
    }
}

fn text_of(
    files: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
    path: &MemoryPath,
) -> Result<Option<String>, StorageError> {
    if path.is_root() {
        return Ok(None);
    }
    let key = [prefix, path.below().as_bytes()].concat();
    files
        .get(key.as_slice())?
        .map(|text| decode(text.value()))
        .transpose()
}

fn is_folder(
    files: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
    path: &MemoryPath,
) -> Result<bool, StorageError> {
    let folder = folder_prefix(prefix, path);
    let next = files.range(folder.as_slice()..)?.next().transpose()?;
    Ok(path.is_root() || next.is_some_and(|(key, _)| key.value().starts_with(&folder)))
}

/// Paths of all files in a folder, and what `of` makes of their texts.
fn below<T>(
    files: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
    folder: &MemoryPath,
    of: impl Fn(&[u8]) -> Result<T, StorageError>,
) -> Result<Vec<(String, T)>, StorageError> {
    let start = folder_prefix(prefix, folder);
    let mut found = Vec::new();
    for file in files.range(start.as_slice()..)? {
        let (key, text) = file?;
        if !key.value().starts_with(&start) {
            break;
        }
        found.push((decode(&key.value()[prefix.len()..])?, of(text.value())?));
    }
    Ok(found)
}

fn decode(bytes: &[u8]) -> Result<String, StorageError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| StorageError::Damaged("a file is no UTF-8"))
}
