//! How a panel of integers is laid out.
//!
//! A panel is 16 output features, one block of each after the other:
//!
//! ```text
//! d [16] f16, dmin [16] f16 (formats with mins)
//! for each 32 inputs:
//!     scales [sub-blocks][16] i8, mins [16] u8      (formats of 256)
//!     8 bits: [8][16][2] words, of two pairs of inputs each
//!     less:   low four bits  [4][16][2] words, of four pairs each
//!             the others     [1 or 2][16][2] words, of as many pairs as fit
//! ```
//!
//! A word is 16 bits and belongs to one output and one half of a pair; the first of its pairs has the
//! lowest bits. So shifts and masks of whole vectors make pairs of i16 for 16 outputs, and nothing
//! moves between lanes. The last panel is filled up with zeros.

use half::f16;

use crate::WeightDtype;
use crate::cpu::packed::blocks::Blocks;
use crate::cpu::simd::LANES;
use crate::quantized::Block;

/// Inputs that share a scale of the activations, and at least one of the weights.
pub(crate) const GROUP: usize = 32;
/// Weights of a group in a panel.
pub(super) const GROUP_LEN: usize = GROUP * LANES;
/// Words of a vector: a pair of inputs for each output.
pub(super) const WORDS: usize = 2 * LANES;
/// Bytes of a vector of words.
pub(super) const VECTOR: usize = 2 * WORDS;

/// Where the parts of a block of 16 outputs lie.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(super) dtype: WeightDtype,
    /// Groups of a block.
    pub(super) groups: usize,
    /// Bytes of `d` and `dmin`.
    pub(super) header: usize,
    /// Bytes of a group's scales.
    pub(super) scales: usize,
    /// Bytes of a group's mins; 0 if it has none.
    pub(crate) mins: usize,
    /// Inputs that share a scale.
    pub(crate) sub_len: usize,
    /// Bytes of a group's low bits: eight or four per weight.
    pub(super) low: usize,
    /// Bytes of a group's other bits.
    pub(super) high: usize,
    /// What is added to a weight so that its bits are unsigned.
    pub(crate) offset: i16,
}

/// A format as a type, so that its layout is a constant of the loops that read it.
pub(crate) trait Format {
    /// Where the parts lie.
    const LAYOUT: Layout;
}

macro_rules! formats {
    ($($name:ident = $layout:expr;)*) => {
        $(
            #[doc = concat!("[`WeightDtype::", stringify!($name), "`]")]
            pub(crate) struct $name;

            impl Format for $name {
                const LAYOUT: Layout = Layout { dtype: WeightDtype::$name, ..$layout };
            }
        )*

        impl Layout {
            pub(super) fn of(dtype: WeightDtype) -> Self {
                match dtype {
                    $(WeightDtype::$name => $name::LAYOUT,)*
                    WeightDtype::F32 | WeightDtype::F16 | WeightDtype::Bf16 => {
                        unreachable!("{dtype:?} has no blocks")
                    }
                }
            }
        }
    };
}

formats! {
    Q4_0 = Layout { offset: 8, ..Layout::FOUR_BITS };
    Q5_0 = Layout { high: GROUP_LEN / 8, offset: 16, ..Layout::FOUR_BITS };
    Q8_0 = Layout { low: GROUP_LEN, ..Layout::FOUR_BITS };
    Q4K = Layout::WITH_MINS;
    Q5K = Layout { high: GROUP_LEN / 8, ..Layout::WITH_MINS };
    Q6K = Layout {
        groups: 8,
        scales: 2 * LANES,
        sub_len: GROUP / 2,
        high: GROUP_LEN / 4,
        offset: 32,
        ..Layout::FOUR_BITS
    };
}

impl Layout {
    /// Blocks of 32 with a scale.
    const FOUR_BITS: Self = Self {
        dtype: WeightDtype::Q4_0,
        groups: 1,
        header: 2 * LANES,
        scales: 0,
        mins: 0,
        sub_len: GROUP,
        low: GROUP_LEN / 2,
        high: 0,
        offset: 0,
    };
    /// Blocks of 256 with a scale and a min for each 32.
    const WITH_MINS: Self = Self {
        groups: 8,
        header: 4 * LANES,
        scales: LANES,
        mins: LANES,
        ..Self::FOUR_BITS
    };

    /// Bits of a weight.
    pub(super) const fn width(&self) -> usize {
        8 * (self.low + self.high) / GROUP_LEN
    }

    pub(super) const fn group_bytes(&self) -> usize {
        self.scales + self.mins + self.low + self.high
    }

    pub(super) const fn block_bytes(&self) -> usize {
        self.header + self.groups * self.group_bytes()
    }

    pub(super) const fn panel_bytes(&self, in_features: usize) -> usize {
        in_features / (self.groups * GROUP) * self.block_bytes()
    }
}

impl Layout {
    /// Writes the blocks of the first `count` outputs into the zeroed block of the panel at `bytes`.
    #[inline(always)]
    pub(super) fn write(&self, blocks: &Blocks, count: usize, bytes: &mut [u8]) {
        let halves = |out: &mut [u8], values: &[f16; LANES]| {
            for (out, value) in out.chunks_exact_mut(2).zip(&values[..count]) {
                out.copy_from_slice(&value.to_le_bytes());
            }
        };
        halves(&mut bytes[..2 * LANES], &blocks.d);
        if self.mins > 0 {
            halves(&mut bytes[2 * LANES..4 * LANES], &blocks.dmin);
        }
        let groups = bytes[self.header..].chunks_exact_mut(self.group_bytes());
        for (g, group) in groups.enumerate() {
            let subs = self.scales / LANES;
            for sub in 0..subs {
                let scales = blocks.scales[g * subs + sub].map(|scale| scale as u8);
                group[sub * LANES..][..count].copy_from_slice(&scales[..count]);
            }
            if self.mins > 0 {
                group[self.scales..][..count].copy_from_slice(&blocks.mins[g][..count]);
            }
            let bits = self.bits(&blocks.quants[g * GROUP..][..GROUP], count);
            let (low, high) = group[self.scales + self.mins..].split_at_mut(self.low);
            match self.low_width() {
                8 => put_bits::<8>(&bits, 0, low),
                _ => put_bits::<4>(&bits, 0, low),
            }
            match self.high_width() {
                0 => {}
                1 => put_bits::<1>(&bits, 4, high),
                _ => put_bits::<2>(&bits, 4, high),
            }
        }
    }

    /// What is kept of a group's weights, unsigned where it is less than eight bits; zeros of
    /// outputs that are not there.
    #[inline(always)]
    fn bits(&self, quants: &[[i16; LANES]], count: usize) -> [[u16; LANES]; GROUP] {
        let mut mask = [0u16; LANES];
        mask[..count].fill(u16::MAX);
        let mut bits = [[0; LANES]; GROUP];
        for (bits, quants) in bits.iter_mut().zip(quants) {
            for lane in 0..LANES {
                bits[lane] = (quants[lane] + self.offset) as u16 & mask[lane];
            }
        }
        bits
    }

    /// What [`Self::write`] was given for output `lane`, as a block.
    pub(super) fn read(&self, lane: usize, bytes: &[u8]) -> Block {
        let half = |index: usize| f16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]);
        let mut block = Block::ZERO;
        block.d = half(lane);
        if self.mins > 0 {
            block.dmin = half(LANES + lane);
        }
        let groups = bytes[self.header..].chunks_exact(self.group_bytes());
        for (g, group) in groups.enumerate() {
            let subs = self.scales / LANES;
            for sub in 0..subs {
                block.scales[g * subs + sub] = group[sub * LANES + lane] as i8;
            }
            if self.mins > 0 {
                block.mins[g] = group[self.scales + lane];
            }
            let (low, high) = group[self.scales + self.mins..].split_at(self.low);
            let quants = &mut block.quants[g * GROUP..][..GROUP];
            for (k, quant) in quants.iter_mut().enumerate() {
                let (pair, word) = (k / 2, 2 * lane + k % 2);
                let mut bits = get_bits(low, self.low_width(), pair, word);
                if self.high > 0 {
                    bits |= get_bits(high, self.high_width(), pair, word) << 4;
                }
                // Eight bits are signed as they are; less are unsigned.
                *quant = (bits as i8).wrapping_sub(self.offset as i8);
            }
        }
        block
    }

    /// Bits of a weight in the first vectors: eight or four.
    fn low_width(&self) -> usize {
        8 * self.low / GROUP_LEN
    }

    /// Bits of a weight above the low four.
    fn high_width(&self) -> usize {
        8 * self.high / GROUP_LEN
    }
}

/// Writes `WIDTH` bits of each weight, from bit `first` on, into vectors of words.
#[inline(always)]
fn put_bits<const WIDTH: usize>(bits: &[[u16; LANES]; GROUP], first: u32, vectors: &mut [u8]) {
    let pairs = 16 / WIDTH;
    for (index, vector) in vectors.chunks_exact_mut(VECTOR).enumerate() {
        let mut halves = [[0u16; LANES]; 2];
        for pair in 0..pairs {
            for (half, words) in halves.iter_mut().enumerate() {
                let bits = &bits[2 * (index * pairs + pair) + half];
                for lane in 0..LANES {
                    let kept = bits[lane] >> first & ((1u32 << WIDTH) - 1) as u16;
                    words[lane] |= kept << (WIDTH * pair);
                }
            }
        }
        for (lane, word) in vector.chunks_exact_mut(4).enumerate() {
            word[..2].copy_from_slice(&halves[0][lane].to_le_bytes());
            word[2..].copy_from_slice(&halves[1][lane].to_le_bytes());
        }
    }
}

/// What [`put_bits`] wrote.
fn get_bits(vectors: &[u8], width: usize, pair: usize, word: usize) -> u8 {
    let (byte, shift) = bits_at(width, pair, word);
    vectors[byte] >> shift & ((1u16 << width) - 1) as u8
}

/// The byte that holds a pair's bits, and at which of its bits they begin.
fn bits_at(width: usize, pair: usize, word: usize) -> (usize, usize) {
    let pairs_per_word = 16 / width;
    let bit = pair % pairs_per_word * width;
    (pair / pairs_per_word * VECTOR + 2 * word + bit / 8, bit % 8)
}
