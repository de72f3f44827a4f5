//! What the backend needs of a device: memory, launches, and the library's products.

use crate::cuda::arguments::Arguments;
use crate::cuda::bytes::bytes_of;
use crate::cuda::step::{Section, StepInputs};
use crate::{ActivationDtype, KernelError};

/// A device that runs the kernels of `kernels/cuda`.
///
/// Operations are carried out in the order in which they are asked for; [`CudaDevice::read`] waits for
/// those before it.
pub trait CudaDevice: Send + 'static {
    /// Zeroed memory on the device, given back when it is dropped.
    type Memory: Send;
    /// Launches and products, to be run again.
    type Graph: Send;
    /// A copy to the host that was asked for.
    type Read: Send;

    /// Its name, for logs.
    fn description(&self) -> String;

    /// Multiprocessors: blocks that run side by side.
    fn num_multiprocessors(&self) -> usize;

    /// Shared memory that a block may have.
    fn max_shared_bytes(&self) -> usize;

    /// Whether [`CudaDevice::multiply`] can be called.
    fn has_library(&self) -> bool;

    /// Allocates zeros, aligned to 256 bytes.
    ///
    /// # Errors
    /// `OutOfMemory`.
    fn allocate(&self, what: &'static str, bytes: usize) -> Result<Self::Memory, KernelError>;

    /// Where the memory begins on the device.
    fn address(&self, memory: &Self::Memory) -> u64;

    /// Copies to the device, `bytes.len()` from `offset` on.
    ///
    /// # Errors
    /// `Device`.
    ///
    /// # Panics
    /// If the bytes leave the memory.
    fn write(&self, memory: &Self::Memory, offset: usize, bytes: &[u8]) -> Result<(), KernelError>;

    /// Copies from the device, after every operation before it.
    ///
    /// # Errors
    /// `Device`.
    ///
    /// # Panics
    /// If the bytes leave the memory.
    fn read(&self, memory: &Self::Memory, offset: usize, out: &mut [u8])
    -> Result<(), KernelError>;

    /// Begins to copy `bytes` from the device, as they are after every operation before it and before
    /// those behind it.
    ///
    /// # Errors
    /// `Device`.
    ///
    /// # Panics
    /// If the bytes leave the memory.
    fn start_read(
        &self,
        memory: &Self::Memory,
        offset: usize,
        bytes: usize,
    ) -> Result<Self::Read, KernelError>;

    /// Waits for a copy, not for what was asked for behind it. `[bytes]` of its start.
    ///
    /// # Errors
    /// `Device`.
    ///
    /// # Panics
    /// If `out` has another length.
    fn finish_read(&self, read: Self::Read, out: &mut [u8]) -> Result<(), KernelError>;

    /// Runs a kernel. A launch of no blocks does nothing.
    ///
    /// # Errors
    /// `Device`.
    fn launch<A: Arguments>(&self, geometry: Geometry, arguments: &A) -> Result<(), KernelError>;

    /// `out = input * weight^T` with the device's library.
    ///
    /// # Errors
    /// `Device`.
    fn multiply(&self, product: &Product) -> Result<(), KernelError>;

    /// From here on, launches and products are noted down, not run; copies are errors.
    ///
    /// # Errors
    /// `Device`.
    fn begin_recording(&self) -> Result<(), KernelError>;

    /// What was noted down. Recording has ended whatever is returned.
    ///
    /// # Errors
    /// `Device`.
    fn end_recording(&self) -> Result<Self::Graph, KernelError>;

    /// Runs what was recorded, with what is now at its addresses.
    ///
    /// # Errors
    /// `Device`.
    fn replay(&self, graph: &Self::Graph) -> Result<(), KernelError>;
}

/// How a kernel is launched.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    /// Blocks along x and y.
    pub grid: [usize; 2],
    /// Threads of a block, along x; whole warps.
    pub threads: usize,
    /// Dynamic shared memory of a block.
    pub shared_bytes: usize,
}

impl Geometry {
    /// Blocks along x and y, without dynamic shared memory.
    pub(crate) fn new(grid: [usize; 2], threads: usize) -> Self {
        Self {
            grid,
            threads,
            shared_bytes: 0,
        }
    }

    /// As many blocks of 256 threads as `count` elements keep busy.
    pub(crate) fn of_elements(count: usize) -> Self {
        // Threads take several elements each beyond that.
        const MAX_BLOCKS: usize = 4096;
        Self::new([count.div_ceil(256).min(MAX_BLOCKS), 1], 256)
    }
}

/// Element type of both factors of a [`Product`]; sums are f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProductDtype {
    /// 32-bit floats, multiplied as such.
    F32,
    /// bfloat16.
    Bf16,
}

/// The product of row-major matrices at device addresses.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Of both factors.
    pub dtype: ProductDtype,
    /// `[rows, input_stride]`
    pub input: u64,
    /// `[out_features, weight_stride]`
    pub weight: u64,
    /// `[rows, out_stride]`
    pub out: u64,
    /// Of the output.
    pub out_dtype: ActivationDtype,
    /// Rows of the input.
    pub rows: usize,
    /// Depth of the product.
    pub in_features: usize,
    /// Rows of the weight.
    pub out_features: usize,
    /// Elements from one row of the input to the next.
    pub input_stride: usize,
    /// Elements from one row of the weight to the next.
    pub weight_stride: usize,
    /// Elements from one row of the output to the next.
    pub out_stride: usize,
}

/// Memory of the device whose content the host remembers, so that what has not changed since the last
/// layer is not sent again.
pub(crate) struct Staged<D: CudaDevice> {
    what: &'static str,
    memory: Option<D::Memory>,
    capacity: usize,
    sent: Vec<u32>,
}

impl<D: CudaDevice> Staged<D> {
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            memory: None,
            capacity: 0,
            sent: Vec::new(),
        }
    }

    /// Room for `words`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, device: &D, words: usize) -> Result<(), KernelError> {
        if words > self.capacity {
            // The old memory goes first, so that both never count at once.
            self.memory = None;
            self.memory = Some(device.allocate(self.what, 4 * words)?);
            self.capacity = words;
            self.sent = Vec::with_capacity(words);
        }
        Ok(())
    }

    /// The address of `words` on the device: that of a step's section, if it holds them.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) fn of_step(
        &mut self,
        device: &D,
        inputs: &StepInputs<D>,
        section: Section,
        words: &[u32],
    ) -> Result<u64, KernelError> {
        match inputs.find(device, section, words) {
            Some(address) => Ok(address),
            None => self.send(device, words),
        }
    }

    /// The address of `words` on the device.
    ///
    /// # Errors
    /// `OutOfMemory` of more words than there was room for; `Device`.
    pub(crate) fn send(&mut self, device: &D, words: &[u32]) -> Result<u64, KernelError> {
        self.reserve(device, words.len().max(1))?;
        if self.sent != words {
            let memory = self.memory.as_ref().expect("room was made");
            device.write(memory, 0, bytes_of(words))?;
            self.sent.clear();
            self.sent.extend_from_slice(words);
        }
        Ok(self.address(device))
    }

    /// Where its memory begins, once there is room.
    pub(crate) fn address(&self, device: &D) -> u64 {
        self.place(device).expect("room was made")
    }

    /// Where its memory begins, if there is any.
    pub(crate) fn place(&self, device: &D) -> Option<u64> {
        self.memory.as_ref().map(|memory| device.address(memory))
    }

    /// Begins to read the first `words` of what kernels have left there.
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn start_read(&mut self, device: &D, words: usize) -> Result<D::Read, KernelError> {
        self.sent.clear();
        let memory = self.memory.as_ref().expect("room was made");
        device.start_read(memory, 0, 4 * words)
    }
}
