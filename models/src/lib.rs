//! One decoder built from a model configuration, the families that fill it, and their weights.

mod runner;

pub use runner::{Logits, ModelRunner};
