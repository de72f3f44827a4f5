//! In the place of the emulator, in a program that was built without it.

use kernels::{ActivationDtype, KernelError, Reference, SumOrder};

/// # Errors
/// Always: there is none.
pub(crate) fn backend(
    _dtype: ActivationDtype,
    _sum_order: SumOrder,
) -> Result<Reference, KernelError> {
    let what = "the emulator of GPUs: this program was built without the cargo feature \
                `cuda-emulator`";
    Err(KernelError::Unsupported {
        what: what.to_owned(),
    })
}
