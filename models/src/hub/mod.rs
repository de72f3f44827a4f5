//! Fetching a repository of a hub into the standard cache folder.

mod error;
mod progress;

use std::path::{Path, PathBuf};

use hf_hub::progress::Progress;
use hf_hub::{HFClientSync, HFError, HFRepositorySync, RepoTypeModel};
use serde::Deserialize;

use crate::model::OpenError;
use crate::source::{HubOptions, HubRequest};
use crate::{ModelConfig, WeightsError};

pub use error::HubError;
use progress::Bar;

/// Everything but the weights; a repository has most of them.
const SMALL_FILES: &[&str] = &[
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    INDEX_FILE,
];
const INDEX_FILE: &str = "model.safetensors.index.json";
const SINGLE_FILE: &str = "model.safetensors";

/// The part of the index that says which files to fetch.
#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, String>,
}

/// Fetches the files of a model that are not in the cache, and gives the snapshot's folder.
///
/// The small files come first: an architecture that is not supported costs no gigabytes.
///
/// # Errors
/// `Hub` for everything that the hub or the network says, `Config` for a model that is not
/// supported, `Weights` for a malformed index.
pub(crate) fn fetch(request: &HubRequest) -> Result<PathBuf, OpenError> {
    let repository = Repository::new(request)?;
    let folder = repository.snapshot(request.options.revision.clone(), SMALL_FILES, None)?;
    let config = folder.join("config.json");
    let config = std::fs::read(&config).map_err(|source| OpenError::Io {
        path: config,
        source,
    })?;
    ModelConfig::parse(&config, None)?;
    if request.options.offline {
        return Ok(folder);
    }
    let shards = shards(&folder)?;
    let shards: Vec<&str> = shards.iter().map(String::as_str).collect();
    // The commit that the small files are of, should the branch move meanwhile.
    let commit = folder
        .file_name()
        .and_then(|name| name.to_str())
        .map(str::to_owned);
    let bar = request
        .options
        .progress_bar
        .then(|| Bar::new(&request.repo));
    Ok(repository.snapshot(commit, &shards, bar)?)
}

/// A repository and the client that reaches it.
struct Repository<'a> {
    request: &'a HubRequest,
    model: HFRepositorySync<RepoTypeModel>,
}

impl<'a> Repository<'a> {
    fn new(request: &'a HubRequest) -> Result<Self, HubError> {
        let repo = &request.repo;
        let (owner, name) = parts(repo).ok_or_else(|| HubError::Name { repo: repo.clone() })?;
        let other = |source| HubError::Other {
            repo: repo.clone(),
            source: Box::new(source),
        };
        let model = client(&request.options).map_err(other)?.model(owner, name);
        Ok(Self { request, model })
    }

    /// The folder of a revision, with those of `files` that the repository has.
    fn snapshot(
        &self,
        revision: Option<String>,
        files: &[&str],
        bar: Option<Bar>,
    ) -> Result<PathBuf, HubError> {
        let allowed = files.iter().map(|&file| file.to_owned()).collect();
        let snapshot = self
            .model
            .snapshot_download()
            .maybe_revision(revision)
            .allow_patterns(allowed)
            .local_files_only(self.request.options.offline)
            .maybe_progress(bar.map(Progress::new));
        snapshot
            .send()
            .map_err(|error| HubError::of(self.request, error))
    }
}

fn client(options: &HubOptions) -> Result<HFClientSync, HFError> {
    let mut builder =
        hf_hub::HFClient::builder().user_agent(concat!("purser/", env!("CARGO_PKG_VERSION")));
    if let Some(endpoint) = &options.endpoint {
        builder = builder.endpoint(endpoint);
    }
    if let Some(token) = &options.token {
        builder = builder.token(token);
    }
    if let Some(folder) = &options.cache_dir {
        builder = builder.cache_dir(folder);
    }
    builder.build_sync()
}

/// Organisation and name of a repository.
fn parts(repo: &str) -> Option<(&str, &str)> {
    let (owner, name) = repo.split_once('/')?;
    let is_part = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(plain)
    };
    (is_part(owner) && is_part(name)).then_some((owner, name))
}

/// The files of the weights.
fn shards(folder: &Path) -> Result<Vec<String>, WeightsError> {
    let path = folder.join(INDEX_FILE);
    if !path.is_file() {
        return Ok(vec![SINGLE_FILE.to_owned()]);
    }
    let file = path.display().to_string();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(WeightsError::Io { file, source }),
    };
    let index: Index = serde_json::from_slice(&bytes).map_err(|error| WeightsError::Index {
        file,
        reason: error.to_string(),
    })?;
    let mut shards: Vec<String> = index.weight_map.into_values().collect();
    shards.sort_unstable();
    shards.dedup();
    Ok(shards)
}
