//! Configuration: read once, checked once, never looked at again.
//!
//! The command line is stronger than `PURSER_*` variables, these than a TOML file, and that than the
//! defaults. [`resolve`] lays them over each other and checks the result.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::RetentionConfig;
use models::{
    Device, Dtype, HubOptions, KvCacheDtype, ModelSource, Quantization, SumOrder, WeightsCache,
};

mod context;
pub mod formats;
mod layers;
pub mod lora;
pub mod names;
pub mod serve;
pub mod settings;
mod traces;
pub mod values;

use formats::AnswerFormats;
use names::{DtypeName, KvCacheDtypeName, LoadFormatName, LogFormatName, QuantizationName};
use serve::{
    AccessConfig, EmbeddingModel, EngineConfig, KvDisk, ListenConfig, LogFormat, RequestLimits,
    ServeConfig,
};
use settings::ServeSettings;

/// The folder of quantised weights beside the hub's cache.
const WEIGHTS_CACHE: &str = "purser-weights";

/// A setting that cannot work, with the name of its flag.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {message}", path.display())]
    Toml {
        /// Its path.
        path: PathBuf,
        /// Key and reason.
        message: String,
    },
    /// A value is out of its range, or contradicts another.
    #[error("--{flag}: {message}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// The environment as the process found it: a variable's value by its name.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's own environment.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Lays `flags` (command line and variables) over the file that they name, and checks everything.
///
/// # Errors
/// The first setting that cannot work.
pub fn resolve(
    flags: ServeSettings,
    environment: Environment<'_>,
) -> Result<ServeConfig, ConfigError> {
    let settings = match flags.config.clone() {
        Some(path) => flags.over(read_file(&path)?),
        None => flags,
    };
    let listen = listen(&settings)?;
    let access = access(&settings, &listen, environment)?;
    let model = model(&settings, environment)?;
    let served_model_names = served_names(&settings, &model)?;
    let embedding_model = embedding_model(&settings, &served_model_names, environment)?;
    let encoder_name = embedding_model.iter().map(|encoder| encoder.name.clone());
    let names: Vec<String> = served_model_names
        .iter()
        .cloned()
        .chain(encoder_name)
        .collect();
    Ok(ServeConfig {
        lora: lora::lora(&settings, &names)?,
        embedding_model,
        served_model_names,
        model,
        weights_cache: weights_cache(&settings, environment),
        engine: engine(&settings)?,
        limits: limits(&settings)?,
        context: context::context(&settings)?,
        formats: AnswerFormats {
            tool_calls: settings.tool_call_parser.unwrap_or_default(),
            reasoning: settings.reasoning_parser.unwrap_or_default(),
        },
        request_records: settings.request_records.unwrap_or(1_000),
        traces: traces::traces(&settings, environment)?,
        web_ui: !settings.no_web_ui.unwrap_or(false),
        log_format: match settings.log_format {
            None | Some(LogFormatName::Text) => LogFormat::Text,
            Some(LogFormatName::Json) => LogFormat::Json,
        },
        shutdown_timeout: seconds("shutdown-timeout", settings.shutdown_timeout, 30.0)?,
        listen,
        access,
    })
}

fn read_file(path: &Path) -> Result<ServeSettings, ConfigError> {
    let owned = path.to_owned();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File {
        path: owned.clone(),
        source,
    })?;
    let wrong = |error: toml::de::Error| ConfigError::Toml {
        path: owned.clone(),
        message: error.to_string(),
    };
    let table: toml::Table = toml::from_str(&text).map_err(wrong)?;
    // `max_model_len` and `max-model-len` are the same key.
    let keys = table
        .into_iter()
        .map(|(key, value)| (key.replace('_', "-"), value));
    toml::Value::Table(keys.collect()).try_into().map_err(wrong)
}

fn listen(settings: &ServeSettings) -> Result<ListenConfig, ConfigError> {
    let host = match settings.host.as_deref() {
        None | Some("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(host) => host.parse().map_err(|_| {
            wrong(
                "host",
                format!("`{host}` is no IP address; write 127.0.0.1, 0.0.0.0 or ::"),
            )
        })?,
    };
    Ok(ListenConfig {
        host,
        port: settings.port.unwrap_or(8_000),
    })
}

fn access(
    settings: &ServeSettings,
    listen: &ListenConfig,
    environment: Environment<'_>,
) -> Result<AccessConfig, ConfigError> {
    let from_vllm = || environment("VLLM_API_KEY").map(|key| vec![key]);
    let api_keys = settings
        .api_key
        .clone()
        .or_else(from_vllm)
        .unwrap_or_default();
    let sendable = |key: &String| !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic());
    if !api_keys.iter().all(sendable) {
        return Err(wrong(
            "api-key",
            "a key has at least one character, and no blanks",
        ));
    }
    let public = !listen.host.is_loopback();
    if public && api_keys.is_empty() && !settings.insecure.unwrap_or(false) {
        let message = format!(
            "{} can be reached by others, and no --api-key is set; set one, or allow everybody in \
             with --insecure",
            listen.host
        );
        return Err(wrong("host", message));
    }
    let shared_prefix_cache = settings.shared_prefix_cache.unwrap_or(false);
    Ok(AccessConfig {
        api_keys,
        shared_prefix_cache,
    })
}

fn model(
    settings: &ServeSettings,
    environment: Environment<'_>,
) -> Result<ModelSource, ConfigError> {
    let named = settings.model.as_deref().filter(|model| !model.is_empty());
    if settings.load_format == Some(LoadFormatName::Dummy) {
        let message = "random weights take the place of a folder's; name one with a config.json";
        let folder = named.map(PathBuf::from).filter(|path| path.is_dir());
        return folder
            .map(ModelSource::Dummy)
            .ok_or_else(|| wrong("load-format", message));
    }
    let Some(model) = named else {
        return Ok(ModelSource::Embedded);
    };
    let mut options = HubOptions::from_lookup(environment);
    options.revision = settings.revision.clone();
    options.progress_bar = true;
    Ok(ModelSource::named(model, options))
}

/// The encoder, under a name that is not the model's. `--revision` is about the model.
fn embedding_model(
    settings: &ServeSettings,
    model_names: &[String],
    environment: Environment<'_>,
) -> Result<Option<EmbeddingModel>, ConfigError> {
    let named = settings.embedding_model.as_deref();
    let Some(model) = named.filter(|model| !model.is_empty()) else {
        return Ok(None);
    };
    let mut options = HubOptions::from_lookup(environment);
    options.progress_bar = true;
    let source = ModelSource::named(model, options);
    let name = default_name(&source);
    match model_names.contains(&name) {
        false => Ok(Some(EmbeddingModel { name, source })),
        true => {
            let message = format!("two models would be called {name}; see --served-model-name");
            Err(wrong("embedding-model", message))
        }
    }
}

/// Beside the hub's cache, or where the setting says.
fn weights_cache(settings: &ServeSettings, environment: Environment<'_>) -> Option<WeightsCache> {
    let (folder, only_slow) = match settings.weights_cache.as_deref() {
        Some("off") => return None,
        Some("auto") | None => {
            let hub = HubOptions::from_lookup(environment).cache_dir?;
            (hub.with_file_name(WEIGHTS_CACHE), true)
        }
        Some(folder) => (PathBuf::from(folder), false),
    };
    let max_bytes = settings.weights_cache_bytes.map_or(20 << 30, |size| size.0);
    Some(WeightsCache {
        folder,
        max_bytes: max_bytes as u64,
        only_slow,
    })
}

fn served_names(settings: &ServeSettings, model: &ModelSource) -> Result<Vec<String>, ConfigError> {
    if let Some(names) = &settings.served_model_name {
        return match names.iter().any(String::is_empty) || names.is_empty() {
            true => Err(wrong(
                "served-model-name",
                "a name has at least one character",
            )),
            false => Ok(names.clone()),
        };
    }
    Ok(vec![default_name(model)])
}

/// What a model is called where nothing else is said.
fn default_name(model: &ModelSource) -> String {
    match model {
        ModelSource::Embedded => "pebble-20m".to_owned(),
        ModelSource::Hub(request) => request.repo.clone(),
        ModelSource::Gguf(path) => path.file_stem().map_or_else(
            || "model".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        ),
        ModelSource::Folder(path) | ModelSource::Dummy(path) => path
            .canonicalize()
            .ok()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .unwrap_or_else(|| path.display().to_string()),
    }
}

fn engine(settings: &ServeSettings) -> Result<EngineConfig, ConfigError> {
    let max_num_seqs = at_least_one("max-num-seqs", settings.max_num_seqs)?;
    let batched = at_least_one("max-num-batched-tokens", settings.max_num_batched_tokens)?;
    if let (Some(batched), Some(max_num_seqs)) = (batched, max_num_seqs)
        && batched < max_num_seqs
    {
        let message = format!(
            "{batched} tokens per step leave no room for --max-num-seqs {max_num_seqs}, which need \
             one each"
        );
        return Err(wrong("max-num-batched-tokens", message));
    }
    let watermark = settings.watermark.unwrap_or(0.01);
    if !(0.0..1.0).contains(&watermark) {
        return Err(wrong(
            "watermark",
            format!("{watermark} must be at least 0 and below 1"),
        ));
    }
    let target_itl = settings.target_itl_ms.unwrap_or(100.0);
    let target_itl = seconds("target-itl-ms", Some(target_itl / 1_000.0), 0.0)?;
    Ok(EngineConfig {
        device: settings.device.map_or(Device::Auto, |device| device.0),
        gpu_memory_utilization: gpu_memory_utilization(settings)?,
        sum_order: match settings.deterministic {
            Some(true) => SumOrder::Fixed,
            None | Some(false) => SumOrder::Free,
        },
        dtype: match settings.dtype {
            None | Some(DtypeName::Auto) => Dtype::Auto,
            Some(DtypeName::Float32) => Dtype::Float32,
            Some(DtypeName::Bfloat16) => Dtype::Bfloat16,
            Some(DtypeName::Float16) => Dtype::Float16,
        },
        quantization: quantization(settings)?,
        threads: at_least_one("threads", settings.threads)?,
        pin_threads: settings.pin_threads.unwrap_or(false),
        max_model_len: settings.max_model_len.and_then(|count| count.0),
        max_num_batched_tokens: batched,
        max_num_seqs,
        block_size: at_least_one("block-size", settings.block_size)?.unwrap_or(16),
        kv_cache_dtype: match settings.kv_cache_dtype {
            None | Some(KvCacheDtypeName::Auto) => KvCacheDtype::Auto,
            Some(KvCacheDtypeName::Float32) => KvCacheDtype::Float32,
            Some(KvCacheDtypeName::Bfloat16) => KvCacheDtype::Bfloat16,
            Some(KvCacheDtypeName::Int8) => KvCacheDtype::Int8,
            Some(KvCacheDtypeName::Fp8) => KvCacheDtype::Fp8,
        },
        kv_cache_memory_bytes: settings.kv_cache_memory_bytes.map(|size| size.0),
        enable_prefix_caching: prefix_caching(settings)?,
        async_scheduling: switch(
            "async-scheduling",
            settings.async_scheduling,
            settings.no_async_scheduling,
        )?,
        target_itl: (!target_itl.is_zero()).then_some(target_itl),
        max_num_queued_reqs: at_least_one("max-num-queued-reqs", settings.max_num_queued_reqs)?
            .unwrap_or(1_024),
        max_num_queued_tokens: settings.max_num_queued_tokens.and_then(|count| count.0),
        watermark,
        kv_disk: kv_disk(settings)?,
        retention: retention(settings)?,
        seed: settings.seed,
    })
}

fn gpu_memory_utilization(settings: &ServeSettings) -> Result<f64, ConfigError> {
    let fraction = settings.gpu_memory_utilization.unwrap_or(0.9);
    match fraction > 0.0 && fraction <= 1.0 {
        true => Ok(fraction),
        false => {
            let message = format!("{fraction} must be above 0 and at most 1");
            Err(wrong("gpu-memory-utilization", message))
        }
    }
}

fn quantization(settings: &ServeSettings) -> Result<Quantization, ConfigError> {
    let (quantization, dtype) = match settings.quantization {
        None | Some(QuantizationName::None) => return Ok(Quantization::None),
        Some(QuantizationName::Bf16) => (Quantization::Bf16, DtypeName::Bfloat16),
        // No --dtype is one of these.
        Some(QuantizationName::Q8_0) => (Quantization::Q8_0, DtypeName::Auto),
        Some(QuantizationName::Q4KM) => (Quantization::Q4KM, DtypeName::Auto),
    };
    match settings.dtype {
        Some(given) if given != DtypeName::Auto && given != dtype => {
            let message = format!(
                "{} is a type of weights too, and --dtype says another; leave one out",
                quantization.name()
            );
            Err(wrong("quantization", message))
        }
        _ => Ok(quantization),
    }
}

fn prefix_caching(settings: &ServeSettings) -> Result<bool, ConfigError> {
    switch(
        "enable-prefix-caching",
        settings.enable_prefix_caching,
        settings.no_enable_prefix_caching,
    )
}

/// What is on unless it is turned off.
fn switch(name: &'static str, on: Option<bool>, off: Option<bool>) -> Result<bool, ConfigError> {
    match (on, off) {
        (Some(on), Some(off)) if on == off => {
            Err(wrong(name, "it is both turned on and turned off"))
        }
        (on, off) => Ok(on.unwrap_or(!off.unwrap_or(false))),
    }
}

fn limits(settings: &ServeSettings) -> Result<RequestLimits, ConfigError> {
    let keep_alive = seconds("keep-alive-secs", settings.keep_alive_secs, 10.0)?;
    if keep_alive.is_zero() {
        return Err(wrong("keep-alive-secs", "it must be above 0"));
    }
    Ok(RequestLimits {
        max_body_bytes: settings.max_body_bytes.map_or(32 << 20, |size| size.0),
        max_messages: at_least_one("max-messages", settings.max_messages)?.unwrap_or(10_000),
        max_n: at_least_one("max-n", settings.max_n)?.unwrap_or(128),
        max_logprobs: settings.max_logprobs.unwrap_or(20),
        keep_alive,
    })
}

fn kv_disk(settings: &ServeSettings) -> Result<Option<KvDisk>, ConfigError> {
    let Some(folder) = settings.kv_disk.clone() else {
        return match settings.kv_disk_bytes {
            None => Ok(None),
            Some(_) => Err(wrong("kv-disk-bytes", "there is no --kv-disk to bound")),
        };
    };
    if !prefix_caching(settings)? {
        return Err(wrong(
            "kv-disk",
            "without prefix caching there is nothing to keep",
        ));
    }
    let max_bytes = settings.kv_disk_bytes.map_or(10 << 30, |size| size.0);
    Ok(Some(KvDisk {
        folder,
        max_bytes: max_bytes as u64,
    }))
}

fn retention(settings: &ServeSettings) -> Result<RetentionConfig, ConfigError> {
    let share = |flag, value: Option<f64>, default| {
        let share = value.unwrap_or(default);
        match (0.0..=1.0).contains(&share) {
            true => Ok(share),
            false => Err(wrong(flag, format!("{share} must be between 0 and 1"))),
        }
    };
    let per_key = settings.retention_max_share_per_key;
    Ok(RetentionConfig {
        max_share: share("retention-max-share", settings.retention_max_share, 0.75)?,
        max_share_per_key: share("retention-max-share-per-key", per_key, 0.5)?,
    })
}

fn at_least_one(flag: &'static str, value: Option<usize>) -> Result<Option<usize>, ConfigError> {
    match value {
        Some(0) => Err(wrong(flag, "it must be at least 1")),
        value => Ok(value),
    }
}

fn seconds(flag: &'static str, value: Option<f64>, default: f64) -> Result<Duration, ConfigError> {
    let value = value.unwrap_or(default);
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|duration| duration.as_secs() <= 86_400)
        .ok_or_else(|| wrong(flag, "it must be a time between 0 and a day"))
}

fn wrong(flag: &'static str, message: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        flag,
        message: message.into(),
    }
}

#[cfg(test)]
mod tests;
