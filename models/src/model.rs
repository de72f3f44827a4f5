//! Opening a model: configuration, files and headers, before anything is allocated.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use kernels::KvDtype;
use thiserror::Error;

use crate::config::{ConfigError, ModelConfig};
use crate::dummy;
use crate::gguf::{self, GgufError};
use crate::pooling::{Pooling, Poolings};
use crate::source::ModelSource;
use crate::weights::{Checkpoint, WeightsError, expected, safetensors};
use crate::weights_cache::WeightsCache;

/// An embedder that is a decoder has a text's vector behind its last token.
const POOLINGS: Poolings = Poolings {
    known: &[Pooling::LastToken],
    in_words: "lasttoken, with a decoder",
};

/// A model whose configuration is valid and whose tensors are all there; nothing is loaded.
///
/// Life cycle: [`open`] checks everything that can be checked, so that the caller can size the KV
/// cache from [`Model::config`]; [`Model::load`] packs the weights and gives the runner.
pub struct Model {
    pub(crate) config: ModelConfig,
    pub(crate) checkpoint: Checkpoint,
    name: String,
    files: ModelFiles,
    unread_tensors: Vec<String>,
    unread_metadata: Vec<String>,
    fingerprint: [u8; 32],
    pub(crate) weights_cache: Option<WeightsCache>,
}

/// The files of a model that are not its weights, as they are.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    /// `config.json`
    pub config: Cow<'static, [u8]>,
    /// `generation_config.json`
    pub generation_config: Option<Cow<'static, [u8]>>,
    /// `tokenizer.json`
    pub tokenizer: Option<Cow<'static, [u8]>>,
    /// `tokenizer_config.json`
    pub tokenizer_config: Option<Cow<'static, [u8]>>,
    /// `special_tokens_map.json`
    pub special_tokens_map: Option<Cow<'static, [u8]>>,
    /// `chat_template.jinja`
    pub chat_template: Option<Cow<'static, [u8]>>,
}

/// Why a model cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// There is no such folder.
    #[error("{}: no such folder", .0.display())]
    NoFolder(PathBuf),
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The program was built without this source.
    #[error("{what} needs the cargo feature `{feature}`, which this program was built without")]
    NotBuilt {
        /// The source.
        what: String,
        /// The feature.
        feature: &'static str,
    },
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A GGUF file.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// What is no encoder's.
    #[error("{0}: embedding models are read from safetensors, in a folder or of a hub")]
    NotAnEncoder(String),
    /// The network of an encoder.
    #[error("building the encoder: {0}")]
    Network(String),
    /// The hub.
    #[error(transparent)]
    Hub(#[from] crate::hub::HubError),
}

/// Opens a model; one of a hub is downloaded first, unless it is in the cache.
///
/// # Errors
/// Anything wrong with the source, the configuration or the headers of the weights; each error
/// names the file, field or tensor.
pub fn open(source: &ModelSource) -> Result<Model, OpenError> {
    match source {
        ModelSource::Folder(folder) => open_folder(folder, folder.display().to_string()),
        ModelSource::Gguf(file) => gguf::open(file, file.display().to_string()),
        ModelSource::Dummy(folder) => dummy::open(folder),
        ModelSource::Embedded => crate::embedded::open(),
        ModelSource::Hub(request) => {
            let path = crate::hub::fetch(request)?;
            match gguf::has_extension(&path) {
                true => gguf::open(&path, request.repo.clone()),
                false => open_folder(&path, request.repo.clone()),
            }
        }
    }
}

impl Model {
    pub(crate) fn new(
        name: String,
        files: ModelFiles,
        checkpoint: Checkpoint,
    ) -> Result<Self, OpenError> {
        let config = ModelConfig::parse(&files.config, files.generation_config.as_deref())?;
        Self::with_config(name, files, config, checkpoint)
    }

    /// A model whose configuration is more than what its files say.
    pub(crate) fn with_config(
        name: String,
        files: ModelFiles,
        config: ModelConfig,
        checkpoint: Checkpoint,
    ) -> Result<Self, OpenError> {
        let checkpoint = checkpoint.in_plain_naming(&config)?;
        Self::with_plain_names(name, files, config, checkpoint)
    }

    /// A model whose tensors have the names of all families already.
    pub(crate) fn with_plain_names(
        name: String,
        files: ModelFiles,
        config: ModelConfig,
        checkpoint: Checkpoint,
    ) -> Result<Self, OpenError> {
        let unread_tensors = checkpoint.check(&config)?;
        let mut hasher = blake3::Hasher::new_derive_key("purser model fingerprint 1");
        hasher.update(&(files.config.len() as u64).to_le_bytes());
        hasher.update(&files.config);
        checkpoint.fingerprint(&mut hasher);
        let fingerprint = *hasher.finalize().as_bytes();
        Ok(Self {
            config,
            checkpoint,
            name,
            files,
            unread_tensors,
            unread_metadata: Vec::new(),
            fingerprint,
            weights_cache: None,
        })
    }

    pub(crate) fn with_unread_metadata(self, unread_metadata: Vec<String>) -> Self {
        Self {
            unread_metadata,
            ..self
        }
    }

    /// Keeps weights that are quantised at load in `cache`, and takes them from there.
    pub fn with_weights_cache(self, cache: WeightsCache) -> Self {
        Self {
            weights_cache: Some(cache),
            ..self
        }
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Its name: the embedded model's, the folder, or the hub's id.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tokenizer, template and configuration, as they are in the source.
    pub fn files(&self) -> &ModelFiles {
        &self.files
    }

    /// Tensors of the checkpoint that nothing reads, although they are not known to be superfluous:
    /// worth a warning, because the model may be meant to be another one.
    pub fn unread_tensors(&self) -> &[String] {
        &self.unread_tensors
    }

    /// Metadata of a GGUF file's architecture that nothing reads; worth a warning, as above.
    pub fn unread_metadata(&self) -> &[String] {
        &self.unread_metadata
    }

    /// Digest of the configuration and of every tensor's name, type, shape and first 4 KiB. Equal
    /// fingerprints mean equal KV for equal tokens.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Bytes of the weights in the checkpoint.
    pub fn weight_bytes(&self) -> usize {
        let tensors = expected(&self.config);
        let bytes = tensors
            .iter()
            .map(|tensor| self.checkpoint.num_bytes(&tensor.name));
        bytes.sum()
    }

    /// Bytes that one token's keys and values take in all layers.
    pub fn kv_bytes_per_token(&self, dtype: KvDtype) -> usize {
        self.config.kv_bytes_per_token(dtype)
    }
}

impl ModelFiles {
    /// The files in `folder`.
    ///
    /// # Errors
    /// `NoFolder`; `Io`, of a configuration that is not there, too.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, OpenError> {
        if !folder.is_dir() {
            return Err(OpenError::NoFolder(folder.to_owned()));
        }
        let optional = |name: &str| optional_file(folder, name);
        let path = folder.join("config.json");
        let config = std::fs::read(&path).map_err(|source| OpenError::Io { path, source })?;
        Ok(Self {
            config: Cow::Owned(config),
            generation_config: optional("generation_config.json")?,
            tokenizer: optional("tokenizer.json")?,
            tokenizer_config: optional("tokenizer_config.json")?,
            special_tokens_map: optional("special_tokens_map.json")?,
            chat_template: optional("chat_template.jinja")?,
        })
    }
}

/// One file of a folder, if it is there.
///
/// # Errors
/// `Io`
pub(crate) fn optional_file(
    folder: &Path,
    name: &str,
) -> Result<Option<Cow<'static, [u8]>>, OpenError> {
    match std::fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::Io {
            path: folder.join(name),
            source,
        }),
    }
}

fn open_folder(folder: &Path, name: String) -> Result<Model, OpenError> {
    if !folder.is_dir() {
        return Err(OpenError::NoFolder(folder.to_owned()));
    }
    if !safetensors::is_in(folder)
        && let Some(file) = gguf::in_folder(folder)?
    {
        return gguf::open(&file, name);
    }
    let files = ModelFiles::in_folder(folder)?;
    // An unsupported architecture is the more useful news than a missing file of weights.
    ModelConfig::parse(&files.config, files.generation_config.as_deref())?;
    Pooling::in_folder(folder, POOLINGS)?;
    Model::new(name, files, safetensors::open(folder)?)
}
