//! The [`Backend`] trait, the arguments of its operations, and its implementations.
//!
//! A backend knows tensors and slots. It knows neither sequences nor how blocks are allocated, nor
//! any model architecture: `models` composes these operations into a decoder, `engine` flattens a
//! scheduler's decision into a [`StepBatch`].

mod backend;
mod batch;
#[cfg(feature = "reference")]
mod reference;
mod weights;

pub use backend::{
    AddRmsNorm, Attention, Backend, Embed, GatherRows, HeadNorm, KernelError, KvCacheShape, Linear,
    QkvShape, RmsNorm, Rope, RopeTableView, SiluMul, WriteKv,
};
pub use batch::{BlockCopy, StepBatch};
#[cfg(feature = "reference")]
pub use reference::{
    Reference, ReferenceBuffer, ReferenceKvCache, ReferenceLinear, ReferenceRopeTable,
};
pub use weights::{WeightDtype, WeightFormat, WeightView};
