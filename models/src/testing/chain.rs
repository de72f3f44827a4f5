//! The hash of a token history, and the logits that follow from it.

use crate::LoraAdapter;

/// Rolling hash of the tokens of a sequence, from its first one on, and of the adapter that they
/// are computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct History(u64);

impl History {
    const EMPTY: Self = Self(0x243f_6a88_85a3_08d3);

    /// The history before the first token of a sequence that is computed with an adapter, or with
    /// none.
    pub(super) fn before_all(adapter: Option<&LoraAdapter>) -> Self {
        let Some(adapter) = adapter else {
            return Self::EMPTY;
        };
        let digest = adapter.digest();
        let words = digest.chunks_exact(8).map(|word| {
            let word = word.try_into().expect("eight bytes");
            u64::from_le_bytes(word)
        });
        words.fold(Self::EMPTY, |history, word| {
            Self(mix(history.0 ^ mix(word)))
        })
    }

    /// The history of these tokens.
    pub(super) fn of(self, tokens: &[u32]) -> Self {
        let then = |history: Self, &token: &u32| history.then(token);
        tokens.iter().fold(self, then)
    }

    /// The history after one more token.
    pub(super) fn then(self, token: u32) -> Self {
        Self(mix(self.0 ^ mix(u64::from(token) + 1)))
    }

    /// As bytes.
    pub(super) fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// What [`Self::to_bytes`] was.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    /// A state: two numbers in `[-1, 1)`.
    pub(super) fn state(self) -> [f32; 2] {
        [3, 5].map(|salt| (mix(self.0 ^ salt) >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
    }

    /// The token with the largest logit.
    pub(super) fn next_token(self, vocab_size: usize) -> u32 {
        (mix(self.0 ^ 1) % vocab_size as u64) as u32
    }

    /// Writes the row of logits: below 1 for every token but the next one, which has 4.
    pub(super) fn fill_logits(self, row: &mut [f32]) {
        for (token, logit) in row.iter_mut().enumerate() {
            let bits = mix(self.0.wrapping_add(0x9e37_79b9 * (token as u64 + 2))) >> 40;
            *logit = bits as f32 / (1u64 << 24) as f32;
        }
        row[self.next_token(row.len()) as usize] = 4.0;
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
