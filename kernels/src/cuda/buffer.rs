//! Activations and vectors on the device.

use crate::KernelError;
use crate::cuda::bytes::bytes_of;
use crate::cuda::device::CudaDevice;

/// Activations: `[max_rows, cols]` f32.
pub struct CudaBuffer<D: CudaDevice> {
    pub(crate) memory: D::Memory,
    pub(crate) max_rows: usize,
    pub(crate) cols: usize,
}

impl<D: CudaDevice> CudaBuffer<D> {
    /// The address, of at least `rows` rows.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub(crate) fn address(&self, device: &D, rows: usize) -> u64 {
        let max_rows = self.max_rows;
        assert!(rows <= max_rows, "{rows} rows exceed {max_rows}");
        device.address(&self.memory)
    }
}

/// f32 values.
pub struct CudaVector<D: CudaDevice> {
    pub(crate) memory: D::Memory,
    pub(crate) len: usize,
}

impl<D: CudaDevice> CudaVector<D> {
    /// Sends `values`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new(device: &D, values: &[f32]) -> Result<Self, KernelError> {
        let memory = device.allocate("vector", (4 * values.len()).max(1))?;
        device.write(&memory, 0, bytes_of(values))?;
        let len = values.len();
        Ok(Self { memory, len })
    }

    pub(crate) fn address(&self, device: &D) -> u64 {
        device.address(&self.memory)
    }
}

/// Cosines and sines, `[max_positions, rotary_dim / 2]` f32 each.
pub struct CudaRopeTable<D: CudaDevice> {
    pub(crate) cos: CudaVector<D>,
    pub(crate) sin: CudaVector<D>,
    pub(crate) rotary_dim: usize,
}
