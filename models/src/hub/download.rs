//! Downloading the files of a commit into the cache.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};

use super::cache::Cache;
use super::client::{Client, RemoteFile, causes};
use super::part::{Check, Part};
use super::{HubError, Progress};

/// Questions that wait for an answer at the same time.
const MAX_QUESTIONS: usize = 8;
/// Files that are downloaded at the same time.
const MAX_DOWNLOADS: usize = 4;
/// Attempts in a row that bring no byte more than the best one before.
const MAX_ATTEMPTS: u32 = 4;
const RETRY_DELAY: Duration = Duration::from_millis(200);
const LOCK_DELAY: Duration = Duration::from_millis(250);

/// The downloads of one commit.
pub(super) struct Download<'a> {
    client: &'a Client,
    cache: &'a Cache,
    repo: &'a str,
    commit: &'a str,
    progress: RefCell<&'a mut (dyn Progress + Send)>,
    /// Bytes on the disk, of the files that this download is about.
    done: Cell<u64>,
}

impl<'a> Download<'a> {
    /// Downloads of `commit` of `repo`.
    pub(super) fn new(
        client: &'a Client,
        cache: &'a Cache,
        repo: &'a str,
        commit: &'a str,
        progress: &'a mut (dyn Progress + Send),
    ) -> Self {
        Self {
            client,
            cache,
            repo,
            commit,
            progress: RefCell::new(progress),
            done: Cell::new(0),
        }
    }

    /// Puts those of `names` into the snapshot that are not there.
    ///
    /// # Errors
    /// The first failure; what has arrived stays and is taken up by the next download.
    pub(super) async fn fetch(&self, names: &[String]) -> Result<(), HubError> {
        let missing = names
            .iter()
            .filter(|name| !self.cache.has(self.commit, name));
        let described: Vec<RemoteFile> = stream::iter(missing)
            .map(|name| self.describe(name))
            .buffered(MAX_QUESTIONS)
            .try_collect()
            .await?;
        // Equal files are one blob.
        let mut blobs: BTreeMap<&str, Vec<&RemoteFile>> = BTreeMap::new();
        for file in &described {
            blobs.entry(&file.etag).or_default().push(file);
        }
        let (there, absent): (Vec<_>, Vec<_>) = blobs
            .into_values()
            .partition(|files| self.is_whole(files[0]));
        for file in there.into_iter().flatten() {
            self.cache.link(self.commit, &file.name, &file.etag)?;
        }
        if absent.is_empty() {
            return Ok(());
        }
        let bytes = absent.iter().map(|files| files[0].size).sum();
        self.done.set(0);
        self.progress.borrow_mut().start(absent.len(), bytes);
        stream::iter(absent)
            .map(|files| self.fetch_blob(files))
            .buffer_unordered(MAX_DOWNLOADS)
            .try_collect::<()>()
            .await?;
        self.progress.borrow_mut().finish();
        Ok(())
    }

    async fn describe(&self, name: &str) -> Result<RemoteFile, HubError> {
        let mut attempt = 1;
        loop {
            match self.client.describe(self.commit, name).await {
                Err(error) if error.is_transient() && attempt < MAX_ATTEMPTS => {
                    tokio::time::sleep(RETRY_DELAY * attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Downloads the blob that `files` share, and makes them links to it.
    async fn fetch_blob(&self, files: Vec<&RemoteFile>) -> Result<(), HubError> {
        let file = files[0];
        let mut counted = 0;
        // Until the links are there, nobody else writes this blob.
        let _lock = self.lock(file).await?;
        if !self.is_whole(file) {
            self.persist(file, &mut counted).await?;
        }
        self.count(&mut counted, file.size);
        for file in files {
            self.cache.link(self.commit, &file.name, &file.etag)?;
        }
        Ok(())
    }

    async fn lock(&self, file: &RemoteFile) -> Result<File, HubError> {
        let mut waits = false;
        loop {
            if let Some(lock) = self.cache.try_lock(&file.etag)? {
                return Ok(lock);
            }
            if !waits {
                self.progress.borrow_mut().wait(&file.name);
                waits = true;
            }
            tokio::time::sleep(LOCK_DELAY).await;
        }
    }

    /// Repeats [`Self::attempt`] as long as it gets further.
    async fn persist(&self, file: &RemoteFile, counted: &mut u64) -> Result<(), HubError> {
        let mut attempt = 1;
        let mut most = 0;
        loop {
            match self.attempt(file, counted).await {
                Err(error) if error.is_transient() && attempt < MAX_ATTEMPTS => {
                    tokio::time::sleep(RETRY_DELAY * attempt).await;
                    attempt = if *counted > most { 1 } else { attempt + 1 };
                    most = most.max(*counted);
                }
                result => return result,
            }
        }
    }

    /// Downloads what is missing of a blob.
    async fn attempt(&self, file: &RemoteFile, counted: &mut u64) -> Result<(), HubError> {
        let mut part = Part::open(self.cache.partial(&file.etag), file)?;
        let start = part.len();
        self.count(counted, start);
        if start < file.size {
            let range = (start > 0).then_some(start..file.size);
            let mut bytes = self.client.stream(self.commit, &file.name, range).await?;
            while let Some(chunk) = bytes.next().await {
                let chunk = chunk.map_err(|error| self.interrupted(file, &part, causes(&error)))?;
                if part.len() + chunk.len() as u64 > file.size {
                    // A server that knows no ranges sends the file from its beginning.
                    let error = self.interrupted(file, &part, "too many bytes came".to_owned());
                    part.discard()?;
                    self.count(counted, 0);
                    return Err(error);
                }
                part.append(&chunk)?;
                self.count(counted, part.len());
            }
        }
        if part.len() < file.size {
            return Err(self.interrupted(file, &part, "the connection was closed".to_owned()));
        }
        let wrong_start = self.interrupted(file, &part, "its beginning was wrong".to_owned());
        match part.finish(&self.cache.blob(&file.etag), &file.etag)? {
            Check::Whole => Ok(()),
            // What was there at the start may be to blame; it is gone.
            Check::Damaged(_) if start > 0 => Err(wrong_start),
            Check::Damaged(found) => Err(HubError::Damaged {
                repo: self.repo.to_owned(),
                file: file.name.clone(),
                expected: file.etag.clone(),
                found,
            }),
        }
    }

    fn interrupted(&self, file: &RemoteFile, part: &Part, reason: String) -> HubError {
        HubError::Interrupted {
            repo: self.repo.to_owned(),
            file: file.name.clone(),
            have: part.len(),
            size: file.size,
            reason,
        }
    }

    /// A blob of another length was left by a tool that did not look.
    fn is_whole(&self, file: &RemoteFile) -> bool {
        let blob = fs::metadata(self.cache.blob(&file.etag));
        blob.is_ok_and(|blob| blob.is_file() && blob.len() == file.size)
    }

    /// `counted` bytes of a file are `bytes` by now.
    fn count(&self, counted: &mut u64, bytes: u64) {
        self.done.set(self.done.get() - *counted + bytes);
        *counted = bytes;
        self.progress.borrow_mut().advance_to(self.done.get());
    }
}
