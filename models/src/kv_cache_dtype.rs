//! What the KV cache is made of.

use kernels::KvDtype;

use crate::device::Device;

/// Element type of the KV cache; names are vLLM's where vLLM has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvCacheDtype {
    /// [`KvCacheDtype::Bfloat16`], and [`KvCacheDtype::Float32`] on the reference backend.
    #[default]
    Auto,
    /// 32-bit floats.
    Float32,
    /// bfloat16.
    Bfloat16,
    /// 8-bit integers with a scale per token and head.
    Int8,
    /// 8-bit floats e4m3 without a scale, not on the CPU.
    Fp8,
}

impl KvCacheDtype {
    /// The type on `device`.
    pub fn on(self, device: Device) -> KvDtype {
        match (self, device) {
            (Self::Auto, Device::Reference) | (Self::Float32, _) => KvDtype::F32,
            (Self::Auto | Self::Bfloat16, _) => KvDtype::Bf16,
            (Self::Int8, _) => KvDtype::Int8,
            (Self::Fp8, _) => KvDtype::Fp8,
        }
    }
}
