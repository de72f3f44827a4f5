//! What the kernels ask of an instruction set: vectors of 16 lanes of f32.
//!
//! A kernel is written once over [`Simd`] and compiled once per instruction set; [`Isa::run`] is
//! the one place of dispatch. Every function on the way from [`Kernel::run`] to an instruction is
//! `#[inline(always)]`: only inlined into the entry function of its instruction set may it use it.

#![expect(unsafe_code, reason = "vector loads and stores through pointers")]

#[cfg(test)]
mod tests;

use half::{bf16, f16};

use crate::cpu::instruction_set::InstructionSet;
use crate::cpu::portable::Portable;
use crate::cpu::tiles::TileKernel;
use crate::extensions::Extension;

/// Lanes of a vector: the columns of a weight panel, the keys of a score panel.
pub(crate) const LANES: usize = 16;

/// An instruction set that the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// Plain Rust, vectorised by the compiler for the target's baseline.
    Portable,
    /// Instructions beyond the baseline, found at run time.
    Extended(Extension),
}

/// Work that is compiled for every instruction set.
pub(crate) trait Kernel {
    /// Whether it is worth compiling for instructions that add [`Simd::dot_pairs`] and nothing else.
    const DOTS_PAIRS: bool = false;
    /// The same for [`Simd::dot_bf16`].
    const DOTS_BF16: bool = false;

    /// Does the work. Implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S);
}

/// Vectors of [`LANES`] f32 lanes. The order of additions inside [`Simd::sum`] and whether
/// [`Simd::mul_add`] rounds once are fixed per instruction set, so that its results are the same
/// bits in every kernel.
pub(crate) trait Simd: Copy {
    /// 16 lanes.
    type Vector: Copy;
    /// 16 lanes of i32.
    type Sums: Copy;
    /// 16 lanes of two i16 each.
    type Pairs: Copy;

    /// Rows of the tile that keeps as many accumulators in registers as there are, at most 12.
    const TILE_ROWS: usize;
    /// Panels of that tile, at most 2.
    const TILE_PANELS: usize;
    /// Rows of the largest tile of [`Simd::Sums`], over one panel; at most 12.
    const INTEGER_ROWS: usize;
    /// Whether [`Simd::dot_bf16`] is an instruction.
    const DOTS_BF16: bool = false;

    /// Runs `kernel` in a function of its own, so that its loop gets the registers to itself.
    fn outline<K: Kernel>(self, kernel: K);
    /// Every lane `value`.
    fn splat(self, value: f32) -> Self::Vector;
    /// 16 consecutive floats, of any alignment.
    ///
    /// # Safety
    /// `ptr` is valid for reading 16 elements.
    unsafe fn load(self, ptr: *const f32) -> Self::Vector;
    /// 16 bfloat16 in the order of [`bf16_position`].
    ///
    /// # Safety
    /// `ptr` is valid for reading 16 elements.
    unsafe fn load_bf16(self, ptr: *const bf16) -> Self::Vector;
    /// 16 consecutive half floats.
    ///
    /// # Safety
    /// `ptr` is valid for reading 16 elements.
    unsafe fn load_f16(self, ptr: *const f16) -> Self::Vector;
    /// 16 consecutive integers.
    ///
    /// # Safety
    /// `ptr` is valid for reading 16 elements.
    unsafe fn load_i8(self, ptr: *const i8) -> Self::Vector;
    /// Stores 16 consecutive floats, at any alignment.
    ///
    /// # Safety
    /// `ptr` is valid for writing 16 elements.
    unsafe fn store(self, ptr: *mut f32, value: Self::Vector);
    /// Stores 16 whole numbers that fit i16; what is stored of others is not defined.
    ///
    /// # Safety
    /// `ptr` is valid for writing 16 elements.
    unsafe fn store_i16(self, ptr: *mut i16, value: Self::Vector);
    /// Stores 16 consecutive bfloat16, the nearest, ties to even; subnormal lanes may become zero.
    ///
    /// # Safety
    /// `ptr` is valid for writing 16 elements.
    #[inline(always)]
    unsafe fn store_bf16(self, ptr: *mut bf16, value: Self::Vector) {
        let mut lanes = [0.0f32; LANES];
        // SAFETY: the array holds a vector; the caller vouches for 16 elements.
        unsafe {
            self.store(lanes.as_mut_ptr(), value);
            for (i, &lane) in lanes.iter().enumerate() {
                *ptr.add(i) = to_bf16(lane);
            }
        }
    }
    /// Asks for a cache line; any address is harmless.
    fn prefetch(self, ptr: *const u8);
    /// `a + b`
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b`
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger lane; `b` where either is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller lane; `b` where either is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `value` where `x >= limit` or either is NaN, zero elsewhere.
    fn zero_below(self, x: Self::Vector, limit: Self::Vector, value: Self::Vector) -> Self::Vector;
    /// `2^n` of lanes that hold `1.5 * 2^23 + n` with `-126 <= n <= 127`: the low bits of such a
    /// float are the integer `n`.
    fn exp2_biased(self, biased: Self::Vector) -> Self::Vector;
    /// Every lane `value`.
    fn splat_sum(self, value: i32) -> Self::Sums;
    /// Every lane the two halves of `pair`, the low one first.
    fn splat_pair(self, pair: i32) -> Self::Pairs;
    /// 16 consecutive pairs, of any alignment.
    ///
    /// # Safety
    /// `ptr` is valid for reading 32 elements.
    unsafe fn load_pairs(self, ptr: *const i16) -> Self::Pairs;
    /// Stores 16 pairs, at any alignment.
    ///
    /// # Safety
    /// `ptr` is valid for writing 32 elements.
    unsafe fn store_pairs(self, ptr: *mut i16, value: Self::Pairs);
    /// Every element `& mask`.
    fn mask_pairs(self, value: Self::Pairs, mask: i16) -> Self::Pairs;
    /// Every element of one or the other.
    fn join_pairs(self, a: Self::Pairs, b: Self::Pairs) -> Self::Pairs;
    /// Every element shifted to higher bits.
    fn shift_pairs_up<const N: i32>(self, value: Self::Pairs) -> Self::Pairs;
    /// Every element shifted to lower bits, zeros from above.
    fn shift_pairs_down<const N: i32>(self, value: Self::Pairs) -> Self::Pairs;
    /// Every element shifted to lower bits, its sign from above.
    fn shift_pairs_sign<const N: i32>(self, value: Self::Pairs) -> Self::Pairs;
    /// `sums + a.0 * b.0 + a.1 * b.1`, wrapping where it does not fit.
    fn dot_pairs(self, sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums;
    /// `a.0 * b.0 + (a.1 * b.1 + sums)`, of pairs of bfloat16, each product fused with its sum and
    /// rounded once, to nearest even.
    ///
    /// As an instruction it takes subnormal operands for zero and makes subnormal sums zero,
    /// whatever the processor's modes are; that is how Intel defines `VDPBF16PS` (Software
    /// Developer's Manual, volume 2). Elsewhere it is as slow as it is plain: products take it only
    /// where it is an instruction.
    #[inline(always)]
    fn dot_bf16(self, sums: Self::Vector, a: Self::Pairs, b: Self::Pairs) -> Self::Vector {
        dot_bf16_in_plain_rust(self, sums, a, b)
    }
    /// Pairs of the lanes of `low` and of `high`, rounded as [`Simd::store_bf16`] does.
    #[inline(always)]
    fn round_pairs(self, low: Self::Vector, high: Self::Vector) -> Self::Pairs {
        let mut lanes = [[0.0f32; LANES]; 2];
        let mut pairs = [0i16; 2 * LANES];
        // SAFETY: the arrays hold a vector each.
        unsafe {
            self.store(lanes[0].as_mut_ptr(), low);
            self.store(lanes[1].as_mut_ptr(), high);
            for (i, pair) in pairs.iter_mut().enumerate() {
                *pair = to_bf16(lanes[i % 2][i / 2]).to_bits() as i16;
            }
            self.load_pairs(pairs.as_ptr())
        }
    }
    /// Pairs of the lanes of two rows of 16 bfloat16, each in the order of [`bf16_position`].
    ///
    /// # Safety
    /// Both are valid for reading 16 elements.
    #[inline(always)]
    unsafe fn zip_bf16(self, low: *const bf16, high: *const bf16) -> Self::Pairs {
        let mut pairs = [0i16; 2 * LANES];
        for (i, pair) in pairs.iter_mut().enumerate() {
            let row = if i % 2 == 0 { low } else { high };
            // SAFETY: the caller's promise.
            *pair = unsafe { *row.add(bf16_position(i / 2)) }.to_bits() as i16;
        }
        // SAFETY: the array holds a vector.
        unsafe { self.load_pairs(pairs.as_ptr()) }
    }
    /// Every element less `value`, wrapping where it does not fit.
    #[inline(always)]
    fn subtract_pairs(self, pairs: Self::Pairs, value: i16) -> Self::Pairs {
        pairs_in_plain_rust(self, pairs, |x| x.wrapping_sub(value))
    }
    /// Every element, an integer of at most 8 significant bits, times [`SHRUNK`] in bfloat16.
    #[inline(always)]
    fn shrunk_bf16(self, integers: Self::Pairs) -> Self::Pairs {
        pairs_in_plain_rust(self, integers, shrunk_bf16)
    }
    /// Of 32 elements of `table` those that `indices` count, each below 32.
    #[inline(always)]
    fn look_up(self, table: Self::Pairs, indices: Self::Pairs) -> Self::Pairs {
        let mut elements = [[0i16; 2 * LANES]; 2];
        // SAFETY: the arrays hold a vector each.
        unsafe {
            self.store_pairs(elements[0].as_mut_ptr(), table);
            self.store_pairs(elements[1].as_mut_ptr(), indices);
            let found = elements[1].map(|index| elements[0][index as usize % (2 * LANES)]);
            self.load_pairs(found.as_ptr())
        }
    }
    /// The nearest floats.
    fn to_floats(self, sums: Self::Sums) -> Self::Vector;
    /// The sum of the lanes, in an order of its own.
    fn sum(self, value: Self::Vector) -> f32;
    /// The largest lane.
    fn max_lane(self, value: Self::Vector) -> f32;
}

impl Isa {
    /// The best instruction set of this machine.
    pub(crate) fn detect() -> Self {
        let mut best_first = InstructionSet::ALL.into_iter().rev();
        best_first.find_map(Self::new).unwrap_or(Self::Portable)
    }

    /// `set`, where this machine has it.
    pub(crate) fn new(set: InstructionSet) -> Option<Self> {
        match set {
            InstructionSet::Portable => Some(Self::Portable),
            _ => Extension::new(set).map(Self::Extended),
        }
    }

    /// Those that this machine has.
    #[cfg(test)]
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        InstructionSet::ALL.into_iter().filter_map(Self::new)
    }

    /// Its name in logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Extended(extension) => extension.name(),
        }
    }

    /// Whether [`Simd::dot_bf16`] is an instruction.
    pub(crate) fn dots_bf16(self) -> bool {
        match self {
            Self::Portable => false,
            Self::Extended(extension) => extension.dots_bf16(),
        }
    }

    /// Whether [`Self::run_tiles`] can run anything.
    pub(crate) fn has_tiles(self) -> bool {
        match self {
            Self::Portable => false,
            Self::Extended(extension) => extension.has_tiles(),
        }
    }

    /// Runs `kernel` on registers that are tiles.
    ///
    /// # Panics
    /// Unless [`Self::has_tiles`].
    pub(crate) fn run_tiles<K: TileKernel>(self, kernel: K) {
        match self {
            Self::Portable => panic!("plain Rust has no tiles"),
            Self::Extended(extension) => extension.run_tiles(kernel),
        }
    }

    /// Runs `kernel` as compiled for this instruction set.
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        match self {
            Self::Portable => kernel.run(Portable),
            Self::Extended(extension) => extension.run(kernel),
        }
    }
}

/// Where lane `lane` lies in a panel row of bfloat16: lanes `j` and `j + 8` are the low and the
/// high half of 32-bit word `j`, so that a shift and a mask widen a whole row.
pub(crate) const fn bf16_position(lane: usize) -> usize {
    if lane < LANES / 2 {
        2 * lane
    } else {
        2 * (lane - LANES / 2) + 1
    }
}

/// The nearest bfloat16, as [`bf16::from_f32`], but without branches: the compiler makes vectors of
/// it.
#[inline(always)]
pub(crate) fn to_bf16(value: f32) -> bf16 {
    let bits = value.to_bits();
    let half = 0x7fff + (bits >> 16 & 1);
    let rounded = (bits.wrapping_add(half) >> 16) as u16;
    // Of a NaN whose upper half would be an infinity, too.
    let quiet = (bits >> 16) as u16 | 0x40;
    bf16::from_bits(if value.is_nan() { quiet } else { rounded })
}

/// What integers are multiplied by where a bfloat16 with the exponent bits of a float of 16 bits is
/// made of them: the difference of their biases.
pub(crate) const SHRUNK: f32 = f32::from_bits((127 - 112) << 23);

/// [`Simd::shrunk_bf16`] of one element.
#[inline(always)]
pub(crate) const fn shrunk_bf16(integer: i16) -> i16 {
    ((integer as f32 * SHRUNK).to_bits() >> 16) as i16
}

/// What `f` makes of every element.
#[inline(always)]
fn pairs_in_plain_rust<S: Simd>(simd: S, pairs: S::Pairs, f: impl Fn(i16) -> i16) -> S::Pairs {
    let mut elements = [0i16; 2 * LANES];
    // SAFETY: the array holds a vector.
    unsafe {
        simd.store_pairs(elements.as_mut_ptr(), pairs);
        simd.load_pairs(elements.map(f).as_ptr())
    }
}

/// [`Simd::dot_bf16`] lane by lane.
#[inline(always)]
pub(crate) fn dot_bf16_in_plain_rust<S: Simd>(
    simd: S,
    sums: S::Vector,
    a: S::Pairs,
    b: S::Pairs,
) -> S::Vector {
    let mut lanes = [0.0f32; LANES];
    let mut pairs = [[0i16; 2 * LANES]; 2];
    // SAFETY: the arrays hold a vector each.
    unsafe {
        simd.store(lanes.as_mut_ptr(), sums);
        simd.store_pairs(pairs[0].as_mut_ptr(), a);
        simd.store_pairs(pairs[1].as_mut_ptr(), b);
    }
    let [a, b] = pairs.map(|pairs| pairs.map(|x| bf16::from_bits(x as u16).to_f32()));
    for (i, sum) in lanes.iter_mut().enumerate() {
        *sum = a[2 * i + 1].mul_add(b[2 * i + 1], *sum);
        *sum = a[2 * i].mul_add(b[2 * i], *sum);
    }
    // SAFETY: as above.
    unsafe { simd.load(lanes.as_ptr()) }
}

/// The first `count` floats at `ptr`, zeros in the other lanes.
///
/// # Safety
/// `ptr` is valid for reading `count <= 16` elements.
#[inline(always)]
pub(crate) unsafe fn load_partial<S: Simd>(simd: S, ptr: *const f32, count: usize) -> S::Vector {
    let mut lanes = [0.0f32; LANES];
    // SAFETY: `count` elements are readable and fit the array; the array holds 16.
    unsafe {
        std::ptr::copy_nonoverlapping(ptr, lanes.as_mut_ptr(), count);
        simd.load(lanes.as_ptr())
    }
}

/// Stores the first `count` lanes.
///
/// # Safety
/// `ptr` is valid for writing `count <= 16` elements.
#[inline(always)]
pub(crate) unsafe fn store_partial<S: Simd>(
    simd: S,
    ptr: *mut f32,
    value: S::Vector,
    count: usize,
) {
    let mut lanes = [0.0f32; LANES];
    // SAFETY: the array holds 16; `count` elements are writable.
    unsafe {
        simd.store(lanes.as_mut_ptr(), value);
        std::ptr::copy_nonoverlapping(lanes.as_ptr(), ptr, count);
    }
}
