//! The random numbers of numpy, so that requests are those that other programs were measured with.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;

/// numpy's `Generator(PCG64([seed, stream]))`.
pub(crate) struct Generator {
    pcg: Pcg64,
    /// The upper half of the last number drawn, which is the next one of 32 bits.
    upper: Option<u32>,
}

impl Generator {
    /// As numpy seeds it: the state is the first, the increment the second number of 128 bits.
    pub(crate) fn new(seed: u32, stream: u32) -> Self {
        let [state, increment] = SeedSequence::new([seed, stream]).numbers();
        Self {
            pcg: Pcg64::new(state, increment),
            upper: None,
        }
    }

    /// A number in `least..end`, as `integers(least, end)` draws it where the range has at most 32
    /// bits: by Lemire's method ("Fast random integer generation in an interval", 2019).
    ///
    /// # Panics
    /// If the range is empty.
    pub(crate) fn below(&mut self, least: u32, end: u32) -> u32 {
        assert!(least < end, "{least}..{end} has no number");
        let count = end - least;
        let unfair = count.wrapping_neg() % count;
        loop {
            let product = u64::from(self.next_u32()) * u64::from(count);
            if product as u32 >= unfair {
                return least + (product >> 32) as u32;
            }
        }
    }

    /// Lower halves come first.
    fn next_u32(&mut self) -> u32 {
        if let Some(upper) = self.upper.take() {
            return upper;
        }
        let number = self.pcg.next_u64();
        self.upper = Some((number >> 32) as u32);
        number as u32
    }
}

/// numpy's `SeedSequence` of two numbers, after O'Neill's `seed_seq_fe`
/// ("Developing a seed_seq Alternative", 2015).
struct SeedSequence {
    pool: [u32; 4],
}

/// A hash that is different every time it is used.
struct Hash {
    constant: u32,
    factor: u32,
}

impl Hash {
    fn of(&mut self, value: u32) -> u32 {
        let value = value ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.factor);
        let value = value.wrapping_mul(self.constant);
        value ^ (value >> 16)
    }
}

impl SeedSequence {
    fn new(entropy: [u32; 2]) -> Self {
        let mut hash = Hash {
            constant: 0x43b0_d7e5,
            factor: 0x931e_8875,
        };
        let [first, second] = entropy;
        let mut pool = [first, second, 0, 0].map(|word| hash.of(word));
        for source in 0..pool.len() {
            for target in 0..pool.len() {
                if source != target {
                    let hashed = hash.of(pool[source]);
                    pool[target] = mix(pool[target], hashed);
                }
            }
        }
        Self { pool }
    }

    /// Two numbers of 128 bits: words of 32 bits from the lower to the upper make 64, of which the
    /// upper ones come first.
    fn numbers(&self) -> [u128; 2] {
        let mut hash = Hash {
            constant: 0x8b51_f9dd,
            factor: 0x58f3_8ded,
        };
        let mut words = self
            .pool
            .iter()
            .cycle()
            .map(|&word| u128::from(hash.of(word)));
        let mut number = || {
            [64, 96, 0, 32]
                .into_iter()
                .zip(words.by_ref())
                .fold(0, |number, (shift, word)| number | word << shift)
        };
        [number(), number()]
    }
}

fn mix(x: u32, y: u32) -> u32 {
    let mixed = x
        .wrapping_mul(0xca01_f9dd)
        .wrapping_sub(y.wrapping_mul(0x4973_f715));
    mixed ^ (mixed >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SeedSequence([0, 5000000]).generate_state(8, "u4")` in numpy 2.
    #[test]
    fn seeds_are_those_of_numpy() {
        let words = NUMPY_WORDS.map(u128::from);
        let number =
            |at: usize| words[at] << 64 | words[at + 1] << 96 | words[at + 2] | words[at + 3] << 32;
        let sequence = SeedSequence::new([0, 5_000_000]);
        assert_eq!(sequence.numbers(), [number(0), number(4)]);
    }

    const NUMPY_WORDS: [u32; 8] = [
        832_523_678,
        2_294_747_071,
        2_358_572_203,
        3_171_607_740,
        3_343_145_093,
        1_509_170_748,
        3_129_924_689,
        3_546_801_281,
    ];

    /// `Generator(PCG64([0, 5000000])).integers(128, 2049, size=6)`; and, from the same generator
    /// then, `integers(0, 3_000_000_000, size=6)`, of which nearly a third is drawn again.
    #[test]
    fn numbers_are_those_of_numpy() {
        let mut generator = Generator::new(0, 5_000_000);
        let few = [(); 6].map(|()| generator.below(128, 2_049));
        assert_eq!(few, [1_000, 909, 755, 742, 1_141, 1_398]);
        let many = [(); 6].map(|()| generator.below(0, 3_000_000_000));
        assert_eq!(
            many,
            [
                2_147_995_375,
                1_847_811_688,
                1_585_630_953,
                2_839_427_349,
                1_283_104_392,
                2_205_456_208
            ]
        );
    }
}
