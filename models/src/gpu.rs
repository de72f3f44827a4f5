//! NVIDIA GPUs.

use kernels::{ActivationDtype, Cuda, CudaDriver, KernelError, SumOrder};

use crate::device::DeviceMemory;

/// An open GPU.
pub(crate) struct Gpu(CudaDriver);

impl Gpu {
    /// # Errors
    /// `Unsupported` with the reason; `Device`.
    pub(crate) fn open(ordinal: usize) -> Result<Self, KernelError> {
        CudaDriver::open(ordinal).map(Self)
    }

    /// # Errors
    /// `Device`.
    pub(crate) fn memory(&self) -> Result<DeviceMemory, KernelError> {
        let (free, total) = self.0.memory_info()?;
        Ok(DeviceMemory { free, total })
    }

    pub(crate) fn into_backend(
        self,
        dtype: ActivationDtype,
        sum_order: SumOrder,
    ) -> Cuda<CudaDriver> {
        Cuda::new(self.0, dtype, sum_order)
    }
}
