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
    /// Writes a block of output `lane` into the zeroed block of the panel at `bytes`.
    pub(super) fn write(&self, block: &Block, lane: usize, bytes: &mut [u8]) {
        bytes[2 * lane..][..2].copy_from_slice(&block.d.to_le_bytes());
        if self.mins > 0 {
            bytes[2 * (LANES + lane)..][..2].copy_from_slice(&block.dmin.to_le_bytes());
        }
        let groups = bytes[self.header..].chunks_exact_mut(self.group_bytes());
        for (g, group) in groups.enumerate() {
            let subs = self.scales / LANES;
            for sub in 0..subs {
                group[sub * LANES + lane] = block.scales[g * subs + sub] as u8;
            }
            if self.mins > 0 {
                group[self.scales + lane] = block.mins[g];
            }
            let (low, high) = group[self.scales + self.mins..].split_at_mut(self.low);
            let quants = &block.quants[g * GROUP..][..GROUP];
            for (k, &quant) in quants.iter().enumerate() {
                let (pair, word) = (k / 2, 2 * lane + k % 2);
                let bits = i16::from(quant) + self.offset;
                let low_width = self.low_width();
                put_bits(low, low_width, pair, word, bits as u8);
                if self.high > 0 {
                    put_bits(high, self.high_width(), pair, word, (bits >> 4) as u8);
                }
            }
        }
    }

    /// What [`Self::write`] was given for output `lane`.
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

/// Writes `bits`, of which the low `width` count, into zeroed vectors of words.
fn put_bits(vectors: &mut [u8], width: usize, pair: usize, word: usize, bits: u8) {
    let (byte, shift) = bits_at(width, pair, word);
    vectors[byte] |= (bits & ((1u16 << width) - 1) as u8) << shift;
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
