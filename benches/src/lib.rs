//! What the measurements share: workloads, a model driven step by step, and the words in which a
//! result is kept.
//!
//! The binaries of this crate measure whole parts and print one JSON line per measurement; the
//! criterion benches measure single functions. `README.md` beside this crate says which command
//! answers which question.

pub mod decoding_engine;
pub mod gpu;
pub mod machine;
pub mod model_under_test;
pub mod prediction;
pub mod quantiles;
pub mod scheduled_run;
pub mod sequences;
pub mod stopwatch;
pub mod summary;
pub mod workload;
