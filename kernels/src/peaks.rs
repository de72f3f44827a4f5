//! What the machine's arithmetic can do at most, per instruction path: the roof that a kernel's
//! speed is compared with.
//!
//! Each path is a loop of independent accumulations in registers, without a memory access. It says
//! nothing about a kernel that has to unpack, scale or load, and that is its point: what lies
//! between the two is the kernel's.

use std::hint::black_box;

use crate::peak_loops;

/// A way to multiply and add that kernels can be built from, and that the machine has.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// Operands and instructions, as in `u8 x i8: vpdpbusd, 512 bits`.
    pub name: &'static str,
    /// What it multiplies.
    pub operands: Operands,
    operations: u64,
    run: fn(u64),
}

/// What a path multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// Pairs of f32.
    Float32,
    /// Pairs of bfloat16, summed in f32.
    Bfloat16,
    /// Pairs of integers of 8 or 16 bits, summed in 32.
    Integer,
}

impl Peak {
    /// The paths that this machine has, plain Rust first.
    pub fn of_this_machine() -> Vec<Self> {
        let mut peaks = vec![Self {
            name: "f32: plain Rust, the target's baseline",
            operands: Operands::Float32,
            operations: 2 * (SUMS * BASELINE_LANES) as u64,
            run: baseline,
        }];
        peaks.extend(peak_loops::of_this_machine());
        peaks
    }

    /// `operations`: multiplications and additions of one iteration of `run`, which the machine
    /// must be able to execute.
    pub(crate) fn new(
        name: &'static str,
        operands: Operands,
        operations: u64,
        run: fn(u64),
    ) -> Self {
        Self {
            name,
            operands,
            operations,
            run,
        }
    }

    /// Computes, on the calling thread, and returns how many multiplications and additions it did.
    pub fn run(&self, iterations: u64) -> u64 {
        (self.run)(iterations);
        iterations * self.operations
    }
}

/// Reads all of `words`, on the calling thread; their sum.
pub fn read(words: &[u64]) -> u64 {
    black_box(words.iter().fold(0, |sum, word| sum.wrapping_add(*word)))
}

/// Independent sums: enough to hide the latency of an accumulation (4 or 5 cycles, two in a cycle),
/// few enough for 16 registers.
pub(crate) const SUMS: usize = 12;

/// Lanes of a vector of 128 bits, which every target has.
const BASELINE_LANES: usize = 4;

/// A product and a sum that are rounded each: the baseline need not have a fused instruction.
fn baseline(iterations: u64) {
    let factor = [black_box(0.999_999_9_f32); BASELINE_LANES];
    let term = [black_box(1e-7_f32); BASELINE_LANES];
    let mut sums = [[1.0_f32; BASELINE_LANES]; SUMS];
    for _ in 0..iterations {
        for sum in &mut sums {
            for lane in 0..BASELINE_LANES {
                sum[lane] = sum[lane] * factor[lane] + term[lane];
            }
        }
    }
    black_box(sums);
}

#[cfg(test)]
mod tests;
