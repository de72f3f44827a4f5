//! What can go wrong between here and a hub.

use std::error::Error;
use std::path::PathBuf;

use hf_hub::HFError;

use crate::source::HubRequest;

/// The hub's code for a repository that does not exist, or that the caller may not see.
const REPO_NOT_FOUND: &str = "RepoNotFound";

/// Why a repository cannot be fetched.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Neither a folder nor a repository.
    #[error("{repo:?} is neither a folder nor a hub id of the form organisation/name")]
    Name {
        /// What was asked for.
        repo: String,
    },
    /// The hub has no such repository, or hides it.
    #[error(
        "repository {repo} was not found; check its spelling, and set HF_TOKEN if it is private"
    )]
    NotFound {
        /// The repository.
        repo: String,
    },
    /// The repository has no such revision.
    #[error("repository {repo} has no revision {revision}")]
    NoRevision {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
    },
    /// The hub wants to know who asks.
    #[error(
        "access to repository {repo} is restricted: accept its conditions on the hub and set \
         HF_TOKEN to a token that may read it (the hub says: {reason})"
    )]
    Restricted {
        /// The repository.
        repo: String,
        /// The hub's words.
        reason: String,
    },
    /// Offline, and not in the cache.
    #[error(
        "repository {repo}, revision {revision}, is not in the cache ({}), and HF_HUB_OFFLINE \
         forbids to fetch it",
        cache_dir.display()
    )]
    NotInCache {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
        /// The cache.
        cache_dir: PathBuf,
    },
    /// The hub cannot be reached.
    #[error(
        "cannot reach the hub for repository {repo}: {reason}; if the model was fetched before, \
         HF_HUB_OFFLINE=1 takes it from the cache"
    )]
    Unreachable {
        /// The repository.
        repo: String,
        /// The network's words.
        reason: String,
    },
    /// Anything else.
    #[error("repository {repo}: {source}")]
    Other {
        /// The repository.
        repo: String,
        /// The library's error.
        source: Box<HFError>,
    },
}

impl HubError {
    /// What the library's error means for the request.
    pub(super) fn of(request: &HubRequest, error: HFError) -> Self {
        let repo = request.repo.clone();
        let asked = request.options.revision.clone();
        match error {
            // Without the hub's own code, only somebody who named a revision can have misspelt it.
            HFError::RevisionNotFound { context, .. } => {
                let code = context.and_then(|context| context.error_code);
                match asked.filter(|_| code.as_deref() != Some(REPO_NOT_FOUND)) {
                    Some(revision) => Self::NoRevision { repo, revision },
                    None => Self::NotFound { repo },
                }
            }
            HFError::RepoNotFound { .. } => Self::NotFound { repo },
            HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Http { context }
                if matches!(context.status.as_u16(), 401 | 403) =>
            {
                // The hub answers so for repositories that do not exist, too.
                if context.error_code.as_deref() == Some(REPO_NOT_FOUND) {
                    return Self::NotFound { repo };
                }
                let reason = context
                    .server_message
                    .unwrap_or_else(|| context.status.to_string());
                Self::Restricted { repo, reason }
            }
            HFError::LocalEntryNotFound { .. } => {
                let cache_dir = request.options.cache_dir.clone();
                Self::NotInCache {
                    repo,
                    revision: asked.unwrap_or_else(|| "main".into()),
                    cache_dir: cache_dir.unwrap_or_else(hf_hub::resolve_cache_dir),
                }
            }
            HFError::Request { source, .. } => Self::Unreachable {
                repo,
                reason: innermost(&source).to_string(),
            },
            error => Self::Other {
                repo,
                source: Box::new(error),
            },
        }
    }
}

/// The first cause: the layers above it say "error sending request".
fn innermost(error: &dyn Error) -> &dyn Error {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error
}
