//! Vectors in plain Rust: arrays that the compiler vectorises for the target's baseline.

#![expect(unsafe_code, reason = "vector loads and stores through pointers")]

use std::array::from_fn;

use half::{bf16, f16};

use crate::TARGET_HAS_FMA;
use crate::cpu::simd::{Kernel, LANES, Simd};

/// The instruction set that every target has.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// 16 lanes.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Lanes([f32; LANES]);

/// 16 sums.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct IntegerLanes([i32; LANES]);

/// 16 pairs.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct PairLanes([[i16; 2]; LANES]);

impl Simd for Portable {
    type Vector = Lanes;
    type Sums = IntegerLanes;
    type Pairs = PairLanes;

    // Registers of four lanes: 6 rows need 24 accumulators (AArch64 has 32), 3 rows need 12 (the
    // baseline of x86-64 has 16).
    const TILE_ROWS: usize = if TARGET_HAS_FMA { 6 } else { 3 };
    const TILE_PANELS: usize = 1;
    const INTEGER_ROWS: usize = if TARGET_HAS_FMA { 6 } else { 3 };

    #[inline(never)]
    fn outline<K: Kernel>(self, kernel: K) {
        kernel.run(self);
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Lanes {
        Lanes([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(self, ptr: *const f32) -> Lanes {
        // SAFETY: the caller vouches for 16 elements; alignment is not assumed.
        Lanes(unsafe { ptr.cast::<[f32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_bf16(self, ptr: *const bf16) -> Lanes {
        // SAFETY: the caller vouches for 16 elements, 8 words; alignment is not assumed.
        let words = unsafe { ptr.cast::<[u32; LANES / 2]>().read_unaligned() };
        let mut lanes = [0.0; LANES];
        for (j, word) in words.into_iter().enumerate() {
            let word = u32::from_le(word);
            lanes[j] = f32::from_bits(word << 16);
            lanes[j + LANES / 2] = f32::from_bits(word & 0xffff_0000);
        }
        Lanes(lanes)
    }

    #[inline(always)]
    unsafe fn load_f16(self, ptr: *const f16) -> Lanes {
        // SAFETY: the caller vouches for 16 elements; alignment is not assumed.
        let halves = unsafe { ptr.cast::<[f16; LANES]>().read_unaligned() };
        Lanes(from_fn(|i| halves[i].to_f32_const()))
    }

    #[inline(always)]
    unsafe fn load_i8(self, ptr: *const i8) -> Lanes {
        // SAFETY: the caller vouches for 16 elements.
        let bytes = unsafe { ptr.cast::<[i8; LANES]>().read_unaligned() };
        Lanes(bytes.map(f32::from))
    }

    #[inline(always)]
    unsafe fn store(self, ptr: *mut f32, value: Lanes) {
        // SAFETY: the caller vouches for 16 elements; alignment is not assumed.
        unsafe { ptr.cast::<[f32; LANES]>().write_unaligned(value.0) }
    }

    #[inline(always)]
    unsafe fn store_i16(self, ptr: *mut i16, value: Lanes) {
        // The low bits of such a sum are the whole number.
        let quants = value.0.map(|x| (x + 12_582_912.0).to_bits() as i16);
        // SAFETY: the caller vouches for 16 elements; alignment is not assumed.
        unsafe { ptr.cast::<[i16; LANES]>().write_unaligned(quants) }
    }

    #[inline(always)]
    fn prefetch(self, _ptr: *const u8) {}

    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        Lanes(from_fn(|i| a.0[i] + b.0[i]))
    }

    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        Lanes(from_fn(|i| a.0[i] - b.0[i]))
    }

    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        Lanes(from_fn(|i| a.0[i] * b.0[i]))
    }

    #[inline(always)]
    fn div(self, a: Lanes, b: Lanes) -> Lanes {
        Lanes(from_fn(|i| a.0[i] / b.0[i]))
    }

    #[inline(always)]
    fn mul_add(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        if TARGET_HAS_FMA {
            Lanes(from_fn(|i| a.0[i].mul_add(b.0[i], c.0[i])))
        } else {
            Lanes(from_fn(|i| a.0[i] * b.0[i] + c.0[i]))
        }
    }

    #[inline(always)]
    fn max(self, a: Lanes, b: Lanes) -> Lanes {
        Lanes(from_fn(|i| if a.0[i] > b.0[i] { a.0[i] } else { b.0[i] }))
    }

    #[inline(always)]
    fn min(self, a: Lanes, b: Lanes) -> Lanes {
        Lanes(from_fn(|i| if a.0[i] < b.0[i] { a.0[i] } else { b.0[i] }))
    }

    #[inline(always)]
    fn zero_below(self, x: Lanes, limit: Lanes, value: Lanes) -> Lanes {
        Lanes(from_fn(
            |i| if x.0[i] < limit.0[i] { 0.0 } else { value.0[i] },
        ))
    }

    #[inline(always)]
    fn exp2_biased(self, biased: Lanes) -> Lanes {
        Lanes(from_fn(|i| {
            f32::from_bits((biased.0[i].to_bits() << 23).wrapping_add(1.0f32.to_bits()))
        }))
    }

    #[inline(always)]
    fn splat_sum(self, value: i32) -> IntegerLanes {
        IntegerLanes([value; LANES])
    }

    #[inline(always)]
    fn splat_pair(self, pair: i32) -> PairLanes {
        let pair = i32::from_le(pair);
        PairLanes([[pair as i16, (pair >> 16) as i16]; LANES])
    }

    #[inline(always)]
    unsafe fn load_pairs(self, ptr: *const i16) -> PairLanes {
        // SAFETY: the caller vouches for 32 elements; alignment is not assumed.
        PairLanes(unsafe { ptr.cast::<[[i16; 2]; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store_pairs(self, ptr: *mut i16, value: PairLanes) {
        // SAFETY: the caller vouches for 32 elements; alignment is not assumed.
        unsafe { ptr.cast::<[[i16; 2]; LANES]>().write_unaligned(value.0) }
    }

    #[inline(always)]
    fn mask_pairs(self, value: PairLanes, mask: i16) -> PairLanes {
        PairLanes(from_fn(|i| [value.0[i][0] & mask, value.0[i][1] & mask]))
    }

    #[inline(always)]
    fn join_pairs(self, a: PairLanes, b: PairLanes) -> PairLanes {
        PairLanes(from_fn(|i| [a.0[i][0] | b.0[i][0], a.0[i][1] | b.0[i][1]]))
    }

    #[inline(always)]
    fn shift_pairs_up<const N: i32>(self, value: PairLanes) -> PairLanes {
        PairLanes(from_fn(|i| [value.0[i][0] << N, value.0[i][1] << N]))
    }

    #[inline(always)]
    fn shift_pairs_down<const N: i32>(self, value: PairLanes) -> PairLanes {
        let shift = |x: i16| (x as u16 >> N) as i16;
        PairLanes(from_fn(|i| [shift(value.0[i][0]), shift(value.0[i][1])]))
    }

    #[inline(always)]
    fn shift_pairs_sign<const N: i32>(self, value: PairLanes) -> PairLanes {
        PairLanes(from_fn(|i| [value.0[i][0] >> N, value.0[i][1] >> N]))
    }

    #[inline(always)]
    fn dot_pairs(self, sums: IntegerLanes, a: PairLanes, b: PairLanes) -> IntegerLanes {
        let product = |i: usize, half: usize| i32::from(a.0[i][half]) * i32::from(b.0[i][half]);
        let dot = |i| product(i, 0).wrapping_add(product(i, 1));
        IntegerLanes(from_fn(|i| sums.0[i].wrapping_add(dot(i))))
    }

    #[inline(always)]
    fn to_floats(self, sums: IntegerLanes) -> Lanes {
        Lanes(sums.0.map(|sum| sum as f32))
    }

    #[inline(always)]
    fn sum(self, value: Lanes) -> f32 {
        let v = value.0;
        let eight: [f32; 8] = from_fn(|i| v[i] + v[i + 8]);
        let four: [f32; 4] = from_fn(|i| eight[i] + eight[i + 4]);
        (four[0] + four[2]) + (four[1] + four[3])
    }

    #[inline(always)]
    fn max_lane(self, value: Lanes) -> f32 {
        let v = value.0;
        let larger = |a: f32, b: f32| if a > b { a } else { b };
        let eight: [f32; 8] = from_fn(|i| larger(v[i], v[i + 8]));
        let four: [f32; 4] = from_fn(|i| larger(eight[i], eight[i + 4]));
        larger(larger(four[0], four[2]), larger(four[1], four[3]))
    }
}
