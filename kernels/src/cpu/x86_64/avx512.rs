//! AVX-512 F, BW and VL, and VNNI or BF16 where they are there: a vector is one register of sixteen
//! lanes.

#![expect(unsafe_code, reason = "intrinsics, reachable only through `enter`")]

use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::transmute;

use half::{bf16, f16};

use crate::cpu::simd::{Kernel, LANES, SHRUNK, Simd, bf16_position, dot_bf16_in_plain_rust};
use crate::cpu::tiles::{TileKernel, Tiles};

/// Proof that the code runs inside [`enter`], inside [`enter_vnni`] if `VNNI`, or inside
/// [`enter_bf16`] or [`enter_tiles`] if `BF16`, inside the latter if `FP16`. No kernel wants both
/// `VNNI` and `BF16`.
#[derive(Clone, Copy)]
pub(super) struct Avx512<const VNNI: bool, const BF16: bool, const FP16: bool>(());

/// Lanes 0 to 7 of a mask.
const LOW_LANES: __mmask16 = 0x00ff;
/// Where the elements of pairs come from, of 16 low ones before 16 high ones.
const IN_PAIRS: [u16; 32] = pairs_of(false);
/// The same where each 16 are in the order of [`bf16_position`].
const IN_POSITION: [u16; 32] = pairs_of(true);

const fn pairs_of(positioned: bool) -> [u16; 32] {
    let mut from = [0; 32];
    let mut i = 0;
    while i < 32 {
        let lane = i / 2;
        let at = if positioned {
            bf16_position(lane)
        } else {
            lane
        };
        from[i] = (at + i % 2 * LANES) as u16;
        i += 1;
    }
    from
}

/// Runs `kernel`, which is inlined and so compiled with these features.
///
/// # Safety
/// The machine has AVX-512 F, BW and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline(never)]
pub(super) unsafe fn enter<K: Kernel>(kernel: K) {
    kernel.run(Avx512::<false, false, false>(()));
}

/// As [`enter`].
///
/// # Safety
/// The machine has AVX-512 F, BW, VL and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline(never)]
pub(super) unsafe fn enter_vnni<K: Kernel>(kernel: K) {
    kernel.run(Avx512::<true, false, false>(()));
}

/// As [`enter`].
///
/// # Safety
/// The machine has AVX-512 F, BW, VL and BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
#[inline(never)]
pub(super) unsafe fn enter_bf16<K: Kernel>(kernel: K) {
    kernel.run(Avx512::<false, true, false>(()));
}

/// As [`enter`].
///
/// # Safety
/// The machine has AVX-512 F, BW, VL, BF16 and FP16, and `tiles`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
#[inline(never)]
pub(super) unsafe fn enter_tiles<K: TileKernel, T: Tiles>(kernel: K, mut tiles: T) {
    kernel.run(Avx512::<false, true, true>(()), &mut tiles);
}

/// Every integer as a float of 16 bits. The intrinsic is not stable.
///
/// # Safety
/// The machine has AVX-512 F and FP16.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn to_f16(integers: __m512i) -> __m512i {
    let floats: __m512i;
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "vcvtw2ph {floats}, {integers}",
            floats = lateout(zmm_reg) floats,
            integers = in(zmm_reg) integers,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    floats
}

// The arithmetic below is safe because `Avx512` exists only inside the functions above.
impl<const VNNI: bool, const BF16: bool, const FP16: bool> Simd for Avx512<VNNI, BF16, FP16> {
    type Vector = __m512;
    type Sums = __m512i;
    type Pairs = __m512i;

    // 24 accumulators, 2 weight registers, 1 broadcast and what widening takes of 32 registers.
    const TILE_ROWS: usize = 12;
    const TILE_PANELS: usize = 2;
    // 12 integer sums, 12 of floats, 1 weight register and 1 broadcast.
    const INTEGER_ROWS: usize = 12;
    const DOTS_BF16: bool = BF16;

    #[inline(always)]
    fn outline<K: Kernel>(self, kernel: K) {
        // SAFETY: `self` proves that the machine has the features.
        unsafe {
            if BF16 {
                enter_bf16(kernel);
            } else if VNNI {
                enter_vnni(kernel);
            } else {
                enter(kernel);
            }
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, ptr: *const f32) -> __m512 {
        // SAFETY: `self` proves AVX-512 F; the caller vouches for 16 elements.
        unsafe { _mm512_loadu_ps(ptr) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, ptr: *const bf16) -> __m512 {
        // SAFETY: `self` proves AVX-512 F; the caller vouches for 16 elements, 32 bytes.
        unsafe {
            // Word `j` in lanes `j` and `j + 8`, where its low and its high half belong: a load
            // that repeats what it loads takes no shuffle.
            let words = _mm512_broadcast_i64x4(_mm256_loadu_si256(ptr.cast()));
            let high = _mm512_and_si512(words, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            let both = _mm512_mask_slli_epi32::<16>(high, LOW_LANES, words);
            _mm512_castsi512_ps(both)
        }
    }

    #[inline(always)]
    unsafe fn load_f16(self, ptr: *const f16) -> __m512 {
        // SAFETY: `self` proves AVX-512 F; the caller vouches for 16 elements, 32 bytes.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(ptr.cast())) }
    }

    #[inline(always)]
    unsafe fn load_i8(self, ptr: *const i8) -> __m512 {
        // SAFETY: `self` proves AVX-512 F; the caller vouches for 16 elements, 16 bytes.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(ptr.cast()))) }
    }

    #[inline(always)]
    unsafe fn store(self, ptr: *mut f32, value: __m512) {
        // SAFETY: `self` proves AVX-512 F; the caller vouches for 16 elements.
        unsafe { _mm512_storeu_ps(ptr, value) }
    }

    #[inline(always)]
    unsafe fn store_i16(self, ptr: *mut i16, value: __m512) {
        // SAFETY: `self` proves AVX-512 F; the caller vouches for 16 elements, 32 bytes.
        unsafe {
            let narrow = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(value));
            _mm256_storeu_si256(ptr.cast(), narrow);
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, ptr: *mut bf16, value: __m512) {
        // SAFETY: `self` proves AVX-512 F, and BF16 if it says so; the caller vouches for 16
        // elements, 32 bytes. The types are names for the same register.
        unsafe {
            let rounded = if BF16 {
                transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(value))
            } else {
                _mm512_cvtepi32_epi16(rounded_halves(value))
            };
            _mm256_storeu_si256(ptr.cast(), rounded);
        }
    }

    #[inline(always)]
    fn prefetch(self, ptr: *const u8) {
        // SAFETY: a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr.cast()) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn zero_below(self, x: __m512, limit: __m512, value: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe {
            let kept = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(x, limit);
            _mm512_maskz_mov_ps(kept, value)
        }
    }

    #[inline(always)]
    fn exp2_biased(self, biased: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe {
            let one = _mm512_castps_si512(_mm512_set1_ps(1.0));
            let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(biased));
            _mm512_castsi512_ps(_mm512_add_epi32(exponent, one))
        }
    }

    #[inline(always)]
    fn splat_sum(self, value: i32) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    fn splat_pair(self, pair: i32) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_set1_epi32(pair) }
    }

    #[inline(always)]
    unsafe fn load_pairs(self, ptr: *const i16) -> __m512i {
        // SAFETY: `self` proves AVX-512 F; the caller vouches for 32 elements, 64 bytes.
        unsafe { _mm512_loadu_si512(ptr.cast()) }
    }

    #[inline(always)]
    unsafe fn store_pairs(self, ptr: *mut i16, value: __m512i) {
        // SAFETY: `self` proves AVX-512 F; the caller vouches for 32 elements, 64 bytes.
        unsafe { _mm512_storeu_si512(ptr.cast(), value) }
    }

    #[inline(always)]
    fn mask_pairs(self, value: __m512i, mask: i16) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_and_si512(value, _mm512_set1_epi16(mask)) }
    }

    #[inline(always)]
    fn join_pairs(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_or_si512(a, b) }
    }

    // The shifts by an immediate want it as another type; a constant count becomes one.
    #[inline(always)]
    fn shift_pairs_up<const N: i32>(self, value: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 BW.
        unsafe { _mm512_sll_epi16(value, _mm_cvtsi32_si128(N)) }
    }

    #[inline(always)]
    fn shift_pairs_down<const N: i32>(self, value: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 BW.
        unsafe { _mm512_srl_epi16(value, _mm_cvtsi32_si128(N)) }
    }

    #[inline(always)]
    fn shift_pairs_sign<const N: i32>(self, value: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 BW.
        unsafe { _mm512_sra_epi16(value, _mm_cvtsi32_si128(N)) }
    }

    #[inline(always)]
    fn dot_pairs(self, sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 BW, and VNNI if it says so.
        unsafe {
            if VNNI {
                _mm512_dpwssd_epi32(sums, a, b)
            } else {
                _mm512_add_epi32(sums, _mm512_madd_epi16(a, b))
            }
        }
    }

    #[inline(always)]
    fn dot_bf16(self, sums: __m512, a: __m512i, b: __m512i) -> __m512 {
        if BF16 {
            // SAFETY: `self` proves AVX-512 BF16. The types are names for the same register.
            unsafe {
                let [a, b] = [a, b].map(|pairs| transmute::<__m512i, __m512bh>(pairs));
                _mm512_dpbf16_ps(sums, a, b)
            }
        } else {
            dot_bf16_in_plain_rust(self, sums, a, b)
        }
    }

    #[inline(always)]
    fn round_pairs(self, low: __m512, high: __m512) -> __m512i {
        // SAFETY: `self` proves AVX-512 F and BW, and BF16 if it says so. The types are names for
        // the same register.
        unsafe {
            if BF16 {
                let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_permutexvar_epi16(_mm512_loadu_si512(IN_PAIRS.as_ptr().cast()), both)
            } else {
                let high = _mm512_slli_epi32::<16>(rounded_halves(high));
                _mm512_or_si512(high, rounded_halves(low))
            }
        }
    }

    #[inline(always)]
    unsafe fn zip_bf16(self, low: *const bf16, high: *const bf16) -> __m512i {
        // SAFETY: `self` proves AVX-512 F and BW; the caller vouches for 16 elements, 32 bytes each.
        unsafe {
            let low = _mm512_castsi256_si512(_mm256_loadu_si256(low.cast()));
            let both = _mm512_inserti64x4::<1>(low, _mm256_loadu_si256(high.cast()));
            _mm512_permutexvar_epi16(_mm512_loadu_si512(IN_POSITION.as_ptr().cast()), both)
        }
    }

    #[inline(always)]
    fn subtract_pairs(self, pairs: __m512i, value: i16) -> __m512i {
        // SAFETY: `self` proves AVX-512 BW.
        unsafe { _mm512_sub_epi16(pairs, _mm512_set1_epi16(value)) }
    }

    #[inline(always)]
    fn shrunk_bf16(self, integers: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 BW, and FP16 if it says so.
        unsafe {
            if FP16 {
                // Five bits of exponent and ten of fraction become eight and seven.
                let moved = _mm512_srai_epi16::<3>(to_f16(integers));
                _mm512_and_si512(moved, _mm512_set1_epi16(0x8fff_u16 as i16))
            } else {
                // The lower integers, and the upper ones, times 2^16.
                let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
                let shrunk = _mm512_set1_ps(SHRUNK / 65_536.0);
                let low = _mm512_cvtepi32_ps(_mm512_slli_epi32::<16>(integers));
                let high = _mm512_cvtepi32_ps(_mm512_and_si512(integers, upper));
                let low = _mm512_castps_si512(_mm512_mul_ps(low, shrunk));
                let high = _mm512_castps_si512(_mm512_mul_ps(high, shrunk));
                _mm512_or_si512(_mm512_srli_epi32::<16>(low), _mm512_and_si512(high, upper))
            }
        }
    }

    #[inline(always)]
    fn look_up(self, table: __m512i, indices: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 BW.
        unsafe { _mm512_permutexvar_epi16(indices, table) }
    }

    #[inline(always)]
    fn to_floats(self, sums: __m512i) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }

    // In the order of the other instruction sets.
    #[inline(always)]
    fn sum(self, value: __m512) -> f32 {
        // SAFETY: `self` proves AVX-512 F, which includes AVX.
        unsafe {
            let (low, high) = halves(value);
            let eight = _mm256_add_ps(low, high);
            let four = _mm_add_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn max_lane(self, value: __m512) -> f32 {
        // SAFETY: `self` proves AVX-512 F, which includes AVX.
        unsafe {
            let (low, high) = halves(value);
            let eight = _mm256_max_ps(low, high);
            let four = _mm_max_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

/// Lanes 0 to 7 and 8 to 15.
///
/// # Safety
/// Inlined into code that runs inside [`enter`].
#[inline(always)]
unsafe fn halves(value: __m512) -> (__m256, __m256) {
    // SAFETY: the caller runs with AVX-512 F.
    unsafe {
        // The extraction of floats is an instruction of another extension, AVX-512 DQ.
        let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(value));
        (_mm512_castps512_ps256(value), _mm256_castpd_ps(high))
    }
}

/// The nearest bfloat16 of every lane, in its low half; zeros above.
///
/// # Safety
/// Inlined into code that runs inside [`enter`].
#[inline(always)]
unsafe fn rounded_halves(value: __m512) -> __m512i {
    // SAFETY: the caller runs with AVX-512 F.
    unsafe {
        let bits = _mm512_castps_si512(value);
        let upper = _mm512_srli_epi32::<16>(bits);
        let odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
        let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
        let nearest = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, half));
        // Of a NaN whose upper half would be an infinity, too.
        let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
        _mm512_mask_or_epi32(nearest, is_nan, upper, _mm512_set1_epi32(0x40))
    }
}
