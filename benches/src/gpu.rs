//! The workloads that are measured on a GPU beside vLLM's figures: the same requests on the engine that
//! `purser serve` starts.
//!
//! [`Workload`] names them, [`Requests`] draws their prompts, [`ServedEngine`] computes them,
//! [`measure`](fn@measure) makes a [`Measured`] of one, [`Journal`] keeps what was measured, and
//! [`table`](fn@table) sets it beside the [`Target`]s.

mod generator;
mod journal;
mod measured;
mod process_age;
mod requests;
mod scale;
mod served_engine;
mod shape;
mod table;
mod target;
mod trace;
mod workload;

pub use journal::{Journal, Line, Outcome};
pub use measured::{Measured, measure};
pub use process_age::process_age;
pub use requests::{Request, Requests};
pub use scale::Scale;
pub use served_engine::ServedEngine;
pub use shape::Shape;
pub use table::table;
pub use target::{Target, target};
pub use trace::trace;
pub use workload::{Workload, select};
