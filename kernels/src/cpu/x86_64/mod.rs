//! Instruction sets of x86-64 beyond its baseline.

#![expect(
    unsafe_code,
    reason = "enters code compiled for instructions that were detected"
)]

mod avx2;

use crate::cpu::simd::Kernel;

/// An instruction set beyond the baseline. Only [`Extension::detect`] makes one, so holding it
/// proves that the machine has the instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extension(Level);

/// Private, so that nobody else claims an instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// AVX2, FMA and F16C.
    Avx2,
}

impl Extension {
    /// The best one of this machine.
    pub(crate) fn detect() -> Option<Self> {
        let avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        avx2.then_some(Self(Level::Avx2))
    }

    /// Its name in logs.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            Level::Avx2 => "avx2+fma+f16c",
        }
    }

    /// Runs `kernel` as compiled for it.
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        match self.0 {
            // SAFETY: `detect` found the features that `enter` is compiled for.
            Level::Avx2 => unsafe { avx2::enter(kernel) },
        }
    }
}
