//! A server of this process on a port of its own, over models without weights.

use std::path::{Path, PathBuf};
use std::time::Duration;

use context::Window;
use engine::{EngineHandle, EngineThread, SchedulerConfig, TokenId, WindowConfig};
use models::testing::{FakeLimits, FakeRunner};
use models::{Encoder, ModelRunner, ModelSource};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use server::adapters::{Adapters, Loading};
use server::app::{App, AppParts};
use server::budget::state::Budgeter;
use server::config::serve::{AccessConfig, ContextConfig, RequestLimits, TracesConfig};
use server::encoder::ServedEncoder;
use server::metrics::{CacheInfo, Metrics};
use server::model::{GenerationDefaults, ServedModel, max_text_bytes};
use server::records::{RecordLimits, RecordStore};
use server::traces::Traces;
use text::{ChatTemplates, ReasoningFormat, Tokenizer, TokenizerFiles, ToolCallFormat};

use crate::answer::Answer;
use crate::runners::{Gate, GatedRunner, ScriptRunner};

/// Tokens of the embedded model's vocabulary.
pub(crate) const VOCAB_SIZE: usize = 4096;
/// The embedded model's `<|im_end|>`.
pub(crate) const IM_END: u32 = 2;
/// Tokens per block.
pub(crate) const BLOCK_SIZE: usize = 16;

/// Longest that a test waits for a model that computes in microseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What differs between the tests' servers.
pub(crate) struct Setup {
    pub(crate) api_keys: Vec<&'static str>,
    pub(crate) shared_prefix_cache: bool,
    pub(crate) max_model_len: usize,
    /// Blocks of the cache, one of them the null block.
    pub(crate) num_blocks: u32,
    /// Layers with a sliding window, in a pool of their own.
    pub(crate) window: Option<WindowConfig>,
    pub(crate) max_num_batched_tokens: usize,
    pub(crate) max_num_seqs: usize,
    pub(crate) max_queued_requests: usize,
    pub(crate) context: ContextConfig,
    pub(crate) limits: RequestLimits,
    pub(crate) web_ui: bool,
    /// How the model's reasoning is found.
    pub(crate) reasoning: Option<ReasoningFormat>,
    pub(crate) records: RecordLimits,
    pub(crate) traces: Option<TracesConfig>,
    /// Slots for adapters of the embedded model, which clients may load.
    pub(crate) adapter_slots: usize,
    /// An encoder among the golden models, with places for so many requests.
    pub(crate) encoder: Option<(&'static str, usize)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            api_keys: Vec::new(),
            shared_prefix_cache: false,
            max_model_len: 4096,
            num_blocks: 2_049,
            window: None,
            max_num_batched_tokens: 512,
            max_num_seqs: 16,
            max_queued_requests: 1024,
            context: ContextConfig::default(),
            limits: RequestLimits {
                max_body_bytes: 1 << 20,
                max_messages: 32,
                max_n: 8,
                max_logprobs: 20,
                keep_alive: Duration::from_secs(15),
            },
            web_ui: true,
            reasoning: None,
            records: RecordLimits::default(),
            traces: None,
            adapter_slots: 0,
            encoder: None,
        }
    }
}

/// A running server; dropping it ends the engine.
pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) app: App,
    pub(crate) gate: Gate,
    pub(crate) tokenizer: Tokenizer,
    thread: Option<EngineThread>,
}

impl World {
    /// A server of a model whose next token is a hash of everything before it, and that notices
    /// every wrong KV slot.
    pub(crate) async fn start(setup: Setup) -> Self {
        let (slots, window) = (setup.adapter_slots, setup.window);
        Self::start_with(setup, |limits, _| {
            let runner = FakeRunner::new(limits).with_adapter_slots(slots);
            Box::new(match window {
                Some(window) => runner.with_window(window.tokens, window.num_blocks as usize),
                None => runner,
            })
        })
        .await
    }

    /// A server of a model that always answers `script`, one request at a time.
    pub(crate) async fn saying(script: &str) -> Self {
        Self::saying_with(Setup::default(), script).await
    }

    /// The same with other settings.
    pub(crate) async fn saying_with(setup: Setup, script: &str) -> Self {
        Self::start_with(setup, |limits, tokenizer| {
            let script = tokenizer.encode(script, false).unwrap();
            Box::new(ScriptRunner::new(script, IM_END, limits.vocab_size))
        })
        .await
    }

    /// A server of another model.
    pub(crate) async fn start_with(
        setup: Setup,
        runner: impl FnOnce(FakeLimits, &Tokenizer) -> Box<dyn ModelRunner>,
    ) -> Self {
        let mut config = SchedulerConfig::new(BLOCK_SIZE, setup.num_blocks, setup.max_model_len);
        config.window = setup.window;
        config.max_num_seqs = setup.max_num_seqs;
        config.max_num_batched_tokens = setup.max_num_batched_tokens;
        config.max_queued_requests = setup.max_queued_requests;
        let limits = FakeLimits {
            vocab_size: VOCAB_SIZE,
            num_blocks: config.num_blocks as usize,
            block_size: config.block_size,
            max_num_batched_tokens: config.max_num_batched_tokens,
            max_num_seqs: config.max_num_seqs,
        };
        let mut model = served_model(setup.max_model_len);
        model.reasoning = setup.reasoning;
        model.encoder = setup
            .encoder
            .map(|(name, places)| served_encoder(name, places));
        if setup.adapter_slots > 0 {
            model.adapters = Adapters::new(Loading {
                model: models::open(&ModelSource::Embedded)
                    .unwrap()
                    .config()
                    .clone(),
                max_rank: 16,
                model_names: model.known_names(),
                is_open: true,
            });
        }
        let generation = server::prompt::generation_prompt_tokens(&model);
        let (gate, tokenizer) = (Gate::default(), model.tokenizer.clone());
        let inner = runner(limits, &tokenizer);
        let gated = GatedRunner {
            inner,
            gate: gate.clone(),
        };
        let cache = CacheInfo {
            block_size: config.block_size,
            num_blocks: config.num_blocks as usize - 1,
            cache_dtype: "float32",
            enable_prefix_caching: true,
        };
        let (engine, thread) = engine::start(config, Box::new(gated)).unwrap();
        let budgeter = Budgeter::new(setup.context, Vec::new());
        let app = App::new(AppParts {
            metrics: Metrics::new(model.name(), &cache, engine.clone(), &budgeter),
            model,
            engine,
            memory: memory::Store::in_memory(memory::Limits::default()).unwrap(),
            budgeter,
            access: AccessConfig {
                api_keys: setup.api_keys.iter().map(|&key| key.to_owned()).collect(),
                shared_prefix_cache: setup.shared_prefix_cache,
            },
            limits: setup.limits,
            records: RecordStore::new(setup.records, generation, BLOCK_SIZE),
            traces: setup.traces.map(|config| Traces::start(&config).unwrap()),
            web_ui: setup.web_ui,
            seed: 1,
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = server::routes::router(&app);
        let forever = std::future::pending();
        tokio::spawn(server::listen::serve(listener, router, forever, PATIENCE));
        let client = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            url,
            client,
            app,
            gate,
            tokenizer,
            thread: Some(thread),
        }
    }

    pub(crate) fn engine(&self) -> &EngineHandle {
        self.app.engine()
    }

    /// A request with a JSON body.
    pub(crate) fn post(&self, route: &str, body: &Value) -> RequestBuilder {
        self.client.post(format!("{}{route}", self.url)).json(body)
    }

    pub(crate) async fn ask(&self, route: &str, body: Value) -> Answer {
        Answer::read(self.post(route, &body).send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, route: &str) -> Answer {
        let request = self.client.get(format!("{}{route}", self.url));
        Answer::read(request.send().await.unwrap()).await
    }

    /// A chat of one message, with `fields` beside it.
    pub(crate) async fn chat(&self, fields: Value) -> Answer {
        self.ask(
            "/v1/chat/completions",
            with(json!({"messages": hello()}), fields),
        )
        .await
    }

    pub(crate) async fn complete(&self, fields: Value) -> Answer {
        self.ask(
            "/v1/completions",
            with(json!({"prompt": [5, 6, 7]}), fields),
        )
        .await
    }

    /// The tokens that [`FakeRunner`] says after `prompt`.
    pub(crate) fn oracle(&self, prompt: &[u32], n: usize) -> Vec<u32> {
        FakeRunner::oracle(VOCAB_SIZE, prompt, n)
    }

    pub(crate) fn decode(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(tokens, true).unwrap()
    }

    /// The value of a metric without labels, or with `labels` as they are written.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let answer = self.get("/metrics").await;
        let line = answer.text.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {}", answer.text));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Lets step after step through the gate until the figures are as `wanted`: what has arrived
    /// shows in them only after a step. Slowly, so that a running answer does not end meanwhile.
    pub(crate) async fn step_until(
        &self,
        what: &str,
        wanted: impl Fn(&engine::EngineStats) -> bool,
    ) {
        for _ in 0..PATIENCE.as_millis() / 20 {
            if wanted(&self.engine().stats()) {
                return;
            }
            self.gate.allow(1);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never {what}: {:?}", self.engine().stats());
    }

    /// Waits until the engine's figures are as `wanted`, and complains when they never are.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&engine::EngineStats) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !wanted(&self.engine().stats()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(
            waited.await.is_ok(),
            "never {what}: {:?}",
            self.engine().stats()
        );
    }

    /// Waits until no request is left and every block is free, and checks `/health`.
    pub(crate) async fn until_idle(&self) {
        self.until("idle", |stats| {
            stats.num_running == 0 && stats.num_waiting == 0 && stats.num_used_blocks == 0
        })
        .await;
        assert_eq!(self.get("/health").await.status, 200);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.gate.open();
        self.engine().abort();
        if let Some(thread) = self.thread.take() {
            thread.join();
        }
    }
}

/// `fields` over the fields of `body`.
pub(crate) fn with(mut body: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else {
        panic!("fields are an object")
    };
    body.as_object_mut().unwrap().extend(fields);
    body
}

pub(crate) fn hello() -> Value {
    json!([{"role": "user", "content": "Hello"}])
}

/// The embedded model as requests see it, greedy by default.
fn served_model(max_model_len: usize) -> ServedModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/embedded/pebble-20m");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (tokenizer, config) = (read("tokenizer.json"), read("tokenizer_config.json"));
    let files = TokenizerFiles {
        tokenizer_config: Some(&config),
        ..TokenizerFiles::new(&tokenizer)
    };
    let templates = ChatTemplates::from_files(&files).unwrap().unwrap();
    let tool_calls = ToolCallFormat::detect(templates.select(true).unwrap().source());
    let tokenizer = Tokenizer::from_files(&files).unwrap();
    let window = Window {
        tokens: max_model_len,
    };
    ServedModel {
        names: vec!["pebble".to_owned(), "alias".to_owned()],
        max_text_bytes: max_text_bytes(&tokenizer, VOCAB_SIZE, window),
        tokenizer,
        templates: Some(templates),
        tool_calls,
        reasoning: None,
        defaults: GenerationDefaults {
            temperature: 0.0,
            ..GenerationDefaults::default()
        },
        window,
        eos_token_ids: vec![TokenId(0), TokenId(IM_END)],
        vocab_size: VOCAB_SIZE,
        adapters: Adapters::default(),
        encoder: None,
    }
}

/// The folder of a golden embedding model.
pub(crate) fn embedder_folder(name: &str) -> PathBuf {
    let goldens = "../../models/tests/goldens/embedders";
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(goldens)
        .join(name)
}

fn served_encoder(name: &str, places: usize) -> ServedEncoder {
    let encoder = Encoder::open(&ModelSource::Folder(embedder_folder(name))).unwrap();
    let tokenizer = encoder.files().tokenizer.clone().unwrap();
    let tokenizer = Tokenizer::from_files(&TokenizerFiles::new(&tokenizer)).unwrap();
    ServedEncoder::new(name.to_owned(), encoder, tokenizer, places)
}
