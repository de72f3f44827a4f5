//! Host memory that the GPU copies from and to by itself, while the host goes on.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::Arc;

use cudarc::driver::result::{self, DriverError, event};
use cudarc::driver::sys::{self, CUevent_flags, CUresult};
use cudarc::driver::{CudaContext, CudaStream};

/// Bytes of a piece on its way to the GPU.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces that may be on their way: more than the inputs of two steps take.
const NUM_PIECES: usize = 16;
/// How often it is looked whether a copy has ended, about a microsecond each, before the thread sleeps.
const LOOKS: usize = 20;
/// What comes to the host is rounded up to this, so that buffers serve again.
const READ_BYTES: usize = 1 << 16;

/// Page-locked memory, and the event behind its last copy.
pub(super) struct Pinned {
    context: Arc<CudaContext>,
    start: NonNull<u8>,
    bytes: usize,
    copied: sys::CUevent,
}

// SAFETY: memory and event are owned, and may be used by any thread that has bound the context.
unsafe impl Send for Pinned {}

/// Pieces of memory through which the host's bytes go to the GPU, each used again when it has arrived.
pub(super) struct Uploads {
    pieces: RefCell<Vec<Pinned>>,
    next: Cell<usize>,
}

/// Buffers for what comes to the host.
pub(super) struct Downloads {
    idle: RefCell<Vec<Pinned>>,
}

/// Bytes on their way to the host.
pub struct CudaRead {
    pinned: Pinned,
    bytes: usize,
}

impl Pinned {
    /// The context is bound.
    fn new(context: &Arc<CudaContext>, bytes: usize) -> Result<Self, DriverError> {
        let copied = sleeping_event()?;
        // SAFETY: the memory is freed once, in `drop`.
        let start = match unsafe { result::malloc_host(bytes, 0) } {
            Ok(start) => start,
            Err(error) => {
                // SAFETY: just made, and nobody else's.
                let _ = unsafe { event::destroy(copied) };
                return Err(error);
            }
        };
        Ok(Self {
            context: Arc::clone(context),
            start: NonNull::new(start.cast()).expect("the driver has given memory"),
            bytes,
            copied,
        })
    }

    /// Notes that a copy has just been asked for.
    fn record(&self, stream: &CudaStream) -> Result<(), DriverError> {
        // SAFETY: event and stream are of the same context, and alive.
        unsafe { event::record(self.copied, stream.cu_stream()) }
    }

    /// Waits for the last copy that was noted, if any was. A thread that looked all the time would take
    /// a core from those that answer requests.
    fn wait(&self) -> Result<(), DriverError> {
        for _ in 0..LOOKS {
            // SAFETY: the event is alive.
            match unsafe { event::query(self.copied) } {
                Err(DriverError(CUresult::CUDA_ERROR_NOT_READY)) => std::hint::spin_loop(),
                done => return done,
            }
        }
        // SAFETY: the event is alive; one that was never recorded has happened.
        unsafe { event::synchronize(self.copied) }
    }
}

/// An event whose waiters sleep.
fn sleeping_event() -> Result<sys::CUevent, DriverError> {
    let flags = CUevent_flags::CU_EVENT_BLOCKING_SYNC as u32
        | CUevent_flags::CU_EVENT_DISABLE_TIMING as u32;
    let mut event = std::ptr::null_mut();
    // SAFETY: there is room for the event.
    unsafe { sys::cuEventCreate(&raw mut event, flags) }.result()?;
    Ok(event)
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // A context that is gone has taken them along, and there is nobody to tell.
        if self.context.bind_to_thread().is_ok() {
            let _ = self.wait();
            // SAFETY: both were made by `new`, and no copy is under way.
            unsafe {
                let _ = event::destroy(self.copied);
                let _ = result::free_host(self.start.as_ptr().cast());
            }
        }
    }
}

impl Uploads {
    /// The context is bound.
    pub(super) fn new(context: &Arc<CudaContext>) -> Result<Self, DriverError> {
        let pieces = (0..NUM_PIECES).map(|_| Pinned::new(context, PIECE_BYTES));
        Ok(Self {
            pieces: RefCell::new(pieces.collect::<Result<_, _>>()?),
            next: Cell::new(0),
        })
    }

    /// Asks for a copy of `bytes` to an address; they have been taken when this returns, though not
    /// all may have arrived.
    ///
    /// # Safety
    /// There is memory of this length at the address, until what the stream was asked for has run.
    pub(super) unsafe fn write(
        &self,
        stream: &CudaStream,
        mut to: sys::CUdeviceptr,
        bytes: &[u8],
    ) -> Result<(), DriverError> {
        if bytes.len() > NUM_PIECES * PIECE_BYTES {
            // SAFETY: as the caller promises; bytes in pageable memory have been taken when the call
            // returns.
            return unsafe { result::memcpy_htod_async(to, bytes, stream.cu_stream()) };
        }
        let pieces = self.pieces.borrow();
        for piece in bytes.chunks(PIECE_BYTES) {
            let pinned = &pieces[self.next.get()];
            self.next.set((self.next.get() + 1) % NUM_PIECES);
            pinned.wait()?;
            // SAFETY: a piece is that long, the copy from it has ended, and nobody else has it; then as
            // the caller promises, and the bytes stay until the event behind the copy.
            unsafe {
                let start = pinned.start.as_ptr();
                std::ptr::copy_nonoverlapping(piece.as_ptr(), start, piece.len());
                let copied = std::slice::from_raw_parts(start, piece.len());
                result::memcpy_htod_async(to, copied, stream.cu_stream())?;
            }
            pinned.record(stream)?;
            to += piece.len() as u64;
        }
        Ok(())
    }
}

impl Downloads {
    pub(super) fn new() -> Self {
        Self {
            idle: RefCell::new(Vec::new()),
        }
    }

    /// Asks for a copy of `bytes` from an address. The context is bound.
    ///
    /// # Safety
    /// As of [`Uploads::write`].
    pub(super) unsafe fn start(
        &self,
        (context, stream): (&Arc<CudaContext>, &CudaStream),
        from: sys::CUdeviceptr,
        bytes: usize,
    ) -> Result<CudaRead, DriverError> {
        let mut idle = self.idle.borrow_mut();
        let fits = idle.iter().position(|pinned| pinned.bytes >= bytes);
        let pinned = match fits {
            Some(index) => idle.swap_remove(index),
            None => Pinned::new(context, bytes.next_multiple_of(READ_BYTES).max(READ_BYTES))?,
        };
        // SAFETY: the buffer is that long and nobody else's; it is read behind the event alone.
        unsafe {
            let to = std::slice::from_raw_parts_mut(pinned.start.as_ptr(), bytes);
            result::memcpy_dtoh_async(to, from, stream.cu_stream())?;
        }
        pinned.record(stream)?;
        Ok(CudaRead { pinned, bytes })
    }

    /// Waits for a copy.
    pub(super) fn finish(&self, read: CudaRead, out: &mut [u8]) -> Result<(), DriverError> {
        assert_eq!(out.len(), read.bytes, "as many bytes as were asked for");
        read.pinned.wait()?;
        // SAFETY: the buffer is longer, and the copy into it has ended.
        out.copy_from_slice(unsafe {
            std::slice::from_raw_parts(read.pinned.start.as_ptr(), read.bytes)
        });
        self.idle.borrow_mut().push(read.pinned);
        Ok(())
    }
}
