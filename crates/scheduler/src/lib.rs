//! Decides which tokens of which sequences are computed in the next step.
//!
//! Pure: time is an argument and the decision is data. There is no prefill or decode phase; every
//! sequence computes the tokens it still lacks until it has caught up, within a token budget.

mod stop;

pub use stop::StopConditions;
