//! The first GPU, where the machine has one.

use std::io::Write;
use std::sync::{Mutex, OnceLock};

use kernels::{ActivationDtype, Cuda, CudaDriver, KernelError, SumOrder};

/// Runs `check` on backends of the first GPU; without one, says once why it is left untested.
///
/// With `PURSER_TEST_GPU` set, a machine without a GPU is a failure.
pub(crate) fn with(check: impl FnOnce(&dyn Fn(ActivationDtype, SumOrder) -> Cuda<CudaDriver>)) {
    // One stays open, so that the others share its context.
    static FIRST: OnceLock<Result<Mutex<CudaDriver>, KernelError>> = OnceLock::new();
    let mut is_first = false;
    let opened = FIRST.get_or_init(|| {
        is_first = true;
        CudaDriver::open(0).map(Mutex::new)
    });
    match opened {
        Ok(_) => check(&|dtype, order| Cuda::new(CudaDriver::open(0).unwrap(), dtype, order)),
        Err(error) => {
            let required = std::env::var_os("PURSER_TEST_GPU").is_some();
            assert!(!required, "{error}");
            if is_first {
                let line = format!("untested: cuda: {error}\n");
                std::io::stderr().write_all(line.as_bytes()).unwrap();
            }
        }
    }
}

/// Without such a GPU, whatever the machine has, opening it says what is missing.
#[test]
fn what_is_not_there_is_refused() {
    let error = CudaDriver::open(1_000_000).err().unwrap().to_string();
    let expected = "this machine does not have a CUDA d";
    let lacks = error.starts_with(expected) || error.contains("CUDA device 1000000");
    assert!(lacks, "{error}");
}
