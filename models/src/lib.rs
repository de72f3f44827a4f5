//! One decoder built from a model configuration, the families that fill it, and their weights.

mod runner;
#[cfg(feature = "testing")]
pub mod testing;

pub use runner::{Logits, ModelRunner};
