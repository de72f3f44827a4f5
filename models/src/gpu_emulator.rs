//! The kernels of GPUs on the CPU, for tests.

use kernels::{Cuda, CudaEmulator, KernelError};

/// # Errors
/// Never.
pub(crate) fn backend() -> Result<Cuda<CudaEmulator>, KernelError> {
    Ok(Cuda::new(CudaEmulator::default()))
}
