//! Decides which tokens of which sequences are computed in the next step.
//!
//! Pure: time is an argument and the decision is data. There is no prefill or decode phase; every
//! sequence computes the tokens it still lacks until it has caught up, within a token budget.
//!
//! [`Scheduler`] is the whole interface: `submit` and `cancel` between steps, and per step
//! `plan_step` or `plan_ahead`, the model, `commit_step`. In between, [`Scheduler::probe`] says what a prompt would
//! find in the cache.

mod admission;
mod ahead;
mod background;
mod budget;
mod commit;
mod config;
mod guarantee;
mod in_flight;
mod invariants;
mod plan;
mod preemption;
mod probe;
mod queue;
mod request;
mod reserve;
mod restore;
mod retention;
mod running;
mod scheduler;
mod sequence;
mod stats;
mod step_time;
mod stop;

pub use config::{ConfigError, OutputReserveConfig, RetentionConfig, SchedulerConfig};
pub use kv_cache::{RetentionKey, Timestamp, WindowConfig};
pub use plan::{Admitted, Chunk, StepOutcome, StepPlan, Update};
pub use probe::{CacheProbe, ProbePrompt, ProbedPrompt};
pub use request::{NewSequence, RequestId, SubmitError};
pub use retention::{RetainedPrefix, RetentionRequest};
pub use scheduler::Scheduler;
pub use sequence::SequenceState;
pub use stats::{SchedulerStats, WindowBlockUse};
pub use step_time::StepCosts;
pub use stop::{FinishReason, StopConditions};
