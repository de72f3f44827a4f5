//! The checked settings of `purser serve`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use context::{Mode, Settings};
use engine::RetentionConfig;
use models::{ModelSource, WeightsCache};
use reqwest::Url;

use super::formats::AnswerFormats;
use super::lora::LoraModule;

/// Everything that serving needs to know, checked once.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The model.
    pub model: ModelSource,
    /// Where weights are kept that are quantised at load; `None` keeps none.
    pub weights_cache: Option<WeightsCache>,
    /// Names under which clients may ask for it; the first is the one in answers. Not empty.
    pub served_model_names: Vec<String>,
    /// The encoder beside it; `None` has none.
    pub embedding_model: Option<EmbeddingModel>,
    /// Adapters; `None` has no room for any.
    pub lora: Option<LoraConfig>,
    /// Where to listen.
    pub listen: ListenConfig,
    /// Who may ask.
    pub access: AccessConfig,
    /// How much is computed at once.
    pub engine: EngineConfig,
    /// What a request may look like.
    pub limits: RequestLimits,
    /// What the context budgeter does.
    pub context: ContextConfig,
    /// How answers are read.
    pub formats: AnswerFormats,
    /// Requests whose records are kept.
    pub request_records: usize,
    /// Where spans of requests go; `None` makes none.
    pub traces: Option<TracesConfig>,
    /// Whether there is a web page at `/`.
    pub web_ui: bool,
    /// How logs are written.
    pub log_format: LogFormat,
    /// How long running requests may take to finish once the server is asked to stop.
    pub shutdown_timeout: Duration,
}

/// An encoder.
#[derive(Clone, Debug)]
pub struct EmbeddingModel {
    /// What requests call it.
    pub name: String,
    /// Where it comes from.
    pub source: ModelSource,
}

/// Adapters of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoraConfig {
    /// What there is room for.
    pub limits: models::LoraLimits,
    /// Those that are loaded at start.
    pub modules: Vec<LoraModule>,
    /// Whether clients may load and unload others.
    pub at_run_time: bool,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenConfig {
    /// Address.
    pub host: IpAddr,
    /// Port; 0 lets the system choose.
    pub port: u16,
}

/// Who may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessConfig {
    /// Keys, one of which a request must carry; empty lets everybody in.
    pub api_keys: Vec<String>,
    /// Whether keys share cached prefixes.
    pub shared_prefix_cache: bool,
}

/// How much is computed at once.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Device that computes.
    pub device: models::Device,
    /// Part of a GPU's memory that may be used.
    pub gpu_memory_utilization: f64,
    /// Whether a GPU may sum in whichever order is fastest.
    pub sum_order: models::SumOrder,
    /// Type of the weights in memory.
    pub dtype: models::Dtype,
    /// What becomes of weights at load.
    pub quantization: models::Quantization,
    /// Threads; `None` is one per core.
    pub threads: Option<usize>,
    /// Whether each of them stays on a core of its own.
    pub pin_threads: bool,
    /// Longest sequence in tokens; `None` is the model's own limit, or what memory allows.
    pub max_model_len: Option<usize>,
    /// Tokens per step; `None` is the device's default.
    pub max_num_batched_tokens: Option<usize>,
    /// Sequences per step; `None` is the device's default.
    pub max_num_seqs: Option<usize>,
    /// Tokens per block.
    pub block_size: usize,
    /// Type of the KV cache's elements.
    pub kv_cache_dtype: models::KvCacheDtype,
    /// Bytes of the KV cache; `None` chooses from the memory that is free.
    pub kv_cache_memory_bytes: Option<usize>,
    /// Whether computed prefixes are kept.
    pub enable_prefix_caching: bool,
    /// Whether a GPU is given the next step before the last one has ended.
    pub async_scheduling: bool,
    /// Inter-token latency to keep while prompts are computed; `None` does not care.
    pub target_itl: Option<Duration>,
    /// Requests that may wait.
    pub max_num_queued_reqs: usize,
    /// Uncached tokens that may wait; `None` is the engine's default.
    pub max_num_queued_tokens: Option<usize>,
    /// Fraction of the blocks kept free when a request is admitted beside others.
    pub watermark: f64,
    /// Where evicted blocks are kept; `None` drops them.
    pub kv_disk: Option<KvDisk>,
    /// How much of the pool can be retained.
    pub retention: RetentionConfig,
    /// Seed from which requests without one draw theirs; `None` draws it from the system.
    pub seed: Option<u64>,
}

/// Where evicted blocks are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvDisk {
    /// Folder.
    pub folder: PathBuf,
    /// Bytes at most.
    pub max_bytes: u64,
}

/// What a request may look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of a request's body.
    pub max_body_bytes: usize,
    /// Messages of a conversation.
    pub max_messages: usize,
    /// Answers to one prompt.
    pub max_n: usize,
    /// Likeliest tokens that a client may ask for per position.
    pub max_logprobs: usize,
    /// Time between comments in a stream that has nothing else to say.
    pub keep_alive: Duration,
}

/// What the context budgeter does.
#[derive(Clone, Debug, PartialEq)]
pub struct ContextConfig {
    /// With requests that do not say.
    pub mode: Mode,
    /// Profile of requests that name none.
    pub profile: String,
    /// Profiles by name; the presets are known besides.
    pub profiles: BTreeMap<String, Settings>,
    /// File of the memory store; `None` keeps it in the process.
    pub memory: Option<PathBuf>,
    /// Bytes for edits of earlier requests.
    pub ledger_bytes: usize,
    /// Share of a step's tokens that background requests may take while others run, 0 to 1.
    pub max_background_share: f64,
}

impl Default for ContextConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            profile: "default".to_owned(),
            profiles: BTreeMap::new(),
            memory: None,
            ledger_bytes: 256 << 20,
            max_background_share: 0.15,
        }
    }
}

/// Where spans of requests go, by OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracesConfig {
    /// The collector's URL, used as it is.
    pub endpoint: Url,
    /// How long the collector may take to answer.
    pub timeout: Duration,
    /// The service's name; `None` is what the resource's attributes say, or else Purser.
    pub service_name: Option<String>,
    /// Spans that may wait to be sent; what is more is lost.
    pub max_queue: usize,
    /// Spans that are sent together at most; at most `max_queue`.
    pub max_batch: usize,
    /// How long spans wait for others to be sent with.
    pub delay: Duration,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
