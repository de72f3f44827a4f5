//! Every family computes on a GPU, or on its emulator, what transformers computes.

use std::io::Write;

use kernels::Draw;
use models::{
    Device, Dtype, KvCacheDtype, Limits, LoadOptions, ModelSource, Quantization, SumOrder, open,
};

use crate::bits::{Case, Place};
use crate::driver::{Driver, Part, Rng, Seq, Setup, Want, argmax};
use crate::golden::{self, Answer, Golden, VARIANTS};
use crate::variants::check_tokens;

/// Relative error of a row of logits that is computed in bfloat16: of a variant's rows on average, and
/// of the worst one. The variants' weights are drawn so that much of a row cancels.
const BF16_MEAN: f32 = 0.02;
const BF16_WORST: f32 = 0.2;

/// The emulator, where it was built, or else the first GPU; `None`, and a word of it, without either.
///
/// With `PURSER_TEST_GPU` set, a machine without a GPU is a failure.
pub(crate) fn device() -> Option<Device> {
    let emulator = Device::CudaEmulator.find();
    match emulator.or_else(|_| Device::Cuda(0).find()) {
        Ok(found) => Some(found.device()),
        Err(error) => {
            let required = std::env::var_os("PURSER_TEST_GPU").is_some();
            assert!(!required, "{error}");
            let line = format!("untested: {error}\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            None
        }
    }
}

/// In f32, the first decoded tokens of each.
#[test]
fn families_equal_transformers_in_f32() {
    let Some(device) = device() else { return };
    for variant in VARIANTS {
        let worst = check_tokens(variant, device, Dtype::Float32, 16, 4);
        println!("{variant}: {worst:e}");
    }
}

/// With weights, keys and values in bfloat16, against the reference backend with the same.
#[test]
fn families_are_near_the_reference_in_bf16() {
    let Some(device) = device() else { return };
    for variant in VARIANTS {
        let golden = Golden::read(variant);
        let (got, want) = (
            bf16(variant, device, &golden),
            bf16(variant, Device::Reference, &golden),
        );
        let errors: Vec<f32> = got.iter().zip(&want).map(|(a, b)| error(a, b)).collect();
        let worst = errors.iter().copied().fold(0.0, f32::max);
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        println!("{variant}: mean {mean}, worst {worst}");
        assert!(mean <= BF16_MEAN, "{variant}: {mean}");
        assert!(worst <= BF16_WORST, "{variant}: {worst}");
    }
}

/// What is replayed for several sequences, some rows of which nobody reads, is what each computes alone.
#[test]
fn sequences_compute_together_what_they_do_alone() {
    let Some(device) = device() else { return };
    let variants = [
        "llama3-gqa",
        "qwen2-window",
        "qwen3",
        "olmo2",
        "gemma2",
        "gemma3",
        "starcoder2",
        "gpt-oss",
    ];
    for variant in variants {
        let model = open(&ModelSource::Folder(golden::folder().join(variant))).unwrap();
        let has_window = model.config().sliding_window().is_some();
        for (dtype, limit) in [(Dtype::Float32, 1e-4), (Dtype::Bfloat16, BF16_MEAN)] {
            for window_pool in [false, true]
                .into_iter()
                .filter(|&pool| has_window || !pool)
            {
                let decoding = Decoding {
                    variant,
                    device,
                    dtype,
                    window_pool,
                };
                let together = decoding.logits(&[&[0, 1, 2, 3, 4]]);
                let alone = decoding.logits(&[&[0], &[1], &[2], &[3], &[4]]);
                let worst = together.iter().zip(&alone).map(|(got, want)| {
                    assert_eq!(got.len(), want.len());
                    let errors = got.iter().zip(want).map(|(got, want)| error(got, want));
                    errors.sum::<f32>() / got.len() as f32
                });
                let worst = worst.fold(0.0, f32::max);
                println!("{variant}, {dtype:?}, pool of windows {window_pool}: {worst}");
                assert!(worst <= limit, "{variant}, {dtype:?}: {worst}");
            }
        }
    }
}

/// Tokens are drawn of the same logits that the host would have: in a step that is recorded, one that
/// is replayed, and beside rows whose logits are wanted.
#[test]
fn tokens_are_drawn_of_the_logits() {
    let Some(device) = device() else { return };
    let golden = Golden::read("qwen3");
    let setup = Setup {
        device,
        dtype: Dtype::Bfloat16,
        sum_order: SumOrder::Free,
        kv_cache_dtype: KvCacheDtype::Bfloat16,
        block_size: 16,
        pool_tokens: 3 * (golden.prompt.len() + 32),
        max_tokens: golden.prompt.len(),
        max_rows: 4,
        max_len: golden.prompt.len() + 16,
        window_pool: None,
    };
    let model = open(&ModelSource::Folder(golden::folder().join("qwen3"))).unwrap();
    let mut driver = Driver::new(model, setup, &mut Rng(3));
    let mut seqs = [0, 5, 9].map(|start| Seq::new(&golden.prompt[start..]));
    for seq in &mut seqs {
        let count = seq.tokens.len() - 6;
        let want = Want::Nothing;
        driver.step(&mut [Part { seq, count, want }]);
    }
    let draw = |place| Draw {
        temperature: 0.8,
        top_k: Some(50),
        place,
        logprobs: Some(3),
        ..Draw::LIKELIEST
    };
    for turn in 0..6 {
        let parts = |seqs: &mut [Seq; 3], driver: &mut Driver, draws: &[Option<Draw>]| {
            let mut parts = seqs.each_mut().map(|seq| Part {
                seq,
                count: 1,
                want: Want::Last,
            });
            driver.step_with_draws(&mut parts, draws)
        };
        let logits = parts(&mut seqs, &mut driver, &[]);
        for seq in &mut seqs {
            // The same token again.
            seq.computed -= 1;
        }
        let draws = [
            Some(Draw::LIKELIEST),
            (turn % 2 == 0).then(|| draw(0.0)),
            Some(draw(0.7)),
        ];
        let got = parts(&mut seqs, &mut driver, &draws);
        for ((got, draw), logits) in got.iter().zip(&draws).zip(&logits) {
            let logits = logits.as_ref().unwrap();
            let (Some(draw), Err(drawn)) = (draw, got) else {
                assert_eq!(got.as_ref(), Ok(logits), "{turn}");
                continue;
            };
            let likeliest = argmax(logits);
            let top = drawn.logprobs.as_ref().map(|logprobs| logprobs.top[0].0);
            assert_eq!(top, draw.logprobs.map(|_| likeliest), "{turn}");
            let token = drawn.token as usize;
            let likelier = logits.iter().filter(|&&x| x > logits[token]).count();
            // The first of the shares is the likeliest token's.
            let most = if draw.place == 0.0 { 0 } else { 49 };
            assert!(likelier <= most, "{turn}: {drawn:?}");
        }
    }
}

/// With fixed sums: weights in bfloat16 and keys and values as well, and weights as they are with keys and
/// values that tensor cores do not take.
#[test]
fn fixed_sums_give_the_same_bits_in_every_family() {
    let Some(device) = device() else { return };
    for (index, variant) in VARIANTS.iter().enumerate() {
        let check = |dtype, kv_cache_dtype| {
            let place = Place {
                device,
                sum_order: SumOrder::Fixed,
                dtype,
            };
            Case::of_variant(variant, place).check_one(kv_cache_dtype, 16, 7, &mut None);
        };
        check(Dtype::Bfloat16, KvCacheDtype::Bfloat16);
        match index % 8 {
            0 => check(Dtype::Auto, KvCacheDtype::Float32),
            4 => check(Dtype::Auto, KvCacheDtype::Int8),
            2 => check(Dtype::Bfloat16, KvCacheDtype::Fp8),
            _ => {}
        }
    }
}

/// In bfloat16, token by token behind the answer so far, the embedded model takes the tokens that it takes
/// in f32: all but half a percent of those of the fifty answers. An emulator has time for a few.
#[test]
fn answers_in_bf16_are_those_in_f32() {
    let Some(device) = device() else { return };
    let answers: Vec<Answer> = golden::answers();
    let num_answers = match device {
        Device::CudaEmulator => 8,
        _ => answers.len(),
    };
    let longest = answers
        .iter()
        .map(|one| one.prompt.len() + one.answer.len());
    let max_len = longest.max().unwrap();
    let setup = Setup {
        device,
        dtype: Dtype::Bfloat16,
        sum_order: SumOrder::Free,
        kv_cache_dtype: KvCacheDtype::Bfloat16,
        block_size: 16,
        pool_tokens: num_answers * (max_len + 16),
        max_tokens: max_len,
        max_rows: max_len,
        max_len,
        window_pool: None,
    };
    let folder = golden::folder().join("../../embedded/pebble-20m");
    let model = open(&ModelSource::Folder(folder)).unwrap();
    let mut driver = Driver::new(model, setup, &mut Rng(9));
    let (mut same, mut all) = (0, 0);
    for Answer { prompt, answer } in &answers[..num_answers] {
        let mut seq = Seq::new(&[&prompt[..], answer].concat());
        let mut part = |count, want| {
            let seq = &mut seq;
            driver.step(&mut [Part { seq, count, want }])
        };
        part(prompt.len() - 1, Want::Nothing);
        let rows = part(answer.len(), Want::All);
        let tokens = rows.iter().map(|row| argmax(row));
        same += tokens
            .zip(answer)
            .filter(|(got, want)| got == *want)
            .count();
        all += answer.len();
    }
    println!("{same} of {all} tokens");
    assert!(1000 * same >= 995 * all, "{same} of {all}");
}

/// Tokens that each sequence decodes: the longest-lived three go on when the others have ended. What a
/// step looks like is seen, recorded and then replayed.
const TURNS: [usize; 5] = [8, 8, 8, 4, 4];

/// How sequences are decoded.
#[derive(Clone, Copy)]
struct Decoding {
    variant: &'static str,
    device: Device,
    dtype: Dtype,
    window_pool: bool,
}

impl Decoding {
    /// Logits of each sequence; those of a group are decoded together, group after group.
    fn logits(&self, groups: &[&[usize]]) -> Vec<Vec<Vec<f32>>> {
        let golden = Golden::read(self.variant);
        let mut tokens = [golden.prompt, golden.tokens].concat();
        let mut seqs = TURNS.map(|_| {
            tokens.rotate_left(7);
            Seq::new(&tokens)
        });
        let setup = Setup {
            device: self.device,
            dtype: self.dtype,
            sum_order: SumOrder::Free,
            kv_cache_dtype: match self.dtype {
                Dtype::Bfloat16 => KvCacheDtype::Bfloat16,
                _ => KvCacheDtype::Float32,
            },
            block_size: 4,
            pool_tokens: TURNS.len() * (tokens.len() + 4),
            max_tokens: tokens.len(),
            max_rows: 2 * TURNS.len(),
            max_len: tokens.len(),
            window_pool: self.window_pool.then_some(TURNS.len()),
        };
        let model = open(&ModelSource::Folder(golden::folder().join(self.variant))).unwrap();
        let mut driver = Driver::new(model, setup, &mut Rng(5));
        let mut rows = TURNS.map(|_| Vec::new());
        for group in groups {
            for &index in *group {
                driver.step(&mut [Part {
                    seq: &mut seqs[index],
                    count: tokens.len() / 2 + 3 * index,
                    want: Want::Nothing,
                }]);
            }
            for turn in 0..*TURNS.iter().max().unwrap() {
                let goes_on = |index| group.contains(&index) && turn < TURNS[index];
                let going = seqs.iter_mut().enumerate();
                let mut parts: Vec<Part<'_>> = going
                    .filter_map(|(index, seq)| {
                        goes_on(index).then_some(Part {
                            seq,
                            count: 1,
                            want: Want::Last,
                        })
                    })
                    .collect();
                let step = driver.step(&mut parts).into_iter();
                let indices = (0..TURNS.len()).filter(|&index| goes_on(index));
                for (index, row) in indices.zip(step) {
                    rows[index].push(row);
                }
            }
        }
        rows.to_vec()
    }
}

/// A device that promises no bits says so, and does not begin.
#[test]
fn a_device_without_fixed_sums_is_refused() {
    let folder = golden::folder().join(VARIANTS[0]);
    let options = LoadOptions {
        device: Device::Reference,
        dtype: Dtype::Auto,
        quantization: Quantization::None,
        limits: Limits {
            num_blocks: 4,
            window_blocks: None,
            block_size: 16,
            max_num_batched_tokens: 8,
            max_num_seqs: 2,
            max_model_len: 32,
        },
        threads: None,
        pin_threads: false,
        sum_order: SumOrder::Fixed,
        kv_cache_dtype: KvCacheDtype::Auto,
        lora: None,
    };
    let model = open(&ModelSource::Folder(folder)).unwrap();
    let error = model.load(&options, &mut |_| ()).err().unwrap().to_string();
    let expected = "a fixed order of sums was asked for, which this device does not have: ";
    assert!(error.starts_with(expected), "{error}");
}

/// Norm of the difference over the norm of what is wanted; infinite if that is no number.
fn error(got: &[f32], want: &[f32]) -> f32 {
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    let difference = norm(&mut got.iter().zip(want).map(|(a, b)| a - b));
    match difference / norm(&mut want.iter().copied()) {
        error if error.is_nan() => f32::INFINITY,
        error => error,
    }
}

/// Logits of a variant's prompt and of some of its decoded tokens.
fn bf16(variant: &str, device: Device, golden: &Golden) -> Vec<Vec<f32>> {
    let setup = Setup {
        device,
        sum_order: SumOrder::Free,
        dtype: Dtype::Bfloat16,
        kv_cache_dtype: KvCacheDtype::Bfloat16,
        block_size: 16,
        pool_tokens: golden.prompt.len() + 32,
        max_tokens: golden.prompt.len(),
        max_rows: golden.prompt.len(),
        max_len: golden.prompt.len() + 16,
        window_pool: None,
    };
    let model = open(&ModelSource::Folder(golden::folder().join(variant))).unwrap();
    let mut rng = Rng(11);
    let mut driver = Driver::new(model, setup, &mut rng);
    let mut seq = Seq::new(&golden.prompt);
    let mut rows = driver.prefill_in_chunks(&mut seq, &mut rng);
    rows.extend(
        golden
            .tokens
            .iter()
            .take(4)
            .map(|&token| driver.decode(&mut seq, token)),
    );
    rows
}
