//! What every handler shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use engine::EngineHandle;
use memory::Store;

use crate::budget::compaction::Compactor;
use crate::budget::state::Budgeter;
use crate::clock;
use crate::config::serve::{AccessConfig, RequestLimits};
use crate::grammars::Grammars;
use crate::metrics::Metrics;
use crate::model::ServedModel;
use crate::records::RecordStore;
use crate::stored_responses::ResponseStore;
use crate::text_pool::TextPool;
use crate::traces::Traces;

/// The application; clones share everything.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
}

struct Shared {
    model: ServedModel,
    engine: EngineHandle,
    text_pool: TextPool,
    grammars: Grammars,
    memory: Arc<Store>,
    budgeter: Budgeter,
    compactor: Compactor,
    access: AccessConfig,
    limits: RequestLimits,
    web_ui: bool,
    metrics: Metrics,
    records: RecordStore,
    responses: ResponseStore,
    traces: Option<Traces>,
    seeds: Seeds,
    accepting: AtomicBool,
    started: u64,
}

/// What an [`App`] is made of.
pub struct AppParts {
    /// The model.
    pub model: ServedModel,
    /// The engine that runs it.
    pub engine: EngineHandle,
    /// Where offloaded text and memories are kept.
    pub memory: Store,
    /// What the context budgeter keeps.
    pub budgeter: Budgeter,
    /// Who may ask.
    pub access: AccessConfig,
    /// What a request may look like.
    pub limits: RequestLimits,
    /// Whether there is a web page at `/`.
    pub web_ui: bool,
    /// Where counts go.
    pub metrics: Metrics,
    /// What became of recent requests.
    pub records: RecordStore,
    /// What makes spans of requests; `None` makes none.
    pub traces: Option<Traces>,
    /// Seed from which requests without one draw theirs.
    pub seed: u64,
}

impl App {
    /// An application that takes requests.
    pub fn new(parts: AppParts) -> Self {
        let AppParts {
            model,
            engine,
            memory,
            budgeter,
            access,
            limits,
            web_ui,
            metrics,
            records,
            traces,
            seed,
        } = parts;
        let shared = Shared {
            model,
            engine,
            text_pool: TextPool::new(),
            grammars: Grammars::default(),
            memory: Arc::new(memory),
            budgeter,
            compactor: Compactor::new(metrics.compactions().clone()),
            access,
            limits,
            web_ui,
            metrics,
            records,
            responses: ResponseStore::default(),
            traces,
            seeds: Seeds {
                next: AtomicU64::new(seed),
            },
            accepting: AtomicBool::new(true),
            started: clock::unix_seconds(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The model.
    pub fn model(&self) -> &ServedModel {
        &self.shared.model
    }

    /// The engine.
    pub fn engine(&self) -> &EngineHandle {
        &self.shared.engine
    }

    /// Where text is rendered and tokenised.
    pub fn text_pool(&self) -> &TextPool {
        &self.shared.text_pool
    }

    /// Where grammars are compiled.
    pub fn grammars(&self) -> &Grammars {
        &self.shared.grammars
    }

    /// Where offloaded text and memories are kept.
    pub fn memory(&self) -> &Arc<Store> {
        &self.shared.memory
    }

    /// What the context budgeter keeps.
    pub fn budgeter(&self) -> &Budgeter {
        &self.shared.budgeter
    }

    /// Summaries of old turns.
    pub fn compactor(&self) -> &Compactor {
        &self.shared.compactor
    }

    /// Who may ask.
    pub fn access(&self) -> &AccessConfig {
        &self.shared.access
    }

    /// What a request may look like.
    pub fn limits(&self) -> &RequestLimits {
        &self.shared.limits
    }

    /// Whether there is a web page at `/`.
    pub fn has_web_ui(&self) -> bool {
        self.shared.web_ui
    }

    /// Where counts go.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// What became of recent requests.
    pub fn records(&self) -> &RecordStore {
        &self.shared.records
    }

    /// Responses that others may go on from.
    pub fn responses(&self) -> &ResponseStore {
        &self.shared.responses
    }

    /// What makes spans of requests, if they are wanted.
    pub fn traces(&self) -> Option<&Traces> {
        self.shared.traces.as_ref()
    }

    /// A seed for a request that has none.
    pub fn draw_seed(&self) -> u64 {
        self.shared.seeds.draw()
    }

    /// When the server started, in seconds since 1970.
    pub fn started(&self) -> u64 {
        self.shared.started
    }

    /// Whether requests are still taken.
    pub fn is_accepting(&self) -> bool {
        self.shared.accepting.load(Ordering::Acquire)
    }

    /// Takes no more requests; what runs goes on, but for what nobody waits for.
    pub fn stop_accepting(&self) {
        self.shared.accepting.store(false, Ordering::Release);
        self.shared.compactor.stop();
        if let Some(encoder) = &self.shared.model.encoder {
            encoder.stop();
        }
        self.shared.engine.shutdown();
    }
}

/// A sequence of seeds: the same server seed and order of requests give the same seeds.
struct Seeds {
    next: AtomicU64,
}

impl Seeds {
    fn draw(&self) -> u64 {
        // An odd step visits all 2^64 values; neighbours differ in many bits.
        self.next
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}
