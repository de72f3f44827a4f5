//! The flags of `purser serve`, as they are written: on the command line, in `PURSER_*` variables
//! and as keys of a TOML file. One struct defines all three; nothing here has a default, so that
//! the sources can be laid over each other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use text::{ReasoningFormat, ToolCallFormat};

use super::formats::FormatChoice;
use super::lora::LoraModule;
use super::names::{
    ContextModeName, DtypeName, KvCacheDtypeName, LoadFormatName, LogFormatName, QuantizationName,
};
use super::values::{ByteSize, DeviceName, TokenCount};

/// Flags of `purser serve`. Names and meanings are vLLM's where vLLM has them.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServeSettings {
    /// Model: a folder (config.json, tokenizer.json, safetensors), a GGUF file, or a hub id such as
    /// Qwen/Qwen3-0.6B or Qwen/Qwen3-0.6B-GGUF:Q8_0. Without it: Pebble-20M, which is inside this
    /// program
    #[arg(env = "PURSER_MODEL")]
    pub model: Option<String>,

    /// Branch, tag or commit of a hub model [default: main]
    #[arg(long, env = "PURSER_REVISION", help_heading = "Model")]
    pub revision: Option<String>,
    /// Names that clients may use; the first stands in answers [default: the model's name]
    #[arg(long, env = "PURSER_SERVED_MODEL_NAME", num_args = 1.., value_delimiter = ',',
          help_heading = "Model", value_name = "NAME")]
    pub served_model_name: Option<Vec<String>>,
    /// Encoder that embeds texts beside the model (/v1/embeddings): a folder or a hub id, such as
    /// BAAI/bge-small-en-v1.5 [default: none; the model embeds them itself]
    #[arg(
        long,
        env = "PURSER_EMBEDDING_MODEL",
        help_heading = "Model",
        value_name = "MODEL"
    )]
    pub embedding_model: Option<String>,
    /// What becomes of a folder's weights: dummy puts random ones in their place, to measure with
    /// [default: auto]
    #[arg(long, env = "PURSER_LOAD_FORMAT", help_heading = "Model")]
    pub load_format: Option<LoadFormatName>,
    /// Type of the weights in memory [default: auto]
    #[arg(long, env = "PURSER_DTYPE", help_heading = "Model")]
    pub dtype: Option<DtypeName>,
    /// Quantise weights of f32, f16 or bf16 while they are loaded [default: none]
    #[arg(long, env = "PURSER_QUANTIZATION", help_heading = "Model")]
    pub quantization: Option<QuantizationName>,
    /// Where quantised weights are kept for the next start: auto (beside the hub's cache, if
    /// quantising takes seconds), off, or a folder, which gets all of them [default: auto]
    #[arg(
        long,
        env = "PURSER_WEIGHTS_CACHE",
        help_heading = "Model",
        value_name = "auto|off|FOLDER"
    )]
    pub weights_cache: Option<String>,
    /// Bytes of --weights-cache; the oldest files make room: 512m, 20g [default: 20g]
    #[arg(
        long,
        env = "PURSER_WEIGHTS_CACHE_BYTES",
        help_heading = "Model",
        value_name = "BYTES"
    )]
    pub weights_cache_bytes: Option<ByteSize>,
    /// Longest sequence, prompt and output together: 8192, 8k, auto [default: auto, which is the
    /// model's limit or what memory allows]
    #[arg(
        long,
        env = "PURSER_MAX_MODEL_LEN",
        help_heading = "Model",
        value_name = "TOKENS"
    )]
    pub max_model_len: Option<TokenCount>,

    /// Serve LoRA adapters beside the model; implied by --lora-modules and
    /// --allow-runtime-lora-updating
    #[arg(long, env = "PURSER_ENABLE_LORA", num_args = 0..=1, default_missing_value = "true",
          help_heading = "Adapters")]
    pub enable_lora: Option<bool>,
    /// LoRA adapters, as PEFT saves them, and the names that requests give as their model: NAME=FOLDER,
    /// or {"name": "NAME", "path": "FOLDER"}
    #[arg(long, env = "PURSER_LORA_MODULES", num_args = 1.., help_heading = "Adapters",
          value_name = "NAME=FOLDER")]
    pub lora_modules: Option<Vec<LoraModule>>,
    /// Adapters that may be loaded at a time, those included that were unloaded and still have requests
    /// running [default: as many as --lora-modules, and at least 4 with --allow-runtime-lora-updating]
    #[arg(
        long,
        env = "PURSER_MAX_LORAS",
        help_heading = "Adapters",
        value_name = "N"
    )]
    pub max_loras: Option<usize>,
    /// Largest rank of an adapter; memory is kept for --max-loras of them [default: 16]
    #[arg(
        long,
        env = "PURSER_MAX_LORA_RANK",
        help_heading = "Adapters",
        value_name = "RANK"
    )]
    pub max_lora_rank: Option<usize>,
    /// Let clients load and unload adapters (/v1/load_lora_adapter, /v1/unload_lora_adapter). Off by
    /// default, because whoever may send requests can then have this process read any folder of this
    /// machine, and take away adapters that others use
    #[arg(long, env = "PURSER_ALLOW_RUNTIME_LORA_UPDATING", num_args = 0..=1,
          default_missing_value = "true", help_heading = "Adapters")]
    pub allow_runtime_lora_updating: Option<bool>,

    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, env = "PURSER_HOST", help_heading = "Server")]
    pub host: Option<String>,
    /// Port to listen on; 0 lets the system choose [default: 8000]
    #[arg(long, env = "PURSER_PORT", help_heading = "Server")]
    pub port: Option<u16>,
    /// Key that clients must send; several may be given. VLLM_API_KEY is read too
    #[arg(long, env = "PURSER_API_KEY", hide_env_values = true, num_args = 1..,
          value_delimiter = ',', help_heading = "Server", value_name = "KEY")]
    pub api_key: Option<Vec<String>>,
    /// Let a public address be used without an API key
    #[arg(long, env = "PURSER_INSECURE", num_args = 0..=1, default_missing_value = "true",
          help_heading = "Server")]
    pub insecure: Option<bool>,
    /// Largest body of a request: 32m [default: 32m]
    #[arg(
        long,
        env = "PURSER_MAX_BODY_BYTES",
        help_heading = "Server",
        value_name = "BYTES"
    )]
    pub max_body_bytes: Option<ByteSize>,
    /// Most messages of a conversation [default: 10000]
    #[arg(
        long,
        env = "PURSER_MAX_MESSAGES",
        help_heading = "Server",
        value_name = "N"
    )]
    pub max_messages: Option<usize>,
    /// Most answers to one prompt [default: 128]
    #[arg(long, env = "PURSER_MAX_N", help_heading = "Server", value_name = "N")]
    pub max_n: Option<usize>,
    /// Most alternatives that a client may ask for with logprobs [default: 20]
    #[arg(
        long,
        env = "PURSER_MAX_LOGPROBS",
        help_heading = "Server",
        value_name = "N"
    )]
    pub max_logprobs: Option<usize>,
    /// Seconds between comments in a stream that has nothing to say yet [default: 10]
    #[arg(
        long,
        env = "PURSER_KEEP_ALIVE_SECS",
        help_heading = "Server",
        value_name = "SECONDS"
    )]
    pub keep_alive_secs: Option<f64>,
    /// Serve no web page at /
    #[arg(long, env = "PURSER_NO_WEB_UI", num_args = 0..=1, default_missing_value = "true",
          help_heading = "Server")]
    pub no_web_ui: Option<bool>,
    /// Seconds that running requests have to finish after SIGTERM [default: 30]
    #[arg(
        long,
        env = "PURSER_SHUTDOWN_TIMEOUT",
        help_heading = "Server",
        value_name = "SECONDS"
    )]
    pub shutdown_timeout: Option<f64>,
    /// How logs are written [default: text]
    #[arg(long, env = "PURSER_LOG_FORMAT", help_heading = "Server")]
    pub log_format: Option<LogFormatName>,

    /// Where to compute; auto is the first GPU, or else the CPU [default: auto]
    #[arg(
        long,
        env = "PURSER_DEVICE",
        help_heading = "Engine",
        value_name = "auto|cpu|cuda[:N]|reference"
    )]
    pub device: Option<DeviceName>,
    /// Part of a GPU's memory that may be used, 0 to 1 [default: 0.9]
    #[arg(
        long,
        env = "PURSER_GPU_MEMORY_UTILIZATION",
        help_heading = "Engine",
        value_name = "FRACTION"
    )]
    pub gpu_memory_utilization: Option<f64>,
    /// Answer with the same bits whatever else is computed at the same time, also on a GPU, where that
    /// takes longer; on a CPU it is always so [default: false]
    #[arg(long, env = "PURSER_DETERMINISTIC", num_args = 0..=1, default_missing_value = "true",
          help_heading = "Engine")]
    pub deterministic: Option<bool>,
    /// Threads that compute [default: one per core]
    #[arg(
        long,
        short = 't',
        env = "PURSER_THREADS",
        help_heading = "Engine",
        value_name = "N"
    )]
    pub threads: Option<usize>,
    /// Keep each thread that computes on a core of its own, where the system can [default: false]
    #[arg(long, env = "PURSER_PIN_THREADS", num_args = 0..=1, default_missing_value = "true",
          help_heading = "Engine")]
    pub pin_threads: Option<bool>,
    /// Tokens computed in one step, of all requests together [default: 256 on a CPU;
    /// on a GPU 8192, or 2048 if it has less than 70 GiB]
    #[arg(
        long,
        env = "PURSER_MAX_NUM_BATCHED_TOKENS",
        help_heading = "Engine",
        value_name = "TOKENS"
    )]
    pub max_num_batched_tokens: Option<usize>,
    /// Sequences that run at the same time [default: 64]
    #[arg(
        long,
        env = "PURSER_MAX_NUM_SEQS",
        help_heading = "Engine",
        value_name = "N"
    )]
    pub max_num_seqs: Option<usize>,
    /// While others receive tokens, compute prompts in chunks so small that a step takes no longer
    /// than this many milliseconds; 0 does not care [default: 100]
    #[arg(
        long,
        env = "PURSER_TARGET_ITL_MS",
        help_heading = "Engine",
        value_name = "MS"
    )]
    pub target_itl_ms: Option<f64>,
    /// Requests that may wait before clients are told to come back later [default: 1024]
    #[arg(
        long,
        env = "PURSER_MAX_NUM_QUEUED_REQS",
        help_heading = "Engine",
        value_name = "N"
    )]
    pub max_num_queued_reqs: Option<usize>,
    /// Prompt tokens not in the cache that may wait [default: 1048576]
    #[arg(
        long,
        env = "PURSER_MAX_NUM_QUEUED_TOKENS",
        help_heading = "Engine",
        value_name = "TOKENS"
    )]
    pub max_num_queued_tokens: Option<TokenCount>,
    /// Give a GPU the next step before the last one's tokens are known; --no-async-scheduling does not
    #[arg(long, env = "PURSER_ASYNC_SCHEDULING", num_args = 0..=1,
          default_missing_value = "true", help_heading = "Engine")]
    pub async_scheduling: Option<bool>,
    /// Let a GPU wait between two steps until the tokens of the first are known
    #[arg(long, env = "PURSER_NO_ASYNC_SCHEDULING", num_args = 0..=1,
          default_missing_value = "true", help_heading = "Engine")]
    pub no_async_scheduling: Option<bool>,
    /// Seed of requests that have none [default: random]
    #[arg(long, env = "PURSER_SEED", help_heading = "Engine")]
    pub seed: Option<u64>,

    /// Memory of the KV cache: 2g, 512m [default: enough for four of the longest sequences, at most
    /// half of the memory that is free]
    #[arg(
        long,
        env = "PURSER_KV_CACHE_MEMORY_BYTES",
        help_heading = "KV cache",
        value_name = "BYTES"
    )]
    pub kv_cache_memory_bytes: Option<ByteSize>,
    /// Type of the KV cache's elements [default: auto, which is bfloat16]
    #[arg(long, env = "PURSER_KV_CACHE_DTYPE", help_heading = "KV cache")]
    pub kv_cache_dtype: Option<KvCacheDtypeName>,
    /// Tokens per block [default: 16]
    #[arg(
        long,
        env = "PURSER_BLOCK_SIZE",
        help_heading = "KV cache",
        value_name = "TOKENS"
    )]
    pub block_size: Option<usize>,
    /// Keep computed prefixes for later requests; --no-enable-prefix-caching does not
    #[arg(long, env = "PURSER_ENABLE_PREFIX_CACHING", num_args = 0..=1,
          default_missing_value = "true", help_heading = "KV cache")]
    pub enable_prefix_caching: Option<bool>,
    /// Compute every prompt whole
    #[arg(long, env = "PURSER_NO_ENABLE_PREFIX_CACHING", num_args = 0..=1,
          default_missing_value = "true", help_heading = "KV cache")]
    pub no_enable_prefix_caching: Option<bool>,
    /// Let requests with different API keys share cached prefixes; whoever has a key can then learn
    /// from the time to the first token what others have asked
    #[arg(long, env = "PURSER_SHARED_PREFIX_CACHE", num_args = 0..=1,
          default_missing_value = "true", help_heading = "KV cache")]
    pub shared_prefix_cache: Option<bool>,
    /// Fraction of the blocks kept free when a request is admitted beside others [default: 0.01]
    #[arg(
        long,
        env = "PURSER_WATERMARK",
        help_heading = "KV cache",
        value_name = "FRACTION"
    )]
    pub watermark: Option<f64>,

    /// Folder where evicted blocks are kept, so that prefixes survive the pool and a restart
    /// [default: none]
    #[arg(
        long,
        env = "PURSER_KV_DISK",
        help_heading = "KV cache",
        value_name = "FOLDER"
    )]
    pub kv_disk: Option<PathBuf>,
    /// Bytes of --kv-disk; the oldest blocks make room: 512m, 20g [default: 10g]
    #[arg(
        long,
        env = "PURSER_KV_DISK_BYTES",
        help_heading = "KV cache",
        value_name = "BYTES"
    )]
    pub kv_disk_bytes: Option<ByteSize>,
    /// Fraction of the blocks that may hold retained prefixes (cache_control, prompt_cache_retention)
    /// [default: 0.75]
    #[arg(
        long,
        env = "PURSER_RETENTION_MAX_SHARE",
        help_heading = "KV cache",
        value_name = "FRACTION"
    )]
    pub retention_max_share: Option<f64>,
    /// The same for each API key and prompt_cache_key [default: 0.5]
    #[arg(
        long,
        env = "PURSER_RETENTION_MAX_SHARE_PER_KEY",
        help_heading = "KV cache",
        value_name = "FRACTION"
    )]
    pub retention_max_share_per_key: Option<f64>,
    /// Send spans of requests to this URL by OTLP over HTTP with protobuf:
    /// http://localhost:4318/v1/traces. Of OpenTelemetry's variables these are read:
    /// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, _HEADERS and _TIMEOUT, and the same for all signals
    /// (OTEL_EXPORTER_OTLP_ENDPOINT, to which /v1/traces is added); OTEL_SERVICE_NAME,
    /// OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and _ARG, OTEL_BSP_*,
    /// OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, OTEL_TRACES_EXPORTER (otlp, none), OTEL_SDK_DISABLED
    /// [default: none]
    #[arg(
        long,
        env = "PURSER_OTLP_TRACES_ENDPOINT",
        help_heading = "Server",
        value_name = "URL"
    )]
    pub otlp_traces_endpoint: Option<String>,
    /// Requests whose records /v1/requests tells; 0 keeps none [default: 1000]
    #[arg(
        long,
        env = "PURSER_REQUEST_RECORDS",
        help_heading = "Server",
        value_name = "N"
    )]
    pub request_records: Option<usize>,

    /// How the model writes calls of tools: auto (by its chat template), none, or a name as vLLM's
    /// [default: auto]
    #[arg(
        long,
        env = "PURSER_TOOL_CALL_PARSER",
        help_heading = "Server",
        value_name = "NAME"
    )]
    pub tool_call_parser: Option<FormatChoice<ToolCallFormat>>,
    /// How the model writes what it thinks before it answers: auto, none, or a name as vLLM's
    /// [default: auto]
    #[arg(
        long,
        env = "PURSER_REASONING_PARSER",
        help_heading = "Server",
        value_name = "NAME"
    )]
    pub reasoning_parser: Option<FormatChoice<ReasoningFormat>>,

    /// What the context budgeter does with requests that do not say (no `context_budget`)
    /// [default: off]
    #[arg(long, env = "PURSER_CONTEXT_MODE", help_heading = "Context budget")]
    pub context_mode: Option<ContextModeName>,
    /// Profile of requests that name none: one of the `[profiles]` of the --config file, or a preset
    /// [default: default]
    #[arg(
        long,
        env = "PURSER_CONTEXT_PROFILE",
        help_heading = "Context budget",
        value_name = "NAME"
    )]
    pub context_profile: Option<String>,
    /// File of the memory store: offloaded text and memories [default: none, they end with the
    /// process]
    #[arg(
        long,
        env = "PURSER_CONTEXT_MEMORY",
        help_heading = "Context budget",
        value_name = "FILE"
    )]
    pub context_memory: Option<PathBuf>,
    /// Memory for edits of earlier requests, which are repeated when a client sends its history
    /// again [default: 256m]
    #[arg(
        long,
        env = "PURSER_CONTEXT_LEDGER_BYTES",
        help_heading = "Context budget",
        value_name = "BYTES"
    )]
    pub context_ledger_bytes: Option<ByteSize>,
    /// Share of a step's tokens that summaries written in the background may take while requests run,
    /// 0 to 1 [default: 0.15]
    #[arg(
        long,
        env = "PURSER_CONTEXT_MAX_BACKGROUND_SHARE",
        help_heading = "Context budget",
        value_name = "FRACTION"
    )]
    pub context_max_background_share: Option<f64>,
    /// Profiles of the context budgeter, by name: only in the file.
    #[arg(skip)]
    pub profiles: Option<BTreeMap<String, serde_json::Value>>,

    /// TOML file with these flags as keys (port = 9000). Flags and variables are stronger
    #[arg(long, env = "PURSER_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}
