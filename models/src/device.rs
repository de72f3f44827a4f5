//! Where a model runs.

use kernels::{ActivationDtype, KernelError, SumOrder};

use crate::gpu::Gpu;
use crate::gpu_emulator;

/// Where to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The first GPU, or else the CPU.
    #[default]
    Auto,
    /// The native CPU backend.
    Cpu,
    /// The NVIDIA GPU of this index (feature `cuda`).
    Cuda(usize),
    /// The kernels of GPUs on the CPU, for tests (feature `cuda-emulator`).
    CudaEmulator,
    /// The reference backend: slow, and the oracle of the others.
    Reference,
}

/// Memory of a GPU, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Nobody's.
    pub free: usize,
    /// All of it.
    pub total: usize,
}

/// A device that is there. It holds a GPU open until a model is loaded on it.
pub struct FoundDevice {
    device: Device,
    instead: Option<String>,
    gpu: Option<Gpu>,
}

impl Device {
    /// Looks whether it is there; `Auto` becomes the best that is.
    ///
    /// # Errors
    /// `Unsupported` with the reason, of a GPU that was asked for; `Device` of one that fails.
    pub fn find(self) -> Result<FoundDevice, KernelError> {
        let (device, gpu, instead) = match self {
            Self::Auto => match Gpu::open(0) {
                Ok(gpu) => (Self::Cuda(0), Some(gpu), None),
                Err(error) => (Self::Cpu, None, Some(error.to_string())),
            },
            Self::Cuda(ordinal) => (self, Some(Gpu::open(ordinal)?), None),
            Self::CudaEmulator => {
                gpu_emulator::backend(ActivationDtype::default(), SumOrder::default())?;
                (self, None, None)
            }
            Self::Cpu | Self::Reference => (self, None, None),
        };
        Ok(FoundDevice {
            device,
            instead,
            gpu,
        })
    }
}

impl FoundDevice {
    /// Which it is; never `Auto`.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Why `Auto` has not become a GPU.
    pub fn instead(&self) -> Option<&str> {
        self.instead.as_deref()
    }

    /// Its own memory; `None` if it computes in the system's.
    ///
    /// # Errors
    /// `Device`.
    pub fn memory(&self) -> Result<Option<DeviceMemory>, KernelError> {
        self.gpu.as_ref().map(Gpu::memory).transpose()
    }

    pub(crate) fn into_gpu(self) -> Option<Gpu> {
        self.gpu
    }
}
