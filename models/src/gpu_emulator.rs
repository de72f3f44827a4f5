//! The kernels of GPUs on the CPU, for tests.

use kernels::{ActivationDtype, Cuda, CudaEmulator, KernelError};

/// # Errors
/// Never.
pub(crate) fn backend(dtype: ActivationDtype) -> Result<Cuda<CudaEmulator>, KernelError> {
    Ok(Cuda::new(CudaEmulator::default(), dtype))
}
