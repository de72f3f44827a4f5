//! Activations and vectors on the device.

use half::bf16;

use crate::cuda::arguments::Values;
use crate::cuda::bytes::{bytes_of, bytes_of_mut};
use crate::cuda::device::CudaDevice;
use crate::{ActivationDtype, KernelError};

/// Activations: `[max_rows, cols]`.
pub struct CudaBuffer<D: CudaDevice> {
    pub(crate) memory: D::Memory,
    pub(crate) dtype: ActivationDtype,
    pub(crate) max_rows: usize,
    pub(crate) cols: usize,
}

impl<D: CudaDevice> CudaBuffer<D> {
    /// Zeros.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new(
        device: &D,
        dtype: ActivationDtype,
        max_rows: usize,
        cols: usize,
    ) -> Result<Self, KernelError> {
        let bytes = (dtype.bytes() * max_rows * cols).max(1);
        Ok(Self {
            memory: device.allocate("activations", bytes)?,
            dtype,
            max_rows,
            cols,
        })
    }

    /// At least `rows` rows, as kernels take them.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub(crate) fn values(&self, device: &D, rows: usize) -> Values {
        self.values_from(device, rows, 0)
    }

    /// The same, from column `first` on.
    pub(crate) fn values_from(&self, device: &D, rows: usize, first: usize) -> Values {
        let max_rows = self.max_rows;
        assert!(rows <= max_rows, "{rows} rows exceed {max_rows}");
        let address = device.address(&self.memory) + (first * self.dtype.bytes()) as u64;
        Values::of(address, self.dtype)
    }

    /// The first `rows` rows as f32.
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn read(
        &self,
        device: &D,
        rows: usize,
        host: &mut Vec<f32>,
    ) -> Result<(), KernelError> {
        assert!(rows <= self.max_rows, "the rows exist");
        let count = rows * self.cols;
        match self.dtype {
            ActivationDtype::F32 => {
                host.resize(count, 0.0);
                device.read(&self.memory, 0, bytes_of_mut(host))
            }
            ActivationDtype::Bf16 => {
                let mut bits = vec![0u16; count];
                device.read(&self.memory, 0, bytes_of_mut(&mut bits))?;
                host.clear();
                host.extend(bits.into_iter().map(|bits| bf16::from_bits(bits).to_f32()));
                Ok(())
            }
        }
    }

    /// Appends a row of f32 to `host`.
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn append_row(
        &self,
        device: &D,
        row: usize,
        host: &mut Vec<f32>,
    ) -> Result<(), KernelError> {
        assert!(row < self.max_rows, "the row exists");
        assert_eq!(self.dtype, ActivationDtype::F32, "f32 values");
        let start = host.len();
        host.resize(start + self.cols, 0.0);
        let to = bytes_of_mut(&mut host[start..]);
        device.read(&self.memory, 4 * row * self.cols, to)
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
