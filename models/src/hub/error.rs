//! Why a model cannot be fetched.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::config::ConfigError;

/// Why a model cannot be fetched. Every error names the repository or the file that it is about,
/// and what to do.
#[derive(Debug, Error)]
pub enum HubError {
    /// No name of a repository.
    #[error("{repo:?} is neither a folder nor the id of a model on a hub, as in org/name")]
    Name {
        /// What was asked for.
        repo: String,
    },
    /// No name of a revision.
    #[error("{revision:?} cannot be a revision of {repo}; give a branch, a tag or a commit")]
    RevisionName {
        /// The repository.
        repo: String,
        /// What was asked for.
        revision: String,
    },
    /// No address of a hub.
    #[error("HF_ENDPOINT={endpoint} is not an address of a hub: {reason}")]
    Endpoint {
        /// The address.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No token.
    #[error("cannot ask for {repo}: HF_TOKEN has characters that no token has")]
    Token {
        /// The repository.
        repo: String,
    },
    /// Nothing says where downloads go.
    #[error("no folder for downloads, because HOME is not set; set HF_HOME or HF_HUB_CACHE")]
    NoCacheFolder,
    /// The hub does not have the repository, or hides it.
    #[error(
        "{repo} does not exist on {endpoint}, or is private; check the spelling, and set HF_TOKEN \
         to a token that can read it if it is private"
    )]
    UnknownRepo {
        /// The repository.
        repo: String,
        /// The hub.
        endpoint: String,
    },
    /// The repository has no such revision.
    #[error("{repo} has no revision {revision}; give a branch, a tag or a commit that it has")]
    UnknownRevision {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
    },
    /// The hub refuses because of who asks (401 and 403).
    #[error(
        "{repo} is gated or private, and the hub refused {what} (HTTP {status}{}); {}",
        said(message),
        remedy(*with_token, endpoint, repo)
    )]
    AccessDenied {
        /// The repository.
        repo: String,
        /// The hub.
        endpoint: String,
        /// The file, or the request.
        what: String,
        /// HTTP status.
        status: u16,
        /// The hub's own words; may be empty.
        message: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// Offline, and not in the cache.
    #[error(
        "HF_HUB_OFFLINE is set, and {what} of {repo} is not in the cache ({}); fetch it once \
         without HF_HUB_OFFLINE",
        cache_dir.display()
    )]
    NotCached {
        /// The repository.
        repo: String,
        /// The revision or file that is missing.
        what: String,
        /// The cache.
        cache_dir: PathBuf,
    },
    /// The repository has no weights that can be read.
    #[error(
        "{repo} has no model.safetensors, no model.safetensors.index.json and no GGUF file{}; \
         choose a repository with weights in safetensors or GGUF",
        unread(found)
    )]
    NoWeights {
        /// The repository.
        repo: String,
        /// Formats of weights that it has instead, such as ONNX.
        found: Vec<&'static str>,
    },
    /// The repository has other GGUF files than the one that was asked for.
    #[error("{repo} has no GGUF file {asked}; it has {}", found.join(", "))]
    NoSuchGguf {
        /// The repository.
        repo: String,
        /// The quantisation or file that was asked for.
        asked: String,
        /// The files that there are.
        found: Vec<String>,
    },
    /// A file that a model must have.
    #[error("{repo} has no {file} at revision {revision}; it is not a complete model")]
    MissingFile {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
        /// The file.
        file: String,
    },
    /// The list of shards is malformed.
    #[error("{repo}: {file} is malformed: {reason}")]
    Index {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The model is of no family that can run; its weights were not downloaded.
    #[error("{repo}: {source}")]
    Config {
        /// The repository.
        repo: String,
        /// What is wrong.
        source: ConfigError,
    },
    /// The hub cannot be reached.
    #[error(
        "cannot reach {endpoint} for {what} of {repo}: {reason}; check the network and \
         HF_ENDPOINT, or set HF_HUB_OFFLINE=1 to use what is in the cache"
    )]
    Network {
        /// The repository.
        repo: String,
        /// The hub.
        endpoint: String,
        /// The file, or the request.
        what: String,
        /// The cause.
        reason: String,
    },
    /// The hub answers with another failure.
    #[error(
        "{endpoint} refused {what} of {repo} (HTTP {status}{}); try again later",
        said(message)
    )]
    Refused {
        /// The repository.
        repo: String,
        /// The hub.
        endpoint: String,
        /// The file, or the request.
        what: String,
        /// HTTP status.
        status: u16,
        /// The hub's own words; may be empty.
        message: String,
    },
    /// The hub's answer makes no sense.
    #[error("{endpoint} does not answer as a hub does, for {what} of {repo}: {reason}")]
    Protocol {
        /// The repository.
        repo: String,
        /// The hub.
        endpoint: String,
        /// The file, or the request.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// A download stopped in the middle, several times.
    #[error(
        "the download of {file} of {repo} stopped after {have} of {size} bytes: {reason}; run \
         again to continue where it stopped"
    )]
    Interrupted {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// Bytes on the disk.
        have: u64,
        /// Bytes of the file.
        size: u64,
        /// The cause.
        reason: String,
    },
    /// The bytes are not those that the hub promised.
    #[error(
        "{file} of {repo} arrived damaged: its SHA-256 is {found}, not {expected}; it was deleted, \
         run again to fetch it anew"
    )]
    Damaged {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// The digest that the hub announced.
        expected: String,
        /// The digest of what it sent.
        found: String,
    },
    /// The cache cannot be read or written.
    #[error(
        "{}: {source}; see to the permissions of the folder and the space left",
        path.display()
    )]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The system gives no thread to download with.
    #[error("cannot start to download {repo}: {source}")]
    Thread {
        /// The repository.
        repo: String,
        /// The system's error.
        source: io::Error,
    },
}

impl HubError {
    /// Whether the same request may succeed a moment later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Interrupted { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            _ => false,
        }
    }

    /// For `map_err` of an operation on `path`.
    pub(super) fn disk(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Disk { path, source }
    }
}

fn said(message: &str) -> String {
    match message {
        "" => String::new(),
        message => format!(": {message}"),
    }
}

fn remedy(with_token: bool, endpoint: &str, repo: &str) -> String {
    match with_token {
        false => format!(
            "accept its terms at {endpoint}/{repo} if it has any, and set HF_TOKEN to a token of \
             an account with access"
        ),
        true => format!(
            "the token in HF_TOKEN (or of the login) has no access: accept the terms at \
             {endpoint}/{repo} with its account, or set HF_TOKEN to another token"
        ),
    }
}

fn unread(found: &[&str]) -> String {
    match found {
        [] => String::new(),
        found => format!(" (it has {}, which is not read)", found.join(" and ")),
    }
}
