//! Targets for which nothing is known beyond their baseline.

use crate::cpu::instruction_set::InstructionSet;
use crate::cpu::simd::Kernel;
use crate::cpu::tiles::TileKernel;

/// An instruction set beyond the baseline: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {}

impl Extension {
    /// `set`, where this machine has it.
    pub(crate) fn new(_set: InstructionSet) -> Option<Self> {
        None
    }

    /// Its name in logs.
    pub(crate) fn name(self) -> &'static str {
        match self {}
    }

    /// As [`crate::cpu::simd::Isa::dots_bf16`].
    pub(crate) fn dots_bf16(self) -> bool {
        match self {}
    }

    /// As [`crate::cpu::simd::Isa::has_tiles`].
    pub(crate) fn has_tiles(self) -> bool {
        match self {}
    }

    /// Runs `kernel` as compiled for it.
    pub(crate) fn run<K: Kernel>(self, _kernel: K) {
        match self {}
    }

    /// Runs `kernel` on its tiles.
    pub(crate) fn run_tiles<K: TileKernel>(self, _kernel: K) {
        match self {}
    }
}
