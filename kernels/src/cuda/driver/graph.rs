//! Launches that were captured from a stream.

use std::sync::Arc;

use cudarc::driver::result::DriverError;
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUresult, CUstreamCaptureMode};
use cudarc::driver::{self, CudaStream};

/// A graph that can be launched on the stream that it was captured from.
pub struct CudaGraph {
    graph: driver::CudaGraph,
    stream: Arc<CudaStream>,
}

// SAFETY: a graph may be used by any thread, one at a time; launching binds its context.
unsafe impl Send for CudaGraph {}

/// Captures what is sent to the stream from here on.
pub(super) fn begin(stream: &CudaStream) -> Result<(), DriverError> {
    // Other threads may allocate while this one records.
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
}

/// What was captured, ready to be launched.
pub(super) fn end(stream: &Arc<CudaStream>) -> Result<CudaGraph, DriverError> {
    match stream.end_capture(CUgraphInstantiate_flags(0))? {
        Some(graph) => Ok(CudaGraph {
            graph,
            stream: Arc::clone(stream),
        }),
        None => Err(DriverError(CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)),
    }
}

impl CudaGraph {
    pub(super) fn launch(&self) -> Result<(), DriverError> {
        self.graph.launch()
    }
}

impl Drop for CudaGraph {
    fn drop(&mut self) {
        // It may still run; what the wait fails with, later calls report.
        let _ = self.stream.synchronize();
    }
}
