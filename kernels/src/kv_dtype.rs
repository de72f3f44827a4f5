//! Element types of the KV cache.

/// Element type of cached keys and values; what a step computes stays f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvDtype {
    /// 32-bit floats.
    F32,
    /// bfloat16, rounded to nearest even.
    Bf16,
    /// 8-bit integers in -127..=127 and, per token and head, an f32 scale: the largest magnitude
    /// of the head's elements divided by 127. Integers are rounded to nearest even.
    Int8,
    /// 8-bit floats e4m3 (OCP 8-bit Floating Point Specification 1.0, 2023) without a scale, rounded
    /// to nearest even. Magnitudes above the largest, 448, infinities too, become that; what is no
    /// number stays so.
    Fp8,
}

impl KvDtype {
    /// All of them; [`Backend::KV_DTYPES`](crate::Backend::KV_DTYPES) are those of a backend.
    pub const ALL: [Self; 4] = [Self::F32, Self::Bf16, Self::Int8, Self::Fp8];

    /// Its name in flags, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::Int8 => "int8",
            Self::Fp8 => "fp8_e4m3",
        }
    }

    /// Bytes of `head_dim` elements, their scale included.
    pub fn head_bytes(self, head_dim: usize) -> usize {
        match self {
            Self::F32 => 4 * head_dim,
            Self::Bf16 => 2 * head_dim,
            Self::Int8 => head_dim + size_of::<f32>(),
            Self::Fp8 => head_dim,
        }
    }
}
