//! The kernels compiled for the host: for tests where there is no GPU.

#![expect(
    unsafe_code,
    reason = "emulated kernels take the addresses that device memory would have"
)]

use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr::NonNull;

use half::bf16;

use crate::cuda::arguments::{Arguments, Kernel};
use crate::cuda::device::{CudaDevice, Geometry, Product, ProductDtype};
use crate::{ActivationDtype, KernelError};

/// What a device promises of its allocations.
const ALIGNMENT: usize = 256;
/// Before and after each allocation lies as much of this byte: read, it is NaN; written, the
/// allocation's end notices.
const GUARD: u8 = 0xff;

unsafe extern "C" {
    fn purser_emulate(
        name: *const c_char,
        grid: *const c_uint,
        threads: c_uint,
        shared_bytes: c_uint,
        arguments: *const c_void,
        argument_bytes: usize,
    ) -> c_int;
}

/// A device whose threads are fibers of the calling thread: slow, and strict about memory and
/// barriers.
#[derive(Debug, Default)]
pub struct CudaEmulator {
    recording: RefCell<Option<Vec<Recorded>>>,
}

/// What [`CudaDevice::begin_recording`] notes down.
#[derive(Debug)]
enum Recorded {
    Launch {
        kernel: Kernel,
        geometry: Geometry,
        arguments: Vec<u8>,
    },
    Product(Product),
}

/// What was noted down, in order.
#[derive(Debug)]
pub struct EmulatedGraph(Vec<Recorded>);

/// Memory between guards.
pub struct EmulatedMemory {
    start: NonNull<u8>,
    bytes: usize,
    layout: Layout,
}

// SAFETY: the memory is owned and reached through its owner only.
unsafe impl Send for EmulatedMemory {}

impl CudaDevice for CudaEmulator {
    type Memory = EmulatedMemory;
    type Graph = EmulatedGraph;
    type Read = Vec<u8>;

    fn description(&self) -> String {
        "emulated".to_owned()
    }

    fn num_multiprocessors(&self) -> usize {
        4
    }

    fn max_shared_bytes(&self) -> usize {
        // Of a Hopper GPU.
        227 << 10
    }

    fn has_library(&self) -> bool {
        true
    }

    fn allocate(&self, what: &'static str, bytes: usize) -> Result<EmulatedMemory, KernelError> {
        let error = || KernelError::OutOfMemory { what, bytes };
        let room = bytes.next_multiple_of(ALIGNMENT) + 2 * ALIGNMENT;
        let layout = Layout::from_size_align(room, ALIGNMENT).map_err(|_| error())?;
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc(layout) }).ok_or_else(error)?;
        // SAFETY: `room` bytes were allocated, and the middle lies within.
        unsafe {
            start.write_bytes(GUARD, room);
            start.add(ALIGNMENT).write_bytes(0, bytes);
        }
        Ok(EmulatedMemory {
            start,
            bytes,
            layout,
        })
    }

    fn address(&self, memory: &EmulatedMemory) -> u64 {
        memory.at(0) as u64
    }

    fn write(
        &self,
        memory: &EmulatedMemory,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), KernelError> {
        assert!(offset + bytes.len() <= memory.bytes, "leaves the memory");
        assert!(self.recording.borrow().is_none(), "copies are not recorded");
        // SAFETY: just checked; the host's bytes are no device memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory.at(offset), bytes.len()) };
        Ok(())
    }

    fn read(
        &self,
        memory: &EmulatedMemory,
        offset: usize,
        out: &mut [u8],
    ) -> Result<(), KernelError> {
        assert!(offset + out.len() <= memory.bytes, "leaves the memory");
        assert!(self.recording.borrow().is_none(), "copies are not recorded");
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(memory.at(offset), out.as_mut_ptr(), out.len()) };
        Ok(())
    }

    fn start_read(
        &self,
        memory: &EmulatedMemory,
        offset: usize,
        bytes: usize,
    ) -> Result<Vec<u8>, KernelError> {
        let mut read = vec![0; bytes];
        self.read(memory, offset, &mut read)?;
        Ok(read)
    }

    fn finish_read(&self, read: Vec<u8>, out: &mut [u8]) -> Result<(), KernelError> {
        out.copy_from_slice(&read);
        Ok(())
    }

    fn launch<A: Arguments>(&self, geometry: Geometry, arguments: &A) -> Result<(), KernelError> {
        if geometry.grid.contains(&0) {
            return Ok(());
        }
        let bytes = size_of::<A>();
        // SAFETY: the bytes of a value; those of its padding are copied and never looked at.
        let arguments = unsafe {
            let mut copied = Vec::<u8>::with_capacity(bytes);
            std::ptr::copy_nonoverlapping(
                std::ptr::from_ref(arguments).cast(),
                copied.as_mut_ptr(),
                bytes,
            );
            copied.set_len(bytes);
            copied
        };
        self.note_or_run(Recorded::Launch {
            kernel: A::KERNEL,
            geometry,
            arguments,
        });
        Ok(())
    }

    fn multiply(&self, product: &Product) -> Result<(), KernelError> {
        self.note_or_run(Recorded::Product(*product));
        Ok(())
    }

    fn begin_recording(&self) -> Result<(), KernelError> {
        *self.recording.borrow_mut() = Some(Vec::new());
        Ok(())
    }

    fn end_recording(&self) -> Result<EmulatedGraph, KernelError> {
        let noted = self.recording.borrow_mut().take();
        Ok(EmulatedGraph(noted.expect("recording has begun")))
    }

    fn replay(&self, EmulatedGraph(recorded): &EmulatedGraph) -> Result<(), KernelError> {
        recorded.iter().for_each(Recorded::run);
        Ok(())
    }
}

impl CudaEmulator {
    fn note_or_run(&self, recorded: Recorded) {
        match &mut *self.recording.borrow_mut() {
            Some(noted) => noted.push(recorded),
            None => recorded.run(),
        }
    }
}

impl Recorded {
    fn run(&self) {
        match self {
            Self::Product(product) => multiply(product),
            Self::Launch {
                kernel,
                geometry,
                arguments,
            } => launch(*kernel, geometry, arguments),
        }
    }
}

fn launch(kernel: Kernel, geometry: &Geometry, arguments: &[u8]) {
    let name = CString::new(kernel.name()).expect("names have no zeros");
    let size = |size: usize| c_uint::try_from(size).expect("a launch's sizes are small");
    let grid = geometry.grid.map(size);
    // Aligned as a struct of addresses.
    let mut aligned = vec![0u64; arguments.len().div_ceil(8)];
    // SAFETY: the words have room for the bytes.
    unsafe {
        let to = aligned.as_mut_ptr().cast();
        std::ptr::copy_nonoverlapping(arguments.as_ptr(), to, arguments.len());
    }
    // SAFETY: the kernel checks the size of its arguments, whose addresses are those of memory that
    // outlives the call; what it does beyond its memory the guards show.
    let status = unsafe {
        purser_emulate(
            name.as_ptr(),
            grid.as_ptr(),
            size(geometry.threads),
            size(geometry.shared_bytes),
            aligned.as_ptr().cast(),
            arguments.len(),
        )
    };
    assert_eq!(status, 0, "{kernel:?} {geometry:?}");
}

fn multiply(product: &Product) {
    let row = |address: u64, row: usize, stride: usize| -> Vec<f32> {
        let first = row * stride;
        let read = |k: usize| match product.dtype {
            // SAFETY: the caller gives matrices of these sizes.
            ProductDtype::F32 => unsafe { *(address as *const f32).add(first + k) },
            // SAFETY: as above.
            ProductDtype::Bf16 => unsafe { *(address as *const bf16).add(first + k) }.to_f32(),
        };
        (0..product.in_features).map(read).collect()
    };
    let weights: Vec<Vec<f32>> = (0..product.out_features)
        .map(|feature| row(product.weight, feature, product.weight_stride))
        .collect();
    for index in 0..product.rows {
        let input = row(product.input, index, product.input_stride);
        for (feature, weight) in weights.iter().enumerate() {
            let sum = dot(&input, weight);
            let at = index * product.out_stride + feature;
            match product.out_dtype {
                // SAFETY: as above.
                ActivationDtype::F32 => unsafe { *(product.out as *mut f32).add(at) = sum },
                // SAFETY: as above.
                ActivationDtype::Bf16 => unsafe {
                    *(product.out as *mut bf16).add(at) = bf16::from_f32(sum);
                },
            }
        }
    }
}

impl EmulatedMemory {
    fn at(&self, offset: usize) -> *mut u8 {
        // SAFETY: at most the guard behind the memory is reached.
        unsafe { self.start.as_ptr().add(ALIGNMENT + offset) }
    }
}

impl Drop for EmulatedMemory {
    fn drop(&mut self) {
        let all = self.layout.size();
        // SAFETY: all of it was allocated and written in `allocate`.
        let intact = unsafe {
            let bytes = std::slice::from_raw_parts(self.start.as_ptr(), all);
            let (before, behind) = (&bytes[..ALIGNMENT], &bytes[ALIGNMENT + self.bytes..]);
            before.iter().chain(behind).all(|&byte| byte == GUARD)
        };
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
        assert!(
            intact || std::thread::panicking(),
            "a kernel wrote beyond an allocation of {} bytes",
            self.bytes
        );
    }
}

/// Sums of 16 lanes, as a vector unit adds.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a_lanes, a_rest) = a.as_chunks::<16>();
    let (b_lanes, b_rest) = b.as_chunks::<16>();
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
