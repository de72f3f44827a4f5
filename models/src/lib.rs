//! One decoder built from a model configuration, the families that fill it, and their weights; beside
//! it, encoders that embed texts.
//!
//! [`open`] reads a [`ModelSource`] (safetensors or GGUF) and checks everything that can be checked
//! without loading: the configuration, the tensors' names, shapes and types. The caller then sizes the KV cache
//! and calls [`Model::load`], which packs the weights for a device and gives a [`ModelRunner`].

mod adapter;
pub mod config;
mod decoder;
mod device;
mod dummy;
mod embed_error;
#[cfg_attr(not(feature = "embedded-model"), path = "embedded_absent.rs")]
mod embedded;
#[cfg_attr(not(feature = "encoders"), path = "encoder_absent.rs")]
mod encoder;
mod families;
#[cfg_attr(not(unix), path = "files_none.rs")]
mod files;
mod gguf;
#[cfg_attr(not(feature = "cuda"), path = "gpu_absent.rs")]
mod gpu;
#[cfg_attr(not(feature = "cuda-emulator"), path = "gpu_emulator_absent.rs")]
mod gpu_emulator;
#[cfg_attr(
    not(feature = "encoders"),
    expect(dead_code, reason = "how encoders are fetched is used by them alone")
)]
#[cfg_attr(not(feature = "hub"), path = "hub_absent.rs")]
pub mod hub;
mod hub_environment;
mod kv_cache_dtype;
mod limits;
mod load;
mod loading;
mod log_softmax;
mod model;
#[cfg_attr(not(unix), path = "pages_none.rs")]
mod pages;
mod pooling;
mod quantization;
mod rope_table;
mod runner;
mod source;
#[cfg(feature = "testing")]
pub mod testing;
mod weights;
mod weights_cache;
mod work;

pub use adapter::{AdapterError, LoraAdapter};
pub use config::ModelConfig;
pub use device::{Device, DeviceMemory, FoundDevice};
pub use embed_error::EmbedError;
pub use encoder::Encoder;
pub use gguf::GgufError;
pub use kernels::{KvDtype, SumOrder, peaks};
pub use kv_cache_dtype::KvCacheDtype;
pub use limits::{Limits, LoraLimits};
pub use load::{Dtype, LoadError, LoadOptions, LoadedModel};
pub use loading::{LoadPhase, LoadProgress};
pub use log_softmax::LogSoftmax;
pub use model::{Model, ModelFiles, OpenError, open};
pub use pooling::Pooling;
pub use quantization::Quantization;
pub use runner::{AdapterSlots, KvBlocks, Logits, ModelRunner, StepsInFlight};
pub use source::{HubOptions, HubRequest, ModelSource};
pub use weights::WeightsError;
pub use weights_cache::{CacheNotice, WeightsCache};
