//! In the place of GPUs, in a program that was built without them.

use kernels::{ActivationDtype, KernelError, Reference, SumOrder};

use crate::device::DeviceMemory;

/// An open GPU: none, where they are not built.
pub(crate) enum Gpu {}

impl Gpu {
    /// # Errors
    /// Always: there is none.
    pub(crate) fn open(_ordinal: usize) -> Result<Self, KernelError> {
        let what = "kernels for GPUs: this program was built without the cargo feature `cuda`";
        Err(KernelError::Unsupported {
            what: what.to_owned(),
        })
    }

    /// # Errors
    /// Never.
    pub(crate) fn memory(&self) -> Result<DeviceMemory, KernelError> {
        match *self {}
    }

    pub(crate) fn into_backend(self, _dtype: ActivationDtype, _sum_order: SumOrder) -> Reference {
        match self {}
    }
}
