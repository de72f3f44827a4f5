//! The step loop: inbox, plan, batch, forward, sample, commit, events.
//!
//! One OS thread owns the scheduler and the model ([`start`]). Everything else talks to it through
//! an [`EngineHandle`] and hears from it through an [`EventSink`].
//!
//! The types of `kv-cache`, `kv-store` and `scheduler` that stand in this interface are exported here, so that
//! the server needs to know neither crate.

mod active;
mod adapters;
mod batch;
mod clock;
mod constraint;
mod disk;
mod engine;
mod event;
mod handle;
mod probe;
mod request;
mod sampler;
mod scoring;
#[cfg(test)]
mod simulation;
mod stats;
mod step_loop;
mod step_phases;

pub use adapters::{AdapterHandle, LoadAdapterError};
pub use constraint::{ConstraintError, TokenConstraint, TokenMask};
pub use disk::{DiskConfig, DiskError, DiskStats};
pub use engine::{EngineThread, StartError, start, start_with_disk};
pub use event::{
    Admission, Completion, Event, EventSink, Prefill, PromptLogprob, RequestError, TokenLogprobs,
    TokenOutput,
};
pub use handle::{EngineHandle, EngineLimits, SubmitError};
pub use kv_cache::{BlockTimes, Eviction, MissCause, MissReason, TIME_BOUNDS, TimeCounts, TokenId};
pub use kv_store::StoreStats;
pub use probe::{MAX_PROBE_PROMPTS, MAX_WAITING_PROBES, ProbeError, ProbeRequest};
pub use request::{GenerateRequest, SamplingParams};
pub use scheduler::{
    CacheProbe, ConfigError, FinishReason, OutputReserveConfig, ProbePrompt, ProbedPrompt,
    RequestId, RetainedPrefix, RetentionConfig, RetentionKey, RetentionRequest, SchedulerConfig,
    StepCosts, StopConditions, WindowBlockUse, WindowConfig,
};
pub use stats::{EngineStats, Histogram};
pub use step_phases::StepPhase;
