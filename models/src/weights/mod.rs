//! Weights of a checkpoint: which tensors a model must have, and where they lie.

mod bytes;
mod checkpoint;
mod error;
mod expected;
mod expert_stacks;
pub(crate) mod header;
mod mxfp4;
mod naming;
pub(crate) mod safetensors;
mod tensor;

pub(crate) use bytes::Bytes;
pub(crate) use checkpoint::{Checkpoint, Shard};
pub use error::WeightsError;
pub(crate) use expected::{Expected, Names, expected};
pub(crate) use naming::{Fused, Naming};
pub(crate) use tensor::{Matrix, RowOrder, Tensor};
