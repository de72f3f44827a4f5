//! On a backend that promises it a sequence's logits are the same bits, whatever else is in the batch,
//! however its prompt was chunked, whether its prefix was there already, whether steps are padded and
//! recorded, and whatever the block size; on the CPU for every element type of the KV cache.

use models::{Device, Dtype, KvCacheDtype, ModelSource, SumOrder, open};

use crate::driver::{Driver, Part, Rng, Seq, Setup, Want};
use crate::golden::answers;
use crate::golden::{self, Golden, VARIANTS};

const DECODED: usize = 12;
const KV_CACHE_DTYPES: [KvCacheDtype; 3] = [
    KvCacheDtype::Float32,
    KvCacheDtype::Bfloat16,
    KvCacheDtype::Int8,
];

/// Where and in what a case is computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) device: Device,
    pub(crate) sum_order: SumOrder,
    pub(crate) dtype: Dtype,
}

const CPU: Place = Place {
    device: Device::Cpu,
    sum_order: SumOrder::Free,
    dtype: Dtype::Auto,
};

/// A prompt, the tokens that are fed after it, and other sequences to share a batch with.
pub(crate) struct Case {
    place: Place,
    source: ModelSource,
    prompt: Vec<u32>,
    fed: Vec<u32>,
    others: Vec<Vec<u32>>,
}

impl Case {
    /// A golden's prompt and tokens.
    pub(crate) fn of_variant(variant: &str, place: Place) -> Self {
        let golden = Golden::read(variant);
        let others = (0..5)
            .map(|i| golden.tokens[i..10 + 9 * i].to_vec())
            .collect();
        Self {
            place,
            source: ModelSource::Folder(golden::folder().join(variant)),
            prompt: golden.prompt,
            fed: golden.tokens[..DECODED].to_vec(),
            others,
        }
    }

    fn driver(&self, kv_cache_dtype: KvCacheDtype, block_size: usize, rng: &mut Rng) -> Driver {
        let longest = self
            .others
            .iter()
            .map(Vec::len)
            .max()
            .unwrap()
            .max(self.prompt.len());
        let max_len = longest + DECODED;
        let setup = Setup {
            device: self.place.device,
            sum_order: self.place.sum_order,
            dtype: self.place.dtype,
            kv_cache_dtype,
            block_size,
            pool_tokens: (2 * self.others.len() + 4) * (max_len + block_size),
            max_tokens: 2 * longest,
            max_rows: longest,
            max_len,
            window_pool: None,
        };
        Driver::new(open(&self.source).unwrap(), setup, rng)
    }

    /// Logits after the prompt and after each fed token, the prompt in one chunk, alone.
    fn cold(&self, driver: &mut Driver) -> (Seq, Vec<Vec<f32>>) {
        let mut seq = Seq::new(&self.prompt);
        let count = self.prompt.len();
        let rows = driver.step(&mut [Part {
            seq: &mut seq,
            count,
            want: Want::Last,
        }]);
        let rows = self.decode(driver, &mut seq, rows);
        (seq, rows)
    }

    fn decode(&self, driver: &mut Driver, seq: &mut Seq, mut rows: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        rows.extend(self.fed.iter().map(|&token| driver.decode(seq, token)));
        rows
    }

    /// The prompt in random chunks, logits of every row asked for.
    fn chunked(&self, driver: &mut Driver, rng: &mut Rng) -> Vec<Vec<f32>> {
        let mut seq = Seq::new(&self.prompt);
        let last = driver.prefill_in_chunks(&mut seq, rng).pop().unwrap();
        self.decode(driver, &mut seq, vec![last])
    }

    /// The first `shared` tokens' KV from another sequence.
    fn warm(&self, driver: &mut Driver, owner: &Seq, shared: usize) -> Vec<Vec<f32>> {
        let mut seq = driver.share_prefix(owner, &self.prompt, shared);
        let count = self.prompt.len() - shared;
        let rows = driver.step(&mut [Part {
            seq: &mut seq,
            count,
            want: Want::Last,
        }]);
        self.decode(driver, &mut seq, rows)
    }

    /// Steps full of other sequences, at other stages, in random order.
    fn batched(&self, driver: &mut Driver, rng: &mut Rng) -> Vec<Vec<f32>> {
        let mut others: Vec<Seq> = self.others.iter().map(|tokens| Seq::new(tokens)).collect();
        let mut seq = Seq::new(&[&self.prompt[..], &self.fed].concat());
        let mut rows = Vec::new();
        while seq.computed < seq.tokens.len() {
            let count = match self.prompt.len().checked_sub(seq.computed) {
                None | Some(0) => 1,
                Some(left) => 1 + rng.below(left),
            };
            let wanted = seq.computed + count >= self.prompt.len();
            let before = rng.below(others.len() + 1);
            let mut parts = Vec::new();
            for (index, other) in others.iter_mut().enumerate() {
                let left = other.tokens.len() - other.computed;
                if left > 0 && index < before {
                    let count = 1 + rng.below(left.min(20));
                    parts.push(Part {
                        seq: other,
                        count,
                        want: Want::Last,
                    });
                }
            }
            let place = rng.below(parts.len() + 1);
            let want = if wanted { Want::Last } else { Want::Nothing };
            parts.insert(
                place,
                Part {
                    seq: &mut seq,
                    count,
                    want,
                },
            );
            let mut logits = driver.step(&mut parts);
            if wanted {
                rows.push(logits.swap_remove(place));
            }
        }
        rows
    }

    /// Steps of one token of each of all sequences, which are padded and, where they can be, recorded
    /// and replayed.
    fn in_company(&self, driver: &mut Driver) -> Vec<Vec<f32>> {
        let prompts = [&self.prompt].into_iter().chain(&self.others);
        let mut seqs: Vec<Seq> = prompts.map(|tokens| Seq::new(tokens)).collect();
        let mut rows = Vec::new();
        for seq in &mut seqs {
            let count = seq.tokens.len();
            rows.extend(driver.step(&mut [Part {
                seq,
                count,
                want: Want::Last,
            }]));
        }
        rows.truncate(1);
        for &token in &self.fed {
            let mut parts = Vec::new();
            for seq in &mut seqs {
                seq.tokens.push(token);
                parts.push(Part {
                    seq,
                    count: 1,
                    want: Want::Last,
                });
            }
            rows.push(driver.step(&mut parts).swap_remove(0));
        }
        rows
    }

    /// All ways to compute the same, for every element type of the cache and some block sizes.
    fn check(&self, seed: u64) {
        for kv_cache_dtype in KV_CACHE_DTYPES {
            let mut want = None;
            for block_size in [1, 16, 32] {
                self.check_one(kv_cache_dtype, block_size, seed, &mut want);
            }
        }
    }

    /// As [`Self::check`], for one block size, against `want`.
    pub(crate) fn check_one(
        &self,
        kv_cache_dtype: KvCacheDtype,
        block_size: usize,
        seed: u64,
        want: &mut Option<Vec<Vec<f32>>>,
    ) {
        let seed = seed + block_size as u64;
        let mut rng = Rng(seed);
        let place = format!(
            "{:?}, {:?}, {kv_cache_dtype:?}, block size {block_size}, seed {seed}",
            self.source, self.place
        );
        let mut driver = self.driver(kv_cache_dtype, block_size, &mut rng);
        let (owner, cold) = self.cold(&mut driver);
        let want = want.get_or_insert(cold.clone());
        assert_eq!(want.len(), 1 + DECODED);
        assert_bits(&cold, want, &format!("cold, {place}"));
        assert_bits(
            &self.chunked(&mut driver, &mut rng),
            want,
            &format!("chunked, {place}"),
        );
        assert_bits(
            &self.batched(&mut driver, &mut rng),
            want,
            &format!("batched, {place}"),
        );
        assert_bits(
            &self.in_company(&mut driver),
            want,
            &format!("in company, {place}"),
        );
        let most = self.prompt.len() - 1;
        for shared in [most, 1 + rng.below(most)] {
            let warm = self.warm(&mut driver, &owner, shared);
            assert_bits(&warm, want, &format!("warm ({shared} tokens), {place}"));
        }
    }
}

fn assert_bits(got: &[Vec<f32>], want: &[Vec<f32>], place: &str) {
    assert_eq!(got.len(), want.len(), "{place}");
    for (step, (got, want)) in got.iter().zip(want).enumerate() {
        let differing = got
            .iter()
            .zip(want)
            .filter(|(a, b)| a.to_bits() != b.to_bits())
            .count();
        assert_eq!(
            differing, 0,
            "{place}: logits of step {step} differ in bits"
        );
    }
}

#[test]
fn cold_warm_batched_and_chunked_are_the_same_bits_with_real_weights() {
    let answers = answers();
    let prompt = answers[25].prompt.clone();
    let fed: Vec<u32> = answers[25]
        .answer
        .iter()
        .cycle()
        .take(DECODED)
        .copied()
        .collect();
    let others = answers
        .iter()
        .step_by(9)
        .map(|answer| answer.prompt.clone())
        .collect();
    let case = Case {
        place: CPU,
        source: ModelSource::Embedded,
        prompt,
        fed,
        others,
    };
    case.check(11);
}

#[test]
fn cold_warm_batched_and_chunked_are_the_same_bits_in_every_family() {
    for variant in VARIANTS {
        Case::of_variant(variant, CPU).check(5);
    }
}
