//! The binary `purser`: HTTP, configuration, metrics.
//!
//! A request passes `routes` (which JSON it is), `validate` (whether it can be done), `prompt`
//! (its tokens), `answer` (from the engine's events to pieces of text) and `wire` (which JSON goes
//! out). Only this crate knows the APIs' types.

pub mod adapters;
pub mod answer;
pub mod app;
pub mod auth;
pub mod bench;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod config;
pub mod doctor;
mod embedding;
pub mod encoder;
pub mod eval;
pub mod grammars;
pub mod listen;
pub mod measure;
pub mod metrics;
pub mod model;
pub mod openapi;
pub mod prompt;
pub mod records;
mod retention;
pub mod routes;
mod scoring;
pub mod serve;
pub mod shutdown;
pub mod sizing;
pub mod sse;
pub mod stored_responses;
pub mod text_pool;
mod thinking;
pub mod traces;
pub mod validate;
pub mod why;
pub mod wire;
