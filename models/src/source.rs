//! Where a model comes from.

use std::path::PathBuf;

use crate::gguf;

/// A place to open a model from.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// The model that is part of the program (feature `embedded-model`).
    Embedded,
    /// A folder: as `save_pretrained` writes it, or with one GGUF file.
    Folder(PathBuf),
    /// A GGUF file; the first one of a model that is split.
    Gguf(PathBuf),
    /// A folder whose weights do not matter, if there are any: random ones take their place, to measure
    /// with.
    Dummy(PathBuf),
    /// A repository of a hub (feature `hub`).
    Hub(HubRequest),
}

/// A repository, and how to reach the hub.
#[derive(Clone, Debug)]
pub struct HubRequest {
    /// `organisation/name`.
    pub repo: String,
    /// Which of the repository's GGUF files: the quantisation in its name (`Q4_K_M`), or the whole
    /// name. `None` chooses: safetensors where there are some.
    pub gguf: Option<String>,
    /// How to reach the hub.
    pub options: HubOptions,
}

/// How to reach a hub.
#[derive(Clone, Default)]
pub struct HubOptions {
    /// `HF_ENDPOINT`: the hub's address; `None` is <https://huggingface.co>.
    pub endpoint: Option<String>,
    /// `HF_HUB_CACHE`, or `HF_HOME` and `hub`: the folder of downloads. Fetching needs one.
    pub cache_dir: Option<PathBuf>,
    /// `HF_TOKEN`: for gated and private models; `None` sends none.
    pub token: Option<String>,
    /// `HF_HUB_OFFLINE`: use what is in the cache and ask nobody.
    pub offline: bool,
    /// Branch, tag or commit; `main` when `None`.
    pub revision: Option<String>,
    /// Draw a progress bar on standard error.
    pub progress_bar: bool,
}

/// The token is a secret; it stays out of logs.
impl std::fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubOptions")
            .field("endpoint", &self.endpoint)
            .field("cache_dir", &self.cache_dir)
            .field("token", &self.token.as_ref().map(|_| "<hidden>"))
            .field("offline", &self.offline)
            .field("revision", &self.revision)
            .field("progress_bar", &self.progress_bar)
            .finish()
    }
}

impl ModelSource {
    /// What a command line means by `model`: a GGUF file if the name ends so; a folder if there is one
    /// of that name or the name is a path (it starts with `.`, `/` or `~`); or else a repository, with a colon and a quantisation behind it if it has GGUF files
    /// (`organisation/name:Q4_K_M`, as llama.cpp and vLLM write it).
    pub fn named(model: &str, options: HubOptions) -> Self {
        let path = PathBuf::from(model);
        let is_path = model.starts_with(['.', '/', '~']) || model.matches('/').count() > 1;
        if gguf::has_extension(&path) {
            return Self::Gguf(path);
        }
        if is_path || path.is_dir() {
            return Self::Folder(path);
        }
        let (repo, gguf) = match model.split_once(':') {
            Some((repo, gguf)) => (repo, Some(gguf.to_owned())),
            None => (model, None),
        };
        Self::Hub(HubRequest {
            repo: repo.to_owned(),
            gguf,
            options,
        })
    }
}
