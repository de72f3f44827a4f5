//! From a request's JSON to what the server acts on; fields are checked here and never again.

pub mod adapter;
pub mod anthropic;
pub mod budget;
pub mod chat;
pub mod completion;
pub mod context;
pub mod embedding;
pub mod feedback;
pub mod fields;
pub mod grammar;
pub mod memory;
pub mod messages;
pub mod notes;
pub mod ollama;
pub mod probe;
pub mod responses;
pub mod retention;
pub mod sampling;
pub mod tokenize;

mod transcript;
