//! The instruction sets that the kernels are compiled for, by name.

use std::fmt;

use crate::cpu::simd::Isa;

/// An instruction set, for tests and comparisons: the backend takes the machine's best by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// The target's baseline, which every machine has.
    Portable,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW and VL.
    Avx512,
    /// x86-64 with AVX-512 F, BW, VL and VNNI.
    Avx512Vnni,
    /// x86-64 with AVX-512 F, BW, VL, VNNI and BF16. Products with weights in bfloat16 round their
    /// inputs to bfloat16, which the others do not.
    Avx512Bf16,
    /// The same, and AMX with products of bfloat16 and of bytes, where the system gives them.
    /// Products with weights in bfloat16 add in an order of their own.
    Amx,
}

impl InstructionSet {
    /// All of them, each better than those before it.
    pub const ALL: [Self; 6] = [
        Self::Portable,
        Self::Avx2,
        Self::Avx512,
        Self::Avx512Vnni,
        Self::Avx512Bf16,
        Self::Amx,
    ];

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        Isa::new(self).is_some()
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Amx => "amx",
        })
    }
}
