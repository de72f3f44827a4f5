//! Making pairs of i16 of a group's bits.

#![expect(unsafe_code, reason = "vector loads through pointers")]

use std::marker::PhantomData;

use crate::cpu::packed::layout::{Format, GROUP, GROUP_LEN, VECTOR};
use crate::cpu::prefetch::Prefetch;
use crate::cpu::simd::{LANES, Simd};

/// Pairs of a group.
const PAIRS: usize = GROUP / 2;

/// 32 inputs of a panel.
pub(crate) struct Group<'a, F> {
    /// Of its block.
    header: &'a [u8],
    bytes: &'a [u8],
    format: PhantomData<F>,
}

/// What takes pairs as they are made.
pub(crate) trait PairSink<S: Simd> {
    /// Takes pair `pair` of the group, for 16 outputs. Implementations are `#[inline(always)]`.
    fn take(&mut self, simd: S, pair: usize, weights: S::Pairs);
}

impl<'a, F: Format> Group<'a, F> {
    /// The group that lies at `bytes`, in the block with the header `header`.
    #[inline(always)]
    pub(super) fn new(header: &'a [u8], bytes: &'a [u8]) -> Self {
        Self {
            header,
            bytes,
            format: PhantomData,
        }
    }

    /// Asks for what corresponds to it.
    #[inline(always)]
    pub(crate) fn prefetch<S: Simd>(&self, simd: S, prefetch: Prefetch) {
        prefetch.ask(simd, self.bytes.as_ptr(), F::LAYOUT.group_bytes());
    }

    /// Scales of sub-block `sub`.
    #[inline(always)]
    pub(crate) fn scale<S: Simd>(&self, simd: S, sub: usize) -> S::Vector {
        // SAFETY: a header begins with 16 f16, and a group with 16 bytes for each sub-block.
        unsafe {
            let d = simd.load_f16(self.header[..2 * LANES].as_ptr().cast());
            if F::LAYOUT.scales == 0 {
                return d;
            }
            let scales = &self.bytes[sub * LANES..][..LANES];
            simd.mul(d, simd.load_i8(scales.as_ptr().cast()))
        }
    }

    /// Mins, of a format that has them.
    #[inline(always)]
    pub(crate) fn min<S: Simd>(&self, simd: S) -> S::Vector {
        let dmin = &self.header[2 * LANES..][..2 * LANES];
        let mins = &self.bytes[F::LAYOUT.scales..][..LANES];
        // SAFETY: 16 f16 and 16 bytes, which are below 64, so that their sign does not matter.
        unsafe {
            let dmin = simd.load_f16(dmin.as_ptr().cast());
            simd.mul(dmin, simd.load_i8(mins.as_ptr().cast()))
        }
    }

    /// The pairs of sub-block `sub` in ascending order, to each of which the format's offset is
    /// added.
    #[inline(always)]
    pub(crate) fn pairs<S: Simd, K: PairSink<S>>(&self, simd: S, sub: usize, sink: &mut K) {
        let vectors = &self.bytes[F::LAYOUT.scales + F::LAYOUT.mins..];
        let (low, high) = vectors.split_at(F::LAYOUT.low);
        match F::LAYOUT.high {
            _ if F::LAYOUT.low == GROUP_LEN => eight_bits(simd, low, sink),
            0 => four_bits(simd, low, sink),
            VECTOR => five_bits(simd, low, high, sink),
            _ => six_bits(simd, low, high, sub, sink),
        }
    }
}

/// A vector of words.
#[inline(always)]
fn vector<S: Simd>(simd: S, vectors: &[u8], index: usize) -> S::Pairs {
    let words = &vectors[index * VECTOR..][..VECTOR];
    // SAFETY: 32 words, of any alignment.
    unsafe { simd.load_pairs(words.as_ptr().cast()) }
}

#[inline(always)]
fn eight_bits<S: Simd, K: PairSink<S>>(simd: S, low: &[u8], sink: &mut K) {
    for index in 0..PAIRS / 2 {
        let words = vector(simd, low, index);
        sink.take(
            simd,
            2 * index,
            simd.shift_pairs_sign::<8>(simd.shift_pairs_up::<8>(words)),
        );
        sink.take(simd, 2 * index + 1, simd.shift_pairs_sign::<8>(words));
    }
}

/// The four pairs of a vector of nibbles.
#[inline(always)]
fn nibbles<S: Simd>(simd: S, words: S::Pairs) -> [S::Pairs; 4] {
    [
        simd.mask_pairs(words, 15),
        simd.mask_pairs(simd.shift_pairs_down::<4>(words), 15),
        simd.mask_pairs(simd.shift_pairs_down::<8>(words), 15),
        simd.shift_pairs_down::<12>(words),
    ]
}

#[inline(always)]
fn four_bits<S: Simd, K: PairSink<S>>(simd: S, low: &[u8], sink: &mut K) {
    for index in 0..PAIRS / 4 {
        let pairs = nibbles(simd, vector(simd, low, index));
        for (j, pair) in pairs.into_iter().enumerate() {
            sink.take(simd, 4 * index + j, pair);
        }
    }
}

#[inline(always)]
fn five_bits<S: Simd, K: PairSink<S>>(simd: S, low: &[u8], high: &[u8], sink: &mut K) {
    let mut fifth = vector(simd, high, 0);
    for index in 0..PAIRS / 4 {
        let pairs = nibbles(simd, vector(simd, low, index));
        let more = [
            simd.shift_pairs_up::<4>(fifth),
            simd.shift_pairs_up::<3>(fifth),
            simd.shift_pairs_up::<2>(fifth),
            simd.shift_pairs_up::<1>(fifth),
        ];
        fifth = simd.shift_pairs_down::<4>(fifth);
        for j in 0..4 {
            let pair = simd.join_pairs(pairs[j], simd.mask_pairs(more[j], 16));
            sink.take(simd, 4 * index + j, pair);
        }
    }
}

/// Half of the pairs: those of sub-block `sub`.
#[inline(always)]
fn six_bits<S: Simd, K: PairSink<S>>(simd: S, low: &[u8], high: &[u8], sub: usize, sink: &mut K) {
    let mut two = vector(simd, high, sub);
    for index in 2 * sub..2 * sub + 2 {
        let pairs = nibbles(simd, vector(simd, low, index));
        let more = [
            simd.shift_pairs_up::<4>(two),
            simd.shift_pairs_up::<2>(two),
            two,
            simd.shift_pairs_down::<2>(two),
        ];
        two = simd.shift_pairs_down::<8>(two);
        for j in 0..4 {
            let pair = simd.join_pairs(pairs[j], simd.mask_pairs(more[j], 48));
            sink.take(simd, 4 * index + j, pair);
        }
    }
}
