//! One decoder built from a model configuration, the families that fill it, and their weights.
//!
//! [`open`] reads a [`ModelSource`] (safetensors or GGUF) and checks everything that can be checked
//! without loading: the configuration, the tensors' names, shapes and types. The caller then sizes the KV cache
//! and calls [`Model::load`], which packs the weights for a device and gives a [`ModelRunner`].

pub mod config;
mod decoder;
#[cfg_attr(not(feature = "embedded-model"), path = "embedded_absent.rs")]
mod embedded;
mod families;
mod gguf;
#[cfg_attr(not(feature = "hub"), path = "hub_absent.rs")]
pub mod hub;
mod hub_environment;
mod kv_cache_dtype;
mod limits;
mod load;
mod log_softmax;
mod model;
#[cfg_attr(not(unix), path = "pages_none.rs")]
mod pages;
mod quantization;
mod rope_table;
mod runner;
mod source;
#[cfg(feature = "testing")]
pub mod testing;
mod weights;

pub use config::ModelConfig;
pub use gguf::GgufError;
pub use kernels::KvDtype;
pub use kv_cache_dtype::KvCacheDtype;
pub use limits::Limits;
pub use load::{Device, Dtype, LoadError, LoadOptions, LoadedModel};
pub use log_softmax::LogSoftmax;
pub use model::{Model, ModelFiles, OpenError, open};
pub use quantization::Quantization;
pub use runner::{Logits, ModelRunner};
pub use source::{HubOptions, HubRequest, ModelSource};
pub use weights::WeightsError;
