//! Instruction sets of x86-64 beyond its baseline.

#![expect(
    unsafe_code,
    reason = "enters code compiled for instructions that were detected"
)]

mod amx;
mod avx2;
mod avx512;

use crate::cpu::instruction_set::InstructionSet;
use crate::cpu::simd::Kernel;
use crate::cpu::tiles::TileKernel;
use crate::extensions::amx::Amx;

/// An instruction set beyond the baseline. Only [`Extension::new`] makes one, so holding it proves
/// that the machine has the instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extension(Level);

/// Private, so that nobody else claims an instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512 F, BW and VL.
    Avx512,
    /// AVX-512 F, BW, VL and VNNI.
    Avx512Vnni,
    /// AVX-512 F, BW, VL, VNNI and BF16.
    Avx512Bf16,
    /// The same, and AMX.
    Amx,
}

impl Extension {
    /// `set`, where this machine (its processor and its operating system) has it.
    pub(crate) fn new(set: InstructionSet) -> Option<Self> {
        let (level, available) = match set {
            InstructionSet::Portable => return None,
            InstructionSet::Avx2 => {
                let available = is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c");
                (Level::Avx2, available)
            }
            InstructionSet::Avx512 => (Level::Avx512, has_avx512()),
            InstructionSet::Avx512Vnni => {
                let available = has_avx512() && is_x86_feature_detected!("avx512vnni");
                (Level::Avx512Vnni, available)
            }
            InstructionSet::Avx512Bf16 => (Level::Avx512Bf16, has_avx512_bf16()),
            InstructionSet::Amx => (Level::Amx, has_avx512_bf16() && amx::is_available()),
        };
        available.then_some(Self(level))
    }

    /// Its name in logs.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            Level::Avx2 => "avx2+fma+f16c",
            Level::Avx512 => "avx512f+bw+vl",
            Level::Avx512Vnni => "avx512f+bw+vl+vnni",
            Level::Avx512Bf16 => "avx512f+bw+vl+vnni+bf16",
            Level::Amx => "avx512f+bw+vl+vnni+bf16+amx",
        }
    }

    /// As [`crate::cpu::simd::Isa::dots_bf16`].
    pub(crate) fn dots_bf16(self) -> bool {
        matches!(self.0, Level::Avx512Bf16 | Level::Amx)
    }

    /// As [`crate::cpu::simd::Isa::has_tiles`].
    pub(crate) fn has_tiles(self) -> bool {
        self.0 == Level::Amx
    }

    /// Runs `kernel` as compiled for it.
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        match self.0 {
            // SAFETY: `new` found the features that `enter` is compiled for.
            Level::Avx2 => unsafe { avx2::enter(kernel) },
            // SAFETY: as above.
            Level::Avx512Bf16 | Level::Amx if K::DOTS_BF16 => unsafe { avx512::enter_bf16(kernel) },
            // SAFETY: as above.
            Level::Avx512Vnni | Level::Avx512Bf16 | Level::Amx if K::DOTS_PAIRS => unsafe {
                avx512::enter_vnni(kernel)
            },
            // SAFETY: as above.
            Level::Avx512 | Level::Avx512Vnni | Level::Avx512Bf16 | Level::Amx => unsafe {
                avx512::enter(kernel)
            },
        }
    }

    /// Runs `kernel` on its tiles.
    ///
    /// # Panics
    /// If it has none.
    pub(crate) fn run_tiles<K: TileKernel>(self, kernel: K) {
        assert!(self.has_tiles(), "{} has no tiles", self.name());
        // SAFETY: `new` found the features that `enter_tiles` is compiled for, and AMX.
        unsafe { avx512::enter_tiles(kernel, Amx::new()) }
    }
}

fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
}

fn has_avx512_bf16() -> bool {
    has_avx512() && is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bf16")
}
