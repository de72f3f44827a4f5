//! The [`Backend`] trait, the arguments of its operations, and its implementations.
//!
//! A backend knows tensors and slots. It knows neither sequences nor how blocks are allocated, nor
//! any model architecture: `models` composes these operations into a decoder, `engine` flattens a
//! scheduler's decision into a [`StepBatch`].
//!
//! Three backends: `Reference` (feature `reference`) is the operations written plainly on candle
//! tensors, [`Cpu`] is native, with packed weights, threads and SIMD of its own, and `Cuda` (feature
//! `cuda`) runs kernels of its own on NVIDIA GPUs. A suite under `tests/it` holds all of them to the
//! same answers, the last on an emulator where there is no GPU (feature `cuda-emulator`).

mod activation_dtype;
mod backend;
mod batch;
mod cpu;
#[cfg(any(feature = "cuda", feature = "cuda-emulator"))]
mod cuda;
mod draw;
mod kv_dtype;
mod lora;
mod ops;
#[cfg(feature = "peaks")]
pub mod peaks;
mod quantized;
#[cfg(feature = "reference")]
mod reference;
mod stored;
mod sum_order;
mod weights;
mod workers;

#[cfg(feature = "cuda")]
#[path = "cuda/driver/mod.rs"]
mod cuda_driver;
#[cfg(feature = "cuda-emulator")]
#[path = "cuda/emulator.rs"]
mod cuda_emulator;

#[cfg_attr(target_os = "linux", path = "cpu/affinity_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "cpu/affinity_none.rs")]
mod affinity;
#[cfg_attr(target_arch = "x86_64", path = "cpu/x86_64/mod.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "cpu/no_extensions.rs")]
mod extensions;
#[cfg_attr(target_os = "linux", path = "cpu/huge_pages_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "cpu/huge_pages_none.rs")]
mod huge_pages;
#[cfg(feature = "peaks")]
#[cfg_attr(target_arch = "x86_64", path = "peaks/x86_64.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "peaks/none.rs")]
mod peak_loops;
#[cfg(target_arch = "x86_64")]
#[cfg_attr(target_os = "linux", path = "cpu/tile_permission_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "cpu/tile_permission_none.rs")]
mod tile_permission;

pub use activation_dtype::ActivationDtype;
pub use backend::{Backend, KernelError, KvCacheShape, QkvShape, RopeTableView, StepSizes};
pub use batch::{BlockCopy, KvPool, StepBatch, WindowBlocks};
pub use cpu::{
    Cpu, CpuBuffer, CpuKvCache, CpuLora, CpuOptions, CpuRopeTable, CpuVector, InstructionSet,
    PackedLinear, softmax,
};
#[cfg(any(feature = "cuda", feature = "cuda-emulator"))]
pub use cuda::{
    Arguments, Cuda, CudaBuffer, CudaDevice, CudaKvCache, CudaLinear, CudaLora, CudaRopeTable,
    CudaVector, Geometry, Kernel, Product, ProductDtype,
};
#[cfg(feature = "cuda")]
pub use cuda_driver::CudaDriver;
#[cfg(feature = "cuda-emulator")]
pub use cuda_emulator::{CudaEmulator, EmulatedGraph, EmulatedMemory};
pub use draw::{DRAWN_BEFORE, Draw, DrawnLogprobs, DrawnToken, NO_TOKEN};
pub use kv_dtype::KvDtype;
pub use lora::{ActivateGated, AddLora, LoraBackend, LoraRows, LoraView, shrunk_size};
pub use ops::{
    Activate, Activation, Add, AddRmsNorm, AddRows, Attention, Clear, Embed, GatedLinear,
    GatherRows, HeadNorm, LayerNorm, Linear, ReadDrawn, RmsNorm, Rope, Sample, SoftCap, WriteKv,
};
#[cfg(feature = "reference")]
pub use reference::{
    Reference, ReferenceBuffer, ReferenceKvCache, ReferenceLinear, ReferenceLora,
    ReferenceRopeTable,
};
pub use stored::{PackedBlocks, STORED_CHUNK, StoredLinear};
pub use sum_order::SumOrder;
pub use weights::{WeightDtype, WeightFormat, WeightView};
pub use workers::{Caller, Workers};

/// Whether the target always has a fused multiply-add instruction; without one, `f32::mul_add` is
/// a slow library call.
const TARGET_HAS_FMA: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
