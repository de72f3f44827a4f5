//! The multiply-and-add instructions of x86-64 beyond its baseline.
//!
//! Where an instruction does not accumulate by itself, its operand is the sum of the iteration
//! before: a product of constants would be computed once, before the loop.

#![expect(
    unsafe_code,
    reason = "enters code compiled for instructions that were detected"
)]

use std::arch::asm;
use std::arch::x86_64::*;
use std::hint::black_box;

use crate::InstructionSet;
use crate::cpu::simd::{Isa, Simd};
use crate::cpu::tiles::{TILE_ROW_BYTES, TILE_ROWS, TILE_SUMS, TileKernel, TileShape, Tiles};
use crate::peaks::{Operands, Peak, SUMS};

/// Declares a function that enters `$inner`, so that it can stand in a [`Peak`].
macro_rules! entered {
    ($outer:ident, $inner:ident) => {
        fn $outer(iterations: u64) {
            // SAFETY: `of_this_machine` hands this out after it has detected the features that
            // the loop is compiled for.
            unsafe { $inner(iterations) }
        }
    };
}

pub(crate) fn of_this_machine() -> Vec<Peak> {
    use Operands::{Bfloat16, Float32, Integer};
    let operations = |lanes: usize| 2 * (SUMS * lanes) as u64;
    let mut peaks = Vec::new();
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        let name = "f32: vfmadd, 256 bits";
        peaks.push(Peak::new(name, Float32, operations(8), float_256));
        let name = "i16 x i16: vpmaddwd + vpaddd, 256 bits";
        peaks.push(Peak::new(name, Integer, operations(16), words_256));
        let name = "u8 x i8: vpmaddubsw + vpmaddwd + vpaddd, 256 bits";
        peaks.push(Peak::new(name, Integer, operations(32), bytes_256));
    }
    if is_x86_feature_detected!("avx512f") {
        let name = "f32: vfmadd, 512 bits";
        peaks.push(Peak::new(name, Float32, operations(16), float_512));
        if is_x86_feature_detected!("avx512bf16") {
            let name = "bf16: vdpbf16ps, 512 bits";
            peaks.push(Peak::new(name, Bfloat16, operations(32), bfloat_512));
        }
        if is_x86_feature_detected!("avx512vnni") {
            let name = "i16 x i16: vpdpwssd, 512 bits";
            peaks.push(Peak::new(name, Integer, operations(32), words_512));
            let name = "u8 x i8: vpdpbusd, 512 bits";
            peaks.push(Peak::new(name, Integer, operations(64), bytes_512));
        }
    }
    if Isa::new(InstructionSet::Amx).is_some() {
        let name = "bf16: tdpbf16ps";
        peaks.push(Peak::new(name, Bfloat16, tile_operations(2), bfloat_tiles));
        let name = "i8 x i8: tdpbssd";
        peaks.push(Peak::new(name, Integer, tile_operations(1), byte_tiles));
    }
    peaks
}

/// Of four tiles whose operands take `bytes` each.
fn tile_operations(bytes: usize) -> u64 {
    let depth = TILE_ROW_BYTES / bytes;
    2 * 4 * (TILE_SUMS * depth) as u64
}

entered!(float_256, float_256_loop);
entered!(words_256, words_256_loop);
entered!(bytes_256, bytes_256_loop);
entered!(float_512, float_512_loop);
entered!(bfloat_512, bfloat_512_loop);
entered!(words_512, words_512_loop);
entered!(bytes_512, bytes_512_loop);

#[target_feature(enable = "avx2,fma")]
fn float_256_loop(iterations: u64) {
    let factor = _mm256_set1_ps(black_box(0.999_999_9));
    let term = _mm256_set1_ps(black_box(1e-7));
    let mut sums = [_mm256_set1_ps(1.0); SUMS];
    for _ in 0..iterations {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, term);
        }
    }
    black_box(sums);
}

#[target_feature(enable = "avx2")]
fn words_256_loop(iterations: u64) {
    let factor = _mm256_set1_epi16(black_box(3));
    let mut sums = [_mm256_set1_epi32(1); SUMS];
    for _ in 0..iterations {
        for sum in &mut sums {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(*sum, factor));
        }
    }
    black_box(sums);
}

#[target_feature(enable = "avx2")]
fn bytes_256_loop(iterations: u64) {
    let factor = _mm256_set1_epi8(black_box(3));
    let ones = _mm256_set1_epi16(black_box(1));
    let mut sums = [_mm256_set1_epi32(1); SUMS];
    for _ in 0..iterations {
        for sum in &mut sums {
            let words = _mm256_maddubs_epi16(*sum, factor);
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(words, ones));
        }
    }
    black_box(sums);
}

#[target_feature(enable = "avx512f")]
fn float_512_loop(iterations: u64) {
    let factor = _mm512_set1_ps(black_box(0.999_999_9));
    let term = _mm512_set1_ps(black_box(1e-7));
    let mut sums = [_mm512_set1_ps(1.0); SUMS];
    for _ in 0..iterations {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, term);
        }
    }
    black_box(sums);
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn bfloat_512_loop(iterations: u64) {
    let values = _mm512_set1_ps(black_box(1e-3));
    let factors = _mm512_cvtne2ps_pbh(values, values);
    let mut sums = [_mm512_set1_ps(1.0); SUMS];
    for _ in 0..iterations {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, factors, factors);
        }
    }
    black_box(sums);
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn words_512_loop(iterations: u64) {
    let factors = _mm512_set1_epi32(black_box(0x0003_0002));
    let mut sums = [_mm512_set1_epi32(1); SUMS];
    for _ in 0..iterations {
        for sum in &mut sums {
            *sum = _mm512_dpwssd_epi32(*sum, factors, factors);
        }
    }
    black_box(sums);
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn bytes_512_loop(iterations: u64) {
    let factors = _mm512_set1_epi32(black_box(0x0102_0301));
    let mut sums = [_mm512_set1_epi32(1); SUMS];
    for _ in 0..iterations {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, factors, factors);
        }
    }
    black_box(sums);
}

fn bfloat_tiles(iterations: u64) {
    run_tiles::<true>(iterations);
}

fn byte_tiles(iterations: u64) {
    run_tiles::<false>(iterations);
}

fn run_tiles<const BFLOAT: bool>(iterations: u64) {
    let isa = Isa::new(InstructionSet::Amx).expect("found before");
    isa.run_tiles(TileLoop::<BFLOAT> { iterations });
}

/// Four products of tiles that hold zeros.
struct TileLoop<const BFLOAT: bool> {
    iterations: u64,
}

impl<const BFLOAT: bool> TileKernel for TileLoop<BFLOAT> {
    #[inline(always)]
    fn run<S: Simd, T: Tiles>(self, _simd: S, tiles: &mut T) {
        tiles.configure([TileShape::whole(TILE_ROWS); 8]);
        for _ in 0..self.iterations {
            if BFLOAT {
                tiles.dot_bf16::<0, 4, 6>();
                tiles.dot_bf16::<1, 4, 7>();
                tiles.dot_bf16::<2, 5, 6>();
                tiles.dot_bf16::<3, 5, 7>();
            } else {
                // SAFETY: these are `tiles`, whose registers were configured.
                unsafe {
                    asm!(
                        "tdpbssd tmm0, tmm4, tmm6",
                        "tdpbssd tmm1, tmm4, tmm7",
                        "tdpbssd tmm2, tmm5, tmm6",
                        "tdpbssd tmm3, tmm5, tmm7",
                        options(nomem, nostack, preserves_flags),
                    );
                }
            }
        }
    }
}
