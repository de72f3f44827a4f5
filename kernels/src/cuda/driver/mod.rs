//! A GPU through the driver, which is loaded when it is needed: a machine without one only says so.

#![expect(
    unsafe_code,
    reason = "the driver and its library are called through their C interfaces"
)]

mod graph;
mod library;
mod pinned;

use std::cell::Cell;
use std::ffi::{CString, c_void};
use std::sync::Arc;

use cudarc::driver::result::{self, DriverError, function, module};
use cudarc::driver::sys::{
    self, CUdevice_attribute_enum, CUfunction_attribute_enum, CUlaunchAttribute,
    CUlaunchAttributeID, CUlaunchAttributeValue, CUlaunchConfig, CUresult,
};
use cudarc::driver::{CudaContext, CudaStream};

use crate::KernelError;
use crate::cuda::{Arguments, CudaDevice, Geometry, Kernel, Product};
use graph::CudaGraph;
use library::Library;
use pinned::{CudaRead, Downloads, Uploads};

/// Machine code and PTX of `kernels/cuda`, made by the build script.
static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/module.fatbin"));

/// What attention's kernels have of shared memory beside what a launch asks for, at most.
const FIXED_SHARED_BYTES: usize = 4096;

/// A GPU, with the kernels loaded.
///
/// All operations go to one stream, in order.
pub struct CudaDriver {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// By the value of [`Kernel`].
    functions: Vec<sys::CUfunction>,
    num_multiprocessors: usize,
    max_shared_bytes: usize,
    /// Whether a kernel may be placed before the one before it has ended: whether the kernels are
    /// compiled to wait for it.
    overlaps: bool,
    library: Option<Library>,
    description: String,
    uploads: Uploads,
    downloads: Downloads,
    is_recording: Cell<bool>,
}

// SAFETY: functions and the library's handle may be used by any thread that has bound the context,
// which every method does, one thread at a time.
unsafe impl Send for CudaDriver {}

/// Memory of the GPU.
pub struct CudaMemory {
    context: Arc<CudaContext>,
    address: sys::CUdeviceptr,
    bytes: usize,
}

impl CudaDriver {
    /// Opens the GPU `ordinal` and loads the kernels.
    ///
    /// # Errors
    /// `Unsupported` with the reason: no driver, no such GPU; `Device` when it fails.
    pub fn open(ordinal: usize) -> Result<Self, KernelError> {
        let num_devices = Self::num_devices()?;
        if ordinal >= num_devices {
            let what = format!("CUDA device {ordinal}: it has {num_devices}");
            return Err(KernelError::Unsupported { what });
        }
        let context = CudaContext::new(ordinal).map_err(|e| failed("open", e))?;
        // SAFETY: no slice of cudarc's is made, whose uses its events would track; without them a
        // stream can be captured.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(|e| failed("open", e))?;
        let functions = load_functions(&context)?;
        let overlaps = waits(functions[0])?;
        let library = Library::open(&context)?;
        let attribute = |attribute| {
            let value = context
                .attribute(attribute)
                .map_err(|e| failed("open", e))?;
            Ok::<_, KernelError>(usize::try_from(value).unwrap_or(0))
        };
        let num_multiprocessors =
            attribute(CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let max_shared_bytes = attribute(
            CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
        )?;
        let description = describe(&context, library.is_some()).map_err(|e| failed("open", e))?;
        Ok(Self {
            stream,
            functions,
            num_multiprocessors: num_multiprocessors.max(1),
            // Some of it is the kernels' own, of fixed size.
            max_shared_bytes: max_shared_bytes.saturating_sub(FIXED_SHARED_BYTES),
            overlaps,
            library,
            description,
            uploads: Uploads::new(&context).map_err(|e| failed("open", e))?,
            downloads: Downloads::new(),
            context,
            is_recording: Cell::new(false),
        })
    }

    /// How many GPUs the driver shows.
    ///
    /// # Errors
    /// `Unsupported` without a driver or a GPU.
    pub fn num_devices() -> Result<usize, KernelError> {
        let lacks = |what: String| KernelError::Unsupported { what };
        // SAFETY: loading the driver's library runs its initialisers, as any use of it does.
        if !unsafe { sys::is_culib_present() } {
            return Err(lacks("a CUDA driver (libcuda)".to_owned()));
        }
        let count = result::init().and_then(|()| result::device::get_count());
        match count {
            Ok(count) if count > 0 => Ok(usize::try_from(count).expect("just compared")),
            Ok(_) => Err(lacks("a CUDA device".to_owned())),
            Err(error) => Err(lacks(format!("a CUDA device that works: {error}"))),
        }
    }

    /// Free and total bytes of the GPU's memory.
    ///
    /// # Errors
    /// `Device`.
    pub fn memory_info(&self) -> Result<(usize, usize), KernelError> {
        self.context
            .mem_get_info()
            .map_err(|e| failed("memory_info", e))
    }

    fn bind(&self, op: &'static str) -> Result<(), KernelError> {
        self.context.bind_to_thread().map_err(|e| failed(op, e))
    }

    /// A copy would be recorded with the host's address, which is not the graph's to keep.
    fn check_copy(&self, op: &'static str) -> Result<(), KernelError> {
        match self.is_recording.get() {
            true => Err(KernelError::Device {
                op,
                source: "copies are not recorded".into(),
            }),
            false => self.bind(op),
        }
    }
}

impl CudaDevice for CudaDriver {
    type Memory = CudaMemory;
    type Graph = CudaGraph;
    type Read = CudaRead;

    fn description(&self) -> String {
        self.description.clone()
    }

    fn num_multiprocessors(&self) -> usize {
        self.num_multiprocessors
    }

    fn max_shared_bytes(&self) -> usize {
        self.max_shared_bytes
    }

    fn has_library(&self) -> bool {
        self.library.is_some()
    }

    fn allocate(&self, what: &'static str, bytes: usize) -> Result<CudaMemory, KernelError> {
        self.bind("allocate")?;
        let error = |e: DriverError| match e.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => KernelError::OutOfMemory { what, bytes },
            _ => failed("allocate", e),
        };
        // SAFETY: the memory is written below, before anything can read it.
        let address = unsafe { result::malloc_sync(bytes) }.map_err(error)?;
        let memory = CudaMemory {
            context: Arc::clone(&self.context),
            address,
            bytes,
        };
        // SAFETY: just allocated with this size; what the stream runs later comes behind.
        unsafe { result::memset_d8_async(address, 0, bytes, self.stream.cu_stream()) }
            .map_err(|e| failed("allocate", e))?;
        Ok(memory)
    }

    fn address(&self, memory: &CudaMemory) -> u64 {
        memory.address
    }

    fn write(&self, memory: &CudaMemory, offset: usize, bytes: &[u8]) -> Result<(), KernelError> {
        assert!(offset + bytes.len() <= memory.bytes, "leaves the memory");
        self.check_copy("write")?;
        let to = memory.address + offset as u64;
        // SAFETY: within the memory, as just checked, which is given back only after everything has run
        // (`CudaMemory::drop`).
        unsafe { self.uploads.write(&self.stream, to, bytes) }.map_err(|e| failed("write", e))
    }

    fn read(&self, memory: &CudaMemory, offset: usize, out: &mut [u8]) -> Result<(), KernelError> {
        assert!(offset + out.len() <= memory.bytes, "leaves the memory");
        self.check_copy("read")?;
        let from = memory.address + offset as u64;
        // SAFETY: within the memory, as just checked; the bytes are not used before the stream has
        // been waited for.
        unsafe { result::memcpy_dtoh_async(out, from, self.stream.cu_stream()) }
            .and_then(|()| self.stream.synchronize())
            .map_err(|e| failed("read", e))
    }

    fn start_read(
        &self,
        memory: &CudaMemory,
        offset: usize,
        bytes: usize,
    ) -> Result<CudaRead, KernelError> {
        assert!(offset + bytes <= memory.bytes, "leaves the memory");
        self.check_copy("start_read")?;
        let from = memory.address + offset as u64;
        let place = (&self.context, &*self.stream);
        // SAFETY: as of `write`.
        unsafe { self.downloads.start(place, from, bytes) }.map_err(|e| failed("start_read", e))
    }

    fn finish_read(&self, read: CudaRead, out: &mut [u8]) -> Result<(), KernelError> {
        self.bind("finish_read")?;
        self.downloads
            .finish(read, out)
            .map_err(|e| failed("finish_read", e))
    }

    fn launch<A: Arguments>(&self, geometry: Geometry, arguments: &A) -> Result<(), KernelError> {
        if geometry.grid.contains(&0) {
            return Ok(());
        }
        let name = A::KERNEL.name();
        self.bind(name)?;
        let size = |size: usize| u32::try_from(size).expect("a launch's sizes are small");
        let [x, y] = geometry.grid.map(size);
        let argument = std::ptr::from_ref(arguments).cast_mut().cast::<c_void>();
        // Every kernel waits for those before it, `kernel.cuh`.
        let mut overlap = CUlaunchAttribute {
            id: CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: [0; 4],
            value: CUlaunchAttributeValue {
                programmaticStreamSerializationAllowed: 1,
            },
        };
        let config = CUlaunchConfig {
            gridDimX: x,
            gridDimY: y,
            gridDimZ: 1,
            blockDimX: size(geometry.threads),
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: size(geometry.shared_bytes),
            hStream: self.stream.cu_stream(),
            attrs: &raw mut overlap,
            numAttrs: u32::from(self.overlaps),
        };
        // SAFETY: the function takes this one argument, which the driver copies before the call
        // returns; its addresses are those of memory that the backend owns, which is given back only
        // after everything has run (`CudaMemory::drop`).
        unsafe {
            sys::cuLaunchKernelEx(
                &raw const config,
                self.functions[A::KERNEL as usize],
                [argument].as_mut_ptr(),
                std::ptr::null_mut(),
            )
        }
        .result()
        .map_err(|e| failed(name, e))
    }

    fn multiply(&self, product: &Product) -> Result<(), KernelError> {
        self.bind("multiply")?;
        let library = self.library.as_ref().expect("the caller has asked");
        library.multiply(product, &self.stream)
    }

    fn begin_recording(&self) -> Result<(), KernelError> {
        graph::begin(&self.stream).map_err(|e| failed("begin_recording", e))?;
        self.is_recording.set(true);
        Ok(())
    }

    fn end_recording(&self) -> Result<CudaGraph, KernelError> {
        self.is_recording.set(false);
        graph::end(&self.stream).map_err(|e| failed("end_recording", e))
    }

    fn replay(&self, graph: &CudaGraph) -> Result<(), KernelError> {
        graph.launch().map_err(|e| failed("replay", e))
    }
}

impl Drop for CudaMemory {
    fn drop(&mut self) {
        // A context that is gone has taken its memory along, and there is nobody to tell.
        if self.context.bind_to_thread().is_ok() {
            let _ = result::ctx::synchronize();
            // SAFETY: allocated by `malloc_sync` and freed once, when nothing runs any more.
            let _ = unsafe { result::free_sync(self.address) };
        }
    }
}

/// Loads the image; each kernel may use as much shared memory as a block can have.
fn load_functions(context: &Arc<CudaContext>) -> Result<Vec<sys::CUfunction>, KernelError> {
    context.bind_to_thread().map_err(|e| failed("open", e))?;
    // SAFETY: the image is complete and outlives the module, which is never unloaded.
    let module = unsafe { module::load_data(IMAGE.as_ptr().cast()) }
        .map_err(|e| failed("loading the kernels", e))?;
    let most = context
        .attribute(CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
        .map_err(|e| failed("open", e))?;
    let load = |kernel: &Kernel| {
        let name = CString::new(kernel.name()).expect("names have no zeros");
        // SAFETY: the module is loaded.
        let found = unsafe { module::get_function(module, name) };
        let found = found.map_err(|e| failed(kernel.name(), e))?;
        let attribute = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;
        // SAFETY: the function was just found.
        unsafe { function::get_function_attribute(found, attribute) }
            .and_then(|fixed| {
                let limit =
                    CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                // SAFETY: as above.
                unsafe { function::set_function_attribute(found, limit, most - fixed) }
            })
            .map_err(|e| failed(kernel.name(), e))?;
        Ok(found)
    };
    Kernel::ALL.iter().map(load).collect()
}

/// Whether the kernels have `griddepcontrol.wait`, which is part of the image for compute capability 9.0;
/// elsewhere they may be compiled from older code.
fn waits(function: sys::CUfunction) -> Result<bool, KernelError> {
    let attribute = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_PTX_VERSION;
    // SAFETY: the function was found in the module.
    let version = unsafe { function::get_function_attribute(function, attribute) };
    Ok(version.map_err(|e| failed("open", e))? >= 90)
}

fn describe(context: &CudaContext, has_library: bool) -> Result<String, DriverError> {
    let (major, minor) = context.compute_capability()?;
    let gigabytes = context.total_mem()? >> 30;
    let library = match has_library {
        true => "cuBLASLt",
        false => "no cuBLASLt, products of many rows are slow",
    };
    let name = context.name()?;
    Ok(format!(
        "{name} ({gigabytes} GiB, compute capability {major}.{minor}), {library}"
    ))
}

fn failed(op: &'static str, error: DriverError) -> KernelError {
    KernelError::Device {
        op,
        source: Box::new(error),
    }
}
