//! AVX2, FMA and F16C: a vector is two registers of eight lanes.

#![expect(unsafe_code, reason = "intrinsics, reachable only through `enter`")]

use std::arch::x86_64::*;

use half::{bf16, f16};

use crate::cpu::simd::{Kernel, Simd};

/// Proof that the code runs inside [`enter`].
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

/// Lanes 0 to 7 and 8 to 15.
#[derive(Clone, Copy)]
pub(super) struct Pair(__m256, __m256);

/// Lanes 0 to 7 and 8 to 15, of i32 or of pairs of i16.
#[derive(Clone, Copy)]
pub(super) struct IntegerPair(__m256i, __m256i);

/// Runs `kernel`, which is inlined and so compiled with these features.
///
/// # Safety
/// The machine has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline(never)]
pub(super) unsafe fn enter<K: Kernel>(kernel: K) {
    kernel.run(Avx2(()));
}

// The arithmetic below is safe because `Avx2` exists only inside `enter`.
impl Simd for Avx2 {
    type Vector = Pair;
    type Sums = IntegerPair;
    type Pairs = IntegerPair;

    // 12 accumulators, 2 weight registers and 1 broadcast of 16 registers.
    const TILE_ROWS: usize = 6;
    const TILE_PANELS: usize = 1;
    // 12 sums, 2 weight registers, 1 broadcast and 1 product.
    const INTEGER_ROWS: usize = 6;

    #[inline(always)]
    fn outline<K: Kernel>(self, kernel: K) {
        // SAFETY: `self` proves that the machine has the features.
        unsafe { enter(kernel) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Pair {
        // SAFETY: `self` proves AVX2.
        let half = unsafe { _mm256_set1_ps(value) };
        Pair(half, half)
    }

    #[inline(always)]
    unsafe fn load(self, ptr: *const f32) -> Pair {
        // SAFETY: `self` proves AVX2; the caller vouches for 16 elements.
        unsafe { Pair(_mm256_loadu_ps(ptr), _mm256_loadu_ps(ptr.add(8))) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, ptr: *const bf16) -> Pair {
        // SAFETY: `self` proves AVX2; the caller vouches for 16 elements, 32 bytes.
        unsafe {
            let words = _mm256_loadu_si256(ptr.cast());
            let low = _mm256_slli_epi32::<16>(words);
            let high = _mm256_and_si256(words, _mm256_set1_epi32(0xffff_0000_u32 as i32));
            Pair(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high))
        }
    }

    #[inline(always)]
    unsafe fn load_f16(self, ptr: *const f16) -> Pair {
        // SAFETY: `self` proves F16C; the caller vouches for 16 elements, 32 bytes.
        unsafe {
            let low = _mm_loadu_si128(ptr.cast());
            let high = _mm_loadu_si128(ptr.add(8).cast());
            Pair(_mm256_cvtph_ps(low), _mm256_cvtph_ps(high))
        }
    }

    #[inline(always)]
    unsafe fn load_i8(self, ptr: *const i8) -> Pair {
        // SAFETY: `self` proves AVX2; the caller vouches for 16 elements, 16 bytes.
        unsafe {
            let low = _mm256_cvtepi8_epi32(_mm_loadl_epi64(ptr.cast()));
            let high = _mm256_cvtepi8_epi32(_mm_loadl_epi64(ptr.add(8).cast()));
            Pair(_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high))
        }
    }

    #[inline(always)]
    unsafe fn store(self, ptr: *mut f32, value: Pair) {
        // SAFETY: `self` proves AVX2; the caller vouches for 16 elements.
        unsafe {
            _mm256_storeu_ps(ptr, value.0);
            _mm256_storeu_ps(ptr.add(8), value.1);
        }
    }

    #[inline(always)]
    unsafe fn store_i16(self, ptr: *mut i16, value: Pair) {
        // SAFETY: `self` proves AVX2; the caller vouches for 16 elements, 32 bytes.
        unsafe {
            let (low, high) = (_mm256_cvtps_epi32(value.0), _mm256_cvtps_epi32(value.1));
            // Packing works within halves of 128 bits; put its quarters in order.
            let packed = _mm256_packs_epi32(low, high);
            let ordered = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
            _mm256_storeu_si256(ptr.cast(), ordered);
        }
    }

    #[inline(always)]
    fn prefetch(self, ptr: *const u8) {
        // SAFETY: a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr.cast()) }
    }

    #[inline(always)]
    fn add(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: `self` proves AVX2.
        unsafe { Pair(_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn sub(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: `self` proves AVX2.
        unsafe { Pair(_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn mul(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: `self` proves AVX2.
        unsafe { Pair(_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn div(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: `self` proves AVX2.
        unsafe { Pair(_mm256_div_ps(a.0, b.0), _mm256_div_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn mul_add(self, a: Pair, b: Pair, c: Pair) -> Pair {
        // SAFETY: `self` proves FMA.
        unsafe {
            Pair(
                _mm256_fmadd_ps(a.0, b.0, c.0),
                _mm256_fmadd_ps(a.1, b.1, c.1),
            )
        }
    }

    #[inline(always)]
    fn max(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: `self` proves AVX2.
        unsafe { Pair(_mm256_max_ps(a.0, b.0), _mm256_max_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn min(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: `self` proves AVX2.
        unsafe { Pair(_mm256_min_ps(a.0, b.0), _mm256_min_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn zero_below(self, x: Pair, limit: Pair, value: Pair) -> Pair {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let below_low = _mm256_cmp_ps::<_CMP_LT_OQ>(x.0, limit.0);
            let below_high = _mm256_cmp_ps::<_CMP_LT_OQ>(x.1, limit.1);
            Pair(
                _mm256_andnot_ps(below_low, value.0),
                _mm256_andnot_ps(below_high, value.1),
            )
        }
    }

    #[inline(always)]
    fn exp2_biased(self, biased: Pair) -> Pair {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let one = _mm256_castps_si256(_mm256_set1_ps(1.0));
            let low = _mm256_slli_epi32::<23>(_mm256_castps_si256(biased.0));
            let high = _mm256_slli_epi32::<23>(_mm256_castps_si256(biased.1));
            Pair(
                _mm256_castsi256_ps(_mm256_add_epi32(low, one)),
                _mm256_castsi256_ps(_mm256_add_epi32(high, one)),
            )
        }
    }

    #[inline(always)]
    fn splat_sum(self, value: i32) -> IntegerPair {
        // SAFETY: `self` proves AVX2.
        let half = unsafe { _mm256_set1_epi32(value) };
        IntegerPair(half, half)
    }

    #[inline(always)]
    fn splat_pair(self, pair: i32) -> IntegerPair {
        // SAFETY: `self` proves AVX2.
        let half = unsafe { _mm256_set1_epi32(pair) };
        IntegerPair(half, half)
    }

    #[inline(always)]
    unsafe fn load_pairs(self, ptr: *const i16) -> IntegerPair {
        // SAFETY: `self` proves AVX2; the caller vouches for 32 elements, 64 bytes.
        unsafe {
            let low = _mm256_loadu_si256(ptr.cast());
            IntegerPair(low, _mm256_loadu_si256(ptr.add(16).cast()))
        }
    }

    #[inline(always)]
    unsafe fn store_pairs(self, ptr: *mut i16, value: IntegerPair) {
        // SAFETY: `self` proves AVX2; the caller vouches for 32 elements, 64 bytes.
        unsafe {
            _mm256_storeu_si256(ptr.cast(), value.0);
            _mm256_storeu_si256(ptr.add(16).cast(), value.1);
        }
    }

    #[inline(always)]
    fn mask_pairs(self, value: IntegerPair, mask: i16) -> IntegerPair {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let mask = _mm256_set1_epi16(mask);
            IntegerPair(
                _mm256_and_si256(value.0, mask),
                _mm256_and_si256(value.1, mask),
            )
        }
    }

    #[inline(always)]
    fn join_pairs(self, a: IntegerPair, b: IntegerPair) -> IntegerPair {
        // SAFETY: `self` proves AVX2.
        unsafe { IntegerPair(_mm256_or_si256(a.0, b.0), _mm256_or_si256(a.1, b.1)) }
    }

    #[inline(always)]
    fn shift_pairs_up<const N: i32>(self, value: IntegerPair) -> IntegerPair {
        // SAFETY: `self` proves AVX2.
        unsafe {
            IntegerPair(
                _mm256_slli_epi16::<N>(value.0),
                _mm256_slli_epi16::<N>(value.1),
            )
        }
    }

    #[inline(always)]
    fn shift_pairs_down<const N: i32>(self, value: IntegerPair) -> IntegerPair {
        // SAFETY: `self` proves AVX2.
        unsafe {
            IntegerPair(
                _mm256_srli_epi16::<N>(value.0),
                _mm256_srli_epi16::<N>(value.1),
            )
        }
    }

    #[inline(always)]
    fn shift_pairs_sign<const N: i32>(self, value: IntegerPair) -> IntegerPair {
        // SAFETY: `self` proves AVX2.
        unsafe {
            IntegerPair(
                _mm256_srai_epi16::<N>(value.0),
                _mm256_srai_epi16::<N>(value.1),
            )
        }
    }

    #[inline(always)]
    fn dot_pairs(self, sums: IntegerPair, a: IntegerPair, b: IntegerPair) -> IntegerPair {
        // SAFETY: `self` proves AVX2.
        unsafe {
            IntegerPair(
                _mm256_add_epi32(sums.0, _mm256_madd_epi16(a.0, b.0)),
                _mm256_add_epi32(sums.1, _mm256_madd_epi16(a.1, b.1)),
            )
        }
    }

    #[inline(always)]
    fn to_floats(self, sums: IntegerPair) -> Pair {
        // SAFETY: `self` proves AVX2.
        unsafe { Pair(_mm256_cvtepi32_ps(sums.0), _mm256_cvtepi32_ps(sums.1)) }
    }

    #[inline(always)]
    fn sum(self, value: Pair) -> f32 {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let eight = _mm256_add_ps(value.0, value.1);
            let four = _mm_add_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn max_lane(self, value: Pair) -> f32 {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let eight = _mm256_max_ps(value.0, value.1);
            let four = _mm_max_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
}
