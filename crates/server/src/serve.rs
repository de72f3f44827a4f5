//! `purser serve`: from settings to a listening server, and to its end.

use std::num::NonZero;
use std::time::Duration;

use anyhow::Context;
use engine::{DiskConfig, EngineHandle, EngineThread, SchedulerConfig, TokenId};
use indicatif::{ProgressBar, ProgressStyle};
use memory::Store;
use models::{
    CacheNotice, Encoder, FoundDevice, KvDtype, LoadOptions, LoadPhase, LoadProgress, Model,
    ModelFiles, ModelSource, WeightsCache,
};
use text::{ChatTemplates, ReasoningFormat, Tokenizer, TokenizerFiles, ToolCallFormat};
use tokio::net::TcpListener;

use crate::adapters::{Adapters, Loading};
use crate::app::{App, AppParts};
use crate::budget::state::Budgeter;
use crate::config::formats::AnswerFormats;
use crate::config::lora::LoraModule;
use crate::config::serve::{
    ContextConfig, EmbeddingModel, EngineConfig, ListenConfig, LoraConfig, ServeConfig,
};
use crate::encoder::ServedEncoder;
use crate::metrics::{CacheInfo, Metrics};
use crate::model::{GenerationDefaults, ServedModel, max_text_bytes};
use crate::records::{RecordLimits, RecordStore};
use crate::shutdown::{self, StopSignals};
use crate::sizing::{Room, Sizing, available_memory};
use crate::traces::Traces;
use crate::{clock, listen, prompt, routes};

/// What helps, whatever the device.
const OUT_OF_MEMORY: &str = "the device has too little memory: lower --gpu-memory-utilization or \
                             --kv-cache-memory-bytes, --max-num-batched-tokens, --max-num-seqs or \
                             --max-model-len";

/// How long clients that do not read may keep the server from ending.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Serves until the process is asked to stop; `announce` hears the address when requests are taken.
///
/// # Errors
/// When the model cannot be loaded or the address cannot be used.
pub async fn run(config: ServeConfig, announce: impl FnOnce(&str)) -> anyhow::Result<()> {
    let listener = bind(&config.listen).await?;
    let address = listener
        .local_addr()
        .context("reading the listener's address")?;
    let shutdown_timeout = config.shutdown_timeout;
    let load = tokio::task::spawn_blocking(move || load(config));
    let (app, engine) = load.await.context("loading the model")??;
    // Until here a signal ends the process at once, as it should: there is nothing to finish.
    let signals = StopSignals::listen().context("listening for signals")?;
    announce(&format!("http://{address}"));

    let drained = shutdown::drain(&app, &engine, signals, shutdown_timeout);
    listen::serve(listener, routes::router(&app), drained, LAST_WORDS).await;
    shutdown::flush_traces(&app).await;
    tokio::task::spawn_blocking(|| engine.join())
        .await
        .context("joining the engine")
}

async fn bind(listen: &ListenConfig) -> anyhow::Result<TcpListener> {
    let address = (listen.host, listen.port);
    TcpListener::bind(address).await.with_context(|| {
        let (host, port) = address;
        format!("cannot listen on {host}:{port}; is another server running there? (--port)")
    })
}

/// Loads the model and starts its engine.
///
/// # Errors
/// When the model's files or the settings cannot work.
pub fn load(config: ServeConfig) -> anyhow::Result<(App, EngineThread)> {
    let start = clock::now();
    let (device, engine) = find_device(config.engine)?;
    let model = open_model(&config.model, config.weights_cache, &engine)?;
    let places = engine.max_num_queued_reqs;
    let (encoder, available) = load_encoder(config.embedding_model, places)?;
    let room = Room::of(&device, available, engine.gpu_memory_utilization)?;
    let room = beside_adapters(&model, config.lora.as_ref(), room)?;
    let sizing = Sizing::new(&model, &engine, room)?;
    let mut served = served_model(
        &model,
        config.served_model_names,
        sizing.max_model_len,
        config.formats,
    )?;
    served.encoder = encoder;
    if let Some(lora) = &config.lora {
        served.adapters = adapters(&model, lora, &served);
    }
    config.context.check_window(sizing.max_model_len)?;
    let scheduler = SchedulerConfig {
        max_background_share: config.context.max_background_share,
        ..scheduler_config(&model, &engine, &sizing)
    };
    let cache = CacheInfo {
        block_size: sizing.block_size,
        num_blocks: sizing.num_blocks - 1,
        cache_dtype: kv_dtype(&engine).name(),
        enable_prefix_caching: engine.enable_prefix_caching,
    };
    let traces = config.traces.as_ref().map(Traces::start).transpose()?;
    let memory = open_memory(&config.context)?;
    let budgeter = Budgeter::new(config.context, budget_fingerprint(&model, &served));
    let lora = config.lora.as_ref();
    let settings = (&engine, lora);
    let (handle, thread) = start_engine((model, device), settings, &sizing, scheduler)?;
    for LoraModule { name, path } in lora.iter().flat_map(|lora| &lora.modules) {
        let loaded = served.adapters.load(&handle, name, path);
        loaded.with_context(|| format!("--lora-modules {name}={}", path.display()))?;
        tracing::info!(adapter = name, "adapter loaded");
    }
    tracing::info!(
        model = served.name(),
        max_model_len = sizing.max_model_len,
        kv_cache_tokens = (sizing.num_blocks - 1) * sizing.block_size,
        kv_cache_dtype = kv_dtype(&engine).name(),
        kv_cache_mib = sizing.kv_cache_bytes >> 20,
        kv_window_tokens = sizing.window_capacity(),
        max_num_batched_tokens = sizing.max_num_batched_tokens,
        max_num_seqs = sizing.max_num_seqs,
        seconds = (clock::now() - start).as_secs_f64(),
        "model loaded"
    );
    let app = App::new(AppParts {
        metrics: Metrics::new(served.name(), &cache, handle.clone(), &budgeter),
        records: record_store(&served, config.request_records, sizing.block_size),
        traces,
        model: served,
        engine: handle,
        memory,
        budgeter,
        access: config.access,
        limits: config.limits,
        web_ui: config.web_ui,
        seed: engine.seed.unwrap_or_else(random_seed),
    });
    Ok((app, thread))
}

/// The engine of a model alone, as [`load`] starts it: nothing of its files is needed but the shape and
/// the weights.
///
/// # Errors
/// When the model's files or the settings cannot work.
pub fn load_engine(
    source: &ModelSource,
    config: EngineConfig,
) -> anyhow::Result<(EngineHandle, EngineThread)> {
    let (device, engine) = find_device(config)?;
    let model = open_model(source, None, &engine)?;
    let room = Room::of(&device, available_memory(), engine.gpu_memory_utilization)?;
    let sizing = Sizing::new(&model, &engine, room)?;
    let scheduler = scheduler_config(&model, &engine, &sizing);
    start_engine((model, device), (&engine, None), &sizing, scheduler)
}

/// The device that is asked for, and the settings for it.
fn find_device(engine: EngineConfig) -> anyhow::Result<(FoundDevice, EngineConfig)> {
    let found = engine.device.find().context("--device")?;
    if let Some(reason) = found.instead() {
        tracing::info!(reason, "computing on the CPU");
    }
    let device = found.device();
    Ok((found, EngineConfig { device, ..engine }))
}

/// The model's files, and what the log says about them.
fn open_model(
    source: &ModelSource,
    weights_cache: Option<WeightsCache>,
    engine: &EngineConfig,
) -> anyhow::Result<Model> {
    let model = models::open(source)?;
    let model = match weights_cache {
        Some(cache) => model.with_weights_cache(cache),
        None => model,
    };
    tell_oddities(&model, engine);
    Ok(model)
}

/// Logs what of the checkpoint is not used, or not as it was asked for.
fn tell_oddities(model: &Model, engine: &EngineConfig) {
    for tensor in model.unread_tensors() {
        tracing::warn!(
            tensor,
            "the checkpoint has a tensor that the model does not use"
        );
    }
    for key in model.unread_metadata() {
        tracing::warn!(
            key,
            "the GGUF file has metadata that the model does not use"
        );
    }
    let fallbacks = model.num_quantization_fallbacks(engine.quantization);
    if fallbacks > 0 {
        tracing::info!(
            matrices = fallbacks,
            quantization = engine.quantization.name(),
            "these have rows that are no whole blocks, and get the nearest format that fits"
        );
    }
}

/// Names what edits of earlier requests depend on besides the conversation: model and template.
fn budget_fingerprint(model: &Model, served: &ServedModel) -> Vec<u8> {
    let mut fingerprint = model.fingerprint().to_vec();
    let template = served
        .templates
        .as_ref()
        .and_then(|templates| templates.select(true).ok());
    if let Some(template) = template {
        fingerprint.extend_from_slice(template.source().as_bytes());
    }
    fingerprint
}

fn record_store(model: &ServedModel, max_records: usize, block_size: usize) -> RecordStore {
    let limits = RecordLimits {
        max_records,
        ..RecordLimits::default()
    };
    RecordStore::new(limits, prompt::generation_prompt_tokens(model), block_size)
}

fn open_memory(config: &ContextConfig) -> anyhow::Result<Store> {
    let limits = memory::Limits::default();
    Ok(match &config.memory {
        None => Store::in_memory(limits)?,
        Some(path) => Store::open(path, limits)?,
    })
}

fn random_seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

/// The model as requests see it.
pub(crate) fn served_model(
    model: &Model,
    names: Vec<String>,
    max_model_len: usize,
    formats: AnswerFormats,
) -> anyhow::Result<ServedModel> {
    let files = model.files();
    let tokenizer_files = tokenizer_files(files)?;
    let tokenizer = Tokenizer::from_files(&tokenizer_files)?;
    let templates = ChatTemplates::from_files(&tokenizer_files)?;
    let template = templates
        .as_ref()
        .and_then(|templates| templates.select(true).ok());
    let source = template.map(|template| template.source().to_owned());
    let tool_calls = formats
        .tool_calls
        .among(source.as_deref(), ToolCallFormat::detect);
    let reasoning = formats
        .reasoning
        .among(source.as_deref(), ReasoningFormat::detect);
    let defaults = match files.generation_config.as_deref() {
        Some(bytes) => GenerationDefaults::from_json(bytes).map_err(anyhow::Error::msg)?,
        None => GenerationDefaults::default(),
    };
    let mut eos_token_ids: Vec<TokenId> = tokenizer
        .eos_ids()
        .iter()
        .chain(&model.config().eos_token_ids)
        .map(|&id| TokenId(id))
        .collect();
    eos_token_ids.sort_unstable();
    eos_token_ids.dedup();
    let window = context::Window {
        tokens: max_model_len,
    };
    let vocab_size = model.config().vocab_size;
    Ok(ServedModel {
        names,
        templates,
        tool_calls,
        reasoning,
        defaults,
        window,
        eos_token_ids,
        max_text_bytes: max_text_bytes(&tokenizer, vocab_size, window),
        vocab_size,
        tokenizer,
        adapters: Adapters::default(),
        encoder: None,
    })
}

fn tokenizer_files(files: &ModelFiles) -> anyhow::Result<TokenizerFiles<'_>> {
    let tokenizer = files
        .tokenizer
        .as_deref()
        .context("the model has no tokenizer.json")?;
    Ok(TokenizerFiles {
        tokenizer_config: files.tokenizer_config.as_deref(),
        special_tokens_map: files.special_tokens_map.as_deref(),
        generation_config: files.generation_config.as_deref(),
        chat_template: files.chat_template.as_deref(),
        ..TokenizerFiles::new(tokenizer)
    })
}

/// The encoder, if one is asked for, with places for so many requests, and the bytes of memory that
/// are left beside it.
///
/// What its longest text takes while it is computed grows with the square of its length: texts may be
/// so long that it is a quarter of the memory that is free.
fn load_encoder(
    embedding_model: Option<EmbeddingModel>,
    places: usize,
) -> anyhow::Result<(Option<ServedEncoder>, usize)> {
    let Some(EmbeddingModel { name, source }) = embedding_model else {
        return Ok((None, available_memory()));
    };
    let flag = || format!("--embedding-model {name}");
    let encoder = Encoder::open(&source).with_context(flag)?;
    for tensor in encoder.unread_tensors() {
        tracing::warn!(
            tensor,
            "the encoder's checkpoint has a tensor that it does not use"
        );
    }
    let available = available_memory();
    let own_window = encoder.window();
    let encoder = encoder.within_workspace(available / 4);
    let window = encoder.window();
    if window < own_window {
        tracing::warn!(
            window,
            own_window,
            "memory allows the encoder shorter texts only"
        );
    }
    let tokenizer = Tokenizer::from_files(&tokenizer_files(encoder.files())?).with_context(flag)?;
    let pooling = encoder.pooling().name();
    tracing::info!(encoder = name, pooling, window, "encoder loaded");
    let available = available.saturating_sub(encoder.workspace_bytes());
    let served = ServedEncoder::new(name, encoder, tokenizer, places);
    Ok((Some(served), available))
}

fn kv_dtype(engine: &EngineConfig) -> KvDtype {
    engine.kv_cache_dtype.on(engine.device)
}

fn scheduler_config(model: &Model, engine: &EngineConfig, sizing: &Sizing) -> SchedulerConfig {
    let num_blocks = u32::try_from(sizing.num_blocks).unwrap_or(u32::MAX);
    let defaults = SchedulerConfig::new(sizing.block_size, num_blocks, sizing.max_model_len);
    SchedulerConfig {
        enable_prefix_caching: engine.enable_prefix_caching,
        async_scheduling: engine.async_scheduling,
        window: sizing.window,
        fingerprint: [&model.fingerprint()[..], kv_dtype(engine).name().as_bytes()].concat(),
        max_num_seqs: sizing.max_num_seqs,
        max_num_batched_tokens: sizing.max_num_batched_tokens,
        target_itl: engine.target_itl,
        watermark: engine.watermark,
        retention: engine.retention,
        max_queued_requests: engine.max_num_queued_reqs,
        max_queued_tokens: engine
            .max_num_queued_tokens
            .unwrap_or(defaults.max_queued_tokens),
        ..defaults
    }
}

/// What of `room` is left beside the adapters that there is room for.
fn beside_adapters(model: &Model, lora: Option<&LoraConfig>, room: Room) -> anyhow::Result<Room> {
    let Some(LoraConfig { limits, .. }) = lora else {
        return Ok(room);
    };
    let needed = limits.adapter_bytes(model.config());
    room.without(needed).with_context(|| {
        format!(
            "{} adapters of rank {} need up to {} MiB and {} MiB {}; lower --max-loras or \
             --max-lora-rank",
            limits.max_loras,
            limits.max_lora_rank,
            needed >> 20,
            room.available >> 20,
            room.advice()
        )
    })
}

/// No adapters yet, and how they are loaded.
fn adapters(model: &Model, lora: &LoraConfig, served: &ServedModel) -> Adapters {
    Adapters::new(Loading {
        model: model.config().clone(),
        max_rank: lora.limits.max_lora_rank,
        model_names: served.known_names(),
        is_open: lora.at_run_time,
    })
}

fn start_engine(
    (model, device): (Model, FoundDevice),
    (engine, lora): (&EngineConfig, Option<&LoraConfig>),
    sizing: &Sizing,
    scheduler: SchedulerConfig,
) -> anyhow::Result<(EngineHandle, EngineThread)> {
    let options = LoadOptions {
        device: engine.device,
        dtype: engine.dtype,
        quantization: engine.quantization,
        limits: sizing.limits(),
        threads: engine.threads.and_then(NonZero::new),
        pin_threads: engine.pin_threads,
        sum_order: engine.sum_order,
        kv_cache_dtype: engine.kv_cache_dtype,
        lora: lora.map(|lora| lora.limits),
    };
    let disk = engine.kv_disk.as_ref().map(|disk| DiskConfig {
        folder: disk.folder.clone(),
        max_bytes: disk.max_bytes,
        fingerprint: disk_fingerprint(&model, engine),
    });
    let bar = loading_bar();
    let loaded = model
        .load_on(device, &options, &mut |progress| show(&bar, progress))
        .map_err(|error| match error.is_out_of_memory() {
            true => anyhow::Error::new(error).context(OUT_OF_MEMORY),
            false => error.into(),
        })?;
    bar.finish_and_clear();
    loaded.cache_notices.iter().for_each(log_cache_notice);
    tracing::info!(device = loaded.description, "device");
    Ok(engine::start_with_disk(scheduler, loaded.runner, disk)?)
}

/// What blocks on disk depend on beside the device and their tokens.
fn disk_fingerprint(model: &Model, engine: &EngineConfig) -> Vec<u8> {
    let words = format!(
        "{} {:?} {}",
        engine.quantization.name(),
        engine.dtype,
        kv_dtype(engine).name()
    );
    [&model.fingerprint()[..], words.as_bytes()].concat()
}

/// A bar on standard error; nothing where that is no terminal.
fn loading_bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    let style = "{msg} {bar:40} {binary_bytes} of {binary_total_bytes}";
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn show(bar: &ProgressBar, progress: LoadProgress) {
    bar.set_message(match progress.phase {
        LoadPhase::Packing => "packing weights",
        LoadPhase::Quantizing => "quantising weights",
        LoadPhase::ReadingCache => "reading quantised weights",
    });
    bar.set_length(progress.total_bytes as u64);
    bar.set_position(progress.bytes as u64);
}

fn log_cache_notice(notice: &CacheNotice) {
    match notice {
        CacheNotice::Read { path } => {
            tracing::info!(file = %path.display(), "quantised weights read from the cache");
        }
        CacheNotice::Written { path, bytes } => {
            let mib = bytes >> 20;
            tracing::info!(file = %path.display(), mib, "quantised weights kept for the next start");
        }
        CacheNotice::Removed { path } => {
            tracing::info!(file = %path.display(), "old weights removed to make room");
        }
        CacheNotice::Refused { path, reason } => {
            let file = path.display();
            tracing::warn!(%file, reason, "cached weights cannot be used; they are made anew");
        }
        CacheNotice::NotWritten { path, reason } => {
            let file = path.display();
            tracing::warn!(%file, reason, "quantised weights are not kept for the next start");
        }
    }
}
