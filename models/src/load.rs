//! Loading an opened model onto a device.

use std::num::NonZero;

use kernels::{
    ActivationDtype, Backend, Cpu, CpuOptions, KernelError, LoraBackend, Reference, SumOrder,
    WeightDtype, WeightFormat,
};
use thiserror::Error;

use crate::ModelRunner;
use crate::decoder::Decoder;
use crate::device::{Device, FoundDevice};
use crate::gpu_emulator;
use crate::kv_cache_dtype::KvCacheDtype;
use crate::limits::{Limits, LoraLimits};
use crate::loading::{LoadPhase, LoadProgress, Loading};
use crate::model::Model;
use crate::quantization::{Precision, Quantization};
use crate::weights::{Names, expected};
use crate::weights_cache::{CacheNotice, Entry, Key};

/// Blocks for which a scale is searched.
const SLOW_BLOCK: usize = 256;
/// So many weights in such blocks take longer to quantise than their file is worth.
const SLOW_TO_QUANTIZE: usize = 100_000_000;

/// Element type of the weights of matrix products. Activations are f32; a processor that multiplies
/// bfloat16 (AVX-512 BF16, AMX) rounds them where they meet such weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtype {
    /// As in the checkpoint.
    #[default]
    Auto,
    /// 32-bit floats.
    Float32,
    /// bfloat16, rounded to nearest even.
    Bfloat16,
    /// 16-bit IEEE floats, for checkpoints that have them.
    Float16,
}

/// How to load a model.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Where to run.
    pub device: Device,
    /// Element type of the weights.
    pub dtype: Dtype,
    /// What becomes of matrices of floats; `dtype` is that of the others then.
    pub quantization: Quantization,
    /// What to allocate.
    pub limits: Limits,
    /// Threads of a CPU backend; `None` takes what the machine offers.
    pub threads: Option<NonZero<usize>>,
    /// Whether each thread of the CPU backend stays on a core of its own.
    pub pin_threads: bool,
    /// Element type of the KV cache.
    pub kv_cache_dtype: KvCacheDtype,
    /// Room for adapters; `None` takes none.
    pub lora: Option<LoraLimits>,
    /// Whether a GPU may sum in whichever order is fastest; the CPU has one order, which is fixed.
    pub sum_order: SumOrder,
}

/// A model that is ready to run.
pub struct LoadedModel {
    /// The model on its device.
    pub runner: Box<dyn ModelRunner>,
    /// One line for logs: device, features in use, threads.
    pub description: String,
    /// Whether a sequence's bits are independent of what else is in the batch.
    pub batch_invariant: bool,
    /// What became of the cache of quantised weights.
    pub cache_notices: Vec<CacheNotice>,
}

/// Why a model cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A limit that leaves no room for any request.
    #[error("{name} must be at least {least}, but is {value}")]
    Limit {
        /// The limit.
        name: &'static str,
        /// Its least value.
        least: usize,
        /// Its value.
        value: usize,
    },
    /// A conversion that no backend does.
    #[error(
        "dtype float16 needs a checkpoint of F16, but tensor {tensor} is {found:?}; use auto, \
         bfloat16 or float32"
    )]
    Dtype {
        /// The first such tensor.
        tensor: String,
        /// Its element type.
        found: WeightDtype,
    },
    /// A checkpoint that is quantised already, and to something else.
    #[error(
        "quantization {quantization} needs a checkpoint of floats, but tensor {tensor} is \
         {found:?} already; use none"
    )]
    Quantized {
        /// What was asked for.
        quantization: &'static str,
        /// The first such tensor.
        tensor: String,
        /// Its element type.
        found: WeightDtype,
    },
    /// Fixed sums of a device that has none.
    #[error(
        "a fixed order of sums was asked for, which this device does not have: {device}; use cpu or \
         cuda"
    )]
    SumOrder {
        /// What it is.
        device: String,
    },
    /// A type of the KV cache that the device does not have.
    #[error(
        "kv_cache_dtype {dtype} is none of this device: {device}; int8 takes about as little memory, \
         and {dtype} is for cuda"
    )]
    KvCacheDtype {
        /// The type's name.
        dtype: &'static str,
        /// What it is.
        device: String,
    },
    /// The device.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

impl LoadError {
    /// Whether the device has no room.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Kernel(KernelError::OutOfMemory { .. }))
    }
}

impl Model {
    /// As [`Self::load_on`], on the device that `options` ask for.
    ///
    /// # Errors
    /// As [`Device::find`] and [`Self::load_on`].
    pub fn load(
        self,
        options: &LoadOptions,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<LoadedModel, LoadError> {
        self.load_on(options.device.find()?, options, progress)
    }

    /// Packs the weights and allocates the KV cache and every buffer on `device`, whatever `options`
    /// say of it; `progress` hears how far that has come.
    ///
    /// The checkpoint's mapping is given back before this returns.
    ///
    /// # Errors
    /// Impossible limits, an impossible conversion or order of sums, no memory.
    pub fn load_on(
        self,
        device: FoundDevice,
        options: &LoadOptions,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<LoadedModel, LoadError> {
        check_limits(&options.limits)?;
        options.lora.as_ref().map_or(Ok(()), check_lora_limits)?;
        let precision = Precision {
            quantization: options.quantization,
            plain: self.format(options.dtype)?,
        };
        self.check_quantization(precision)?;
        let options = LoadOptions {
            device: device.device(),
            ..*options
        };
        let activations = self.activations(precision);
        if let Some(gpu) = device.into_gpu() {
            let backend = gpu.into_backend(activations, options.sum_order);
            return self.load_with(backend, precision, &options, progress);
        }
        match options.device {
            Device::Reference => self.load_with(Reference::cpu(), precision, &options, progress),
            Device::CudaEmulator => self.load_with(
                gpu_emulator::backend(activations, options.sum_order)?,
                precision,
                &options,
                progress,
            ),
            Device::Auto | Device::Cpu | Device::Cuda(_) => {
                let threads = options.threads;
                let backend = Cpu::new(CpuOptions {
                    threads,
                    pin_threads: options.pin_threads,
                    instruction_set: None,
                })?;
                self.load_with(backend, precision, &options, progress)
            }
        }
    }

    fn load_with<B: LoraBackend>(
        self,
        backend: B,
        precision: Precision,
        options: &LoadOptions,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<LoadedModel, LoadError> {
        let batch_invariant = backend.batch_invariant();
        if options.sum_order == SumOrder::Fixed && !batch_invariant {
            let device = backend.description();
            return Err(LoadError::SumOrder { device });
        }
        let kv_dtype = options.kv_cache_dtype.on(options.device);
        if !B::KV_DTYPES.contains(&kv_dtype) {
            return Err(LoadError::KvCacheDtype {
                dtype: kv_dtype.name(),
                device: backend.description(),
            });
        }
        let (config, checkpoint) = (&self.config, &self.checkpoint);
        let limits = options.limits;
        let phase = match self.num_quantized(precision, 2) {
            0 => LoadPhase::Packing,
            _ => LoadPhase::Quantizing,
        };
        let total_bytes = self.matrix_bytes(precision);
        let cache = self.cache_entry(&backend, precision)?;
        let mut loading = Loading::new(progress, total_bytes, phase, cache);
        let decoder = Decoder::new(
            backend,
            config,
            checkpoint,
            precision,
            kv_dtype,
            (limits, options.lora),
            &mut loading,
        )?;
        let cache_notices = decoder.finish(config, loading);
        let description = decoder.description();
        Ok(LoadedModel {
            runner: Box::new(decoder),
            description,
            batch_invariant,
            cache_notices,
        })
    }

    /// The file of the weights in the cache, if they are worth one.
    fn cache_entry<B: Backend>(
        &self,
        backend: &B,
        precision: Precision,
    ) -> Result<Option<Entry>, LoadError> {
        let Some(cache) = &self.weights_cache else {
            return Ok(None);
        };
        let worth = match cache.only_slow {
            true => self.num_quantized(precision, SLOW_BLOCK) >= SLOW_TO_QUANTIZE,
            false => self.num_quantized(precision, 2) > 0,
        };
        if !worth {
            return Ok(None);
        }
        let key = Key::of(backend, &self.fingerprint(), &self.checkpoint, precision)?;
        let quantization = precision.quantization.name();
        Ok(key.map(|key| Entry::open(cache.clone(), key, self.name(), quantization)))
    }

    /// How many weights are floats and become blocks of at least `block_len`.
    fn num_quantized(&self, precision: Precision, block_len: usize) -> usize {
        let tensors = expected(&self.config);
        let counts = tensors.iter().filter_map(|tensor| {
            let [rows, cols] = tensor.shape[..] else {
                return None;
            };
            let found = self.checkpoint.dtype(&tensor.name);
            let kept = precision.format(&tensor.name, cols, &self.config).of(found);
            (found.block_len() == 1 && kept.block_len() >= block_len).then_some(rows * cols)
        });
        counts.sum()
    }

    /// Bytes of all matrices once they are loaded.
    fn matrix_bytes(&self, precision: Precision) -> usize {
        let tensors = expected(&self.config);
        let matrices = tensors.iter().filter(|tensor| tensor.shape.len() == 2);
        let bytes = matrices.map(|tensor| {
            let dtype = self.checkpoint.dtype(&tensor.name);
            precision.loaded_bytes(tensor, dtype, &self.config)
        });
        bytes.sum()
    }

    fn format(&self, dtype: Dtype) -> Result<WeightFormat, LoadError> {
        match dtype {
            Dtype::Auto => Ok(WeightFormat::Checkpoint),
            Dtype::Float32 => Ok(WeightFormat::F32),
            Dtype::Bfloat16 => Ok(WeightFormat::Bf16),
            Dtype::Float16 => {
                let matrices = expected(&self.config)
                    .into_iter()
                    .filter(|t| t.shape.len() == 2);
                for tensor in matrices.map(|tensor| tensor.name) {
                    let found = self.checkpoint.dtype(&tensor);
                    if found != WeightDtype::F16 {
                        return Err(LoadError::Dtype { tensor, found });
                    }
                }
                Ok(WeightFormat::Checkpoint)
            }
        }
    }

    /// What a GPU keeps operands of products in: bfloat16 if it multiplies them with nothing else.
    fn activations(&self, precision: Precision) -> ActivationDtype {
        let tensors = expected(&self.config);
        let mut matrices = tensors.iter().filter_map(|tensor| match tensor.shape[..] {
            [_, cols] => Some((&tensor.name, cols)),
            _ => None,
        });
        let is_bf16 = |(name, cols): (&String, usize)| {
            let kept = precision.format(name, cols, &self.config);
            kept.of(self.checkpoint.dtype(name)) == WeightDtype::Bf16
        };
        match matrices.all(is_bf16) {
            true => ActivationDtype::Bf16,
            false => ActivationDtype::F32,
        }
    }

    /// What is quantised already is not quantised to something else.
    fn check_quantization(&self, precision: Precision) -> Result<(), LoadError> {
        let quantization = precision.quantization;
        if quantization == Quantization::None {
            return Ok(());
        }
        for tensor in expected(&self.config) {
            let found = self.checkpoint.dtype(&tensor.name);
            let [_, cols] = tensor.shape[..] else {
                continue;
            };
            let format = precision.format(&tensor.name, cols, &self.config);
            if found.block_len() > 1 && format.of(WeightDtype::F32) != found {
                return Err(LoadError::Quantized {
                    quantization: quantization.name(),
                    tensor: tensor.name,
                    found,
                });
            }
        }
        Ok(())
    }

    /// Bytes of the weights once they are loaded as `dtype` and `quantization` say.
    pub fn loaded_weight_bytes(&self, dtype: Dtype, quantization: Quantization) -> usize {
        self.loaded_bytes_where(dtype, quantization, |_| true)
    }

    /// The same of the tensors whose names `is_counted`.
    pub(crate) fn loaded_bytes_where(
        &self,
        dtype: Dtype,
        quantization: Quantization,
        is_counted: impl Fn(&str) -> bool,
    ) -> usize {
        let plain = match dtype {
            Dtype::Auto | Dtype::Float16 => WeightFormat::Checkpoint,
            Dtype::Float32 => WeightFormat::F32,
            Dtype::Bfloat16 => WeightFormat::Bf16,
        };
        let precision = Precision {
            quantization,
            plain,
        };
        let tensors = expected(&self.config).into_iter();
        let counted = tensors.filter(|tensor| is_counted(&tensor.name));
        let bytes = counted.map(|tensor| {
            let dtype = self.checkpoint.dtype(&tensor.name);
            precision.loaded_bytes(&tensor, dtype, &self.config)
        });
        bytes.sum()
    }

    /// How many matrices `quantization` leaves in another format than it has for them, because their
    /// rows are no whole blocks of it.
    pub fn num_quantization_fallbacks(&self, quantization: Quantization) -> usize {
        quantization.num_fallbacks(&self.config)
    }

    /// Element type of the embedding, which is that of the matrix products in most checkpoints.
    pub fn checkpoint_dtype(&self) -> WeightDtype {
        self.checkpoint.dtype(Names::EMBEDDING)
    }
}

fn check_limits(limits: &Limits) -> Result<(), LoadError> {
    let least = [
        // The null block and one to use.
        ("num_blocks", limits.num_blocks, 2),
        ("block_size", limits.block_size, 1),
        ("max_num_batched_tokens", limits.max_num_batched_tokens, 1),
        ("max_num_seqs", limits.max_num_seqs, 1),
        ("max_model_len", limits.max_model_len, 1),
        ("window_blocks", limits.window_blocks.unwrap_or(2), 2),
    ];
    check_least(&least)
}

fn check_lora_limits(limits: &LoraLimits) -> Result<(), LoadError> {
    check_least(&[
        ("max_loras", limits.max_loras, 1),
        ("max_lora_rank", limits.max_lora_rank, 1),
    ])
}

/// Name, value and least value of limits.
fn check_least(limits: &[(&'static str, usize, usize)]) -> Result<(), LoadError> {
    let mut limits = limits.iter().copied();
    match limits.find(|&(_, value, least)| value < least) {
        None => Ok(()),
        Some((name, value, least)) => Err(LoadError::Limit { name, least, value }),
    }
}
