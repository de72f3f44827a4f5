//! Fetching a model of a hub into the folder that all tools of the hub share.
//!
//! [`fetch`] asks the hub once which commit a revision is at, and downloads what the cache lacks of
//! it. The protocol is `hf-hub`'s; what comes is written here, because a blob must never be half a
//! file, nor a server's page of an error: every file is checked for its size and, if it is a large
//! one, its SHA-256, before it gets its name, and a download that stopped goes on where it was.

mod cache;
mod client;
mod download;
mod error;
mod gguf_choice;
mod part;
mod progress;
mod selection;

use std::fs;
use std::path::PathBuf;
use std::thread;

use crate::config::{ConfigError, ModelConfig};
use crate::source::HubRequest;

use cache::Cache;
use client::Client;
use download::Download;
pub use error::HubError;
pub use progress::{Bar, Progress};
use selection::{CONFIG, INDEX, SINGLE_FILE, Unreadable, Weights, select, shards};

const DEFAULT_REVISION: &str = "main";
/// Longest id of a repository.
const MAX_REPO: usize = 96;

/// The folder of a model's files, or its GGUF file; they are fetched first unless they are in the
/// cache. Draws a progress bar if the options ask for one.
///
/// Offline, the cache is all there is. A hub that cannot be reached is no error either if the cache
/// has the model as it was last time; a warning says so.
///
/// # Errors
/// Each names the repository or file, and what to do. A model of no supported family is refused
/// before its weights are downloaded.
pub fn fetch(request: &HubRequest) -> Result<PathBuf, HubError> {
    match request.options.progress_bar {
        true => fetch_with(request, &mut Bar::new(&request.repo)),
        false => fetch_with(request, &mut ()),
    }
}

/// As [`fetch`], of a model in safetensors whose `config.json` passes `check_config`.
///
/// # Errors
/// As [`fetch`].
pub(crate) fn fetch_encoder(
    request: &HubRequest,
    check_config: CheckConfig,
) -> Result<PathBuf, HubError> {
    let kind = Kind {
        check_config,
        reads_gguf: false,
    };
    match request.options.progress_bar {
        true => run(request, kind, &mut Bar::new(&request.repo)),
        false => run(request, kind, &mut ()),
    }
}

/// Whether a `config.json` is one that is known here.
type CheckConfig = fn(&[u8]) -> Result<(), ConfigError>;

/// What is fetched.
#[derive(Clone, Copy)]
struct Kind {
    check_config: CheckConfig,
    reads_gguf: bool,
}

/// As [`fetch`], with the progress told to `progress`.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_with(
    request: &HubRequest,
    progress: &mut (dyn Progress + Send),
) -> Result<PathBuf, HubError> {
    let kind = Kind {
        check_config: |config| ModelConfig::parse(config, None).map(|_| ()),
        reads_gguf: true,
    };
    run(request, kind, progress)
}

fn run(
    request: &HubRequest,
    kind: Kind,
    progress: &mut (dyn Progress + Send),
) -> Result<PathBuf, HubError> {
    let fetch = Fetch::new(request, kind)?;
    if request.options.offline {
        return fetch.cached();
    }
    let client = Client::new(request, fetch.revision)?;
    let failed = |source| HubError::Thread {
        repo: request.repo.clone(),
        source,
    };
    // A thread of its own, because the caller's may belong to another runtime already.
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        runtime.block_on(fetch.download(&client, progress))
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("hub".to_owned());
        let thread = thread.spawn_scoped(scope, run).map_err(failed)?;
        let joined = thread.join();
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// One revision of a repository, and its place in the cache.
struct Fetch<'a> {
    repo: &'a str,
    revision: &'a str,
    gguf: Option<&'a str>,
    kind: Kind,
    cache: Cache,
}

impl<'a> Fetch<'a> {
    fn new(request: &'a HubRequest, kind: Kind) -> Result<Self, HubError> {
        let repo = request.repo.as_str();
        if !is_repo(repo) {
            return Err(HubError::Name {
                repo: repo.to_owned(),
            });
        }
        let revision = request.options.revision.as_deref();
        let revision = revision.unwrap_or(DEFAULT_REVISION);
        if !is_revision(revision) {
            return Err(HubError::RevisionName {
                repo: repo.to_owned(),
                revision: revision.to_owned(),
            });
        }
        let root = request.options.cache_dir.as_deref();
        let cache = Cache::new(root.ok_or(HubError::NoCacheFolder)?, repo);
        Ok(Self {
            repo,
            revision,
            gguf: request.gguf.as_deref(),
            kind,
            cache,
        })
    }

    /// The snapshot that the cache has as a whole.
    fn cached(&self) -> Result<PathBuf, HubError> {
        let missing = |what: String| HubError::NotCached {
            repo: self.repo.to_owned(),
            what,
            cache_dir: self.cache.root().to_owned(),
        };
        let revision = || missing(format!("revision {}", self.revision));
        let commit = self.cache.commit(self.revision).ok_or_else(revision)?;
        let names = self.cache.names(&commit);
        if names.is_empty() {
            return Err(revision());
        }
        let selection = select(&names, self.gguf).map_err(|reason| match reason {
            Unreadable::NoWeights(_) => missing("model.safetensors".to_owned()),
            Unreadable::NoSuchGguf(_) => missing(self.gguf.unwrap_or_default().to_owned()),
            Unreadable::Missing(file) => missing(file.to_owned()),
        })?;
        if selection.weights == Weights::Shards {
            let mut shards = self.shards(&commit)?.into_iter();
            if let Some(shard) = shards.find(|shard| !self.cache.has(&commit, shard)) {
                return Err(missing(shard));
            }
        }
        Ok(self.path(&commit, &selection.weights))
    }

    async fn download(
        &self,
        client: &Client,
        progress: &mut (dyn Progress + Send),
    ) -> Result<PathBuf, HubError> {
        let listing = match client.resolve().await {
            Ok(listing) => listing,
            Err(error) if error.is_transient() => {
                let Ok(folder) = self.cached() else {
                    return Err(error);
                };
                tracing::warn!(%error, folder = %folder.display(), "using the cached model");
                return Ok(folder);
            }
            Err(error) => return Err(error),
        };
        let commit = listing.commit.as_str();
        let selection =
            select(&listing.names, self.gguf).map_err(|reason| self.unreadable(reason))?;
        if matches!(selection.weights, Weights::Gguf(_)) && !self.kind.reads_gguf {
            return Err(self.missing_file(SINGLE_FILE));
        }
        let download = Download::new(client, &self.cache, self.repo, commit, progress);
        download.fetch(&selection.small).await?;
        let weights = match &selection.weights {
            Weights::Safetensors(file) => {
                self.check_config(commit)?;
                vec![file.clone()]
            }
            Weights::Shards => {
                self.check_config(commit)?;
                self.shards(commit)?
            }
            // Its configuration is in the file itself.
            Weights::Gguf(files) => {
                tracing::info!(repo = self.repo, files = files.join(", "), "GGUF");
                files.clone()
            }
        };
        if let Some(file) = weights.iter().find(|file| !listing.names.contains(file)) {
            return Err(self.missing_file(file));
        }
        download.fetch(&weights).await?;
        // Last, so that whoever follows the revision finds everything.
        self.cache.set_commit(self.revision, commit)?;
        Ok(self.path(commit, &selection.weights))
    }

    /// What is to be opened: the folder of all files, or the first of GGUF.
    fn path(&self, commit: &str, weights: &Weights) -> PathBuf {
        let folder = self.cache.snapshot(commit);
        match weights {
            Weights::Safetensors(_) | Weights::Shards => folder,
            Weights::Gguf(files) => files
                .first()
                .map_or(folder.clone(), |file| folder.join(file)),
        }
    }

    /// A model that cannot run costs no download of its weights.
    fn check_config(&self, commit: &str) -> Result<(), HubError> {
        let path = self.cache.snapshot(commit).join(CONFIG);
        let config = fs::read(&path).map_err(HubError::disk(path))?;
        (self.kind.check_config)(&config).map_err(|source| HubError::Config {
            repo: self.repo.to_owned(),
            source,
        })
    }

    /// The files that the index in the cache names.
    fn shards(&self, commit: &str) -> Result<Vec<String>, HubError> {
        let path = self.cache.snapshot(commit).join(INDEX);
        let index = fs::read(&path).map_err(HubError::disk(path))?;
        shards(&index).map_err(|reason| HubError::Index {
            repo: self.repo.to_owned(),
            file: INDEX.to_owned(),
            reason,
        })
    }

    fn unreadable(&self, reason: Unreadable) -> HubError {
        match reason {
            Unreadable::Missing(file) => self.missing_file(file),
            Unreadable::NoWeights(found) => HubError::NoWeights {
                repo: self.repo.to_owned(),
                found,
            },
            Unreadable::NoSuchGguf(found) => HubError::NoSuchGguf {
                repo: self.repo.to_owned(),
                asked: self.gguf.unwrap_or_default().to_owned(),
                found,
            },
        }
    }

    fn missing_file(&self, file: &str) -> HubError {
        HubError::MissingFile {
            repo: self.repo.to_owned(),
            revision: self.revision.to_owned(),
            file: file.to_owned(),
        }
    }
}

/// Whether `repo` is `org/name` or an old `name`, as the hub allows them; such an id is safe in an
/// address and in the name of a folder.
fn is_repo(repo: &str) -> bool {
    let is_part = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && part.chars().all(plain) && part.trim_matches(['-', '.']) == part
    };
    repo.len() <= MAX_REPO
        && !repo.contains("--")
        && !repo.contains("..")
        && repo.split('/').count() <= 2
        && repo.split('/').all(is_part)
}

/// Whether git could name a branch or tag so; such a name stays inside the folder of references.
fn is_revision(revision: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    !revision.contains(odd)
        && !revision.contains("..")
        && revision
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'))
}

#[cfg(test)]
mod tests;
