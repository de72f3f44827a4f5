//! How far narrow KV caches move the embedded model.

use models::{
    Device, Dtype, KvCacheDtype, Limits, LoadOptions, ModelSource, Quantization, SumOrder, open,
};

use crate::driver::{Driver, Part, Rng, Seq, Setup, Want, argmax};
use crate::golden::{Answer, answers};

/// Logits of every token of the answers' texts, each text in one chunk.
pub(crate) fn logits(
    answers: &[Answer],
    device: Device,
    dtype: Dtype,
    kv_cache_dtype: KvCacheDtype,
) -> Vec<Vec<f32>> {
    let setup = Setup {
        device,
        sum_order: SumOrder::Free,
        dtype,
        kv_cache_dtype,
        block_size: 16,
        pool_tokens: 50 * 256,
        max_tokens: 256,
        max_rows: 256,
        max_len: 256,
        window_pool: None,
    };
    let mut driver = Driver::new(open(&ModelSource::Embedded).unwrap(), setup, &mut Rng(9));
    let text = |answer: &Answer| [&answer.prompt[..], &answer.answer[..]].concat();
    let rows = answers.iter().flat_map(|answer| {
        let mut seq = Seq::new(&text(answer));
        let count = seq.tokens.len();
        driver.step(&mut [Part {
            seq: &mut seq,
            count,
            want: Want::All,
        }])
    });
    rows.collect()
}

fn probabilities(row: &[f32]) -> Vec<f64> {
    let powers: Vec<f64> = row.iter().map(|&logit| f64::from(logit).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// The Kullback-Leibler divergence of `got` from `want`, in nats.
fn divergence(want: &[f32], got: &[f32]) -> f64 {
    let pairs = probabilities(want).into_iter().zip(probabilities(got));
    pairs.map(|(p, q)| p * (p / q).ln()).sum()
}

/// Over all rows, the mean divergence in nats and the share of equal greedy tokens.
pub(crate) fn compare(want: &[Vec<f32>], got: &[Vec<f32>]) -> (f64, f64) {
    assert_eq!(got.len(), want.len());
    let pairs = || want.iter().zip(got);
    let sum: f64 = pairs().map(|(want, got)| divergence(want, got)).sum();
    let equal = pairs().filter(|(want, got)| argmax(want) == argmax(got));
    let rows = want.len() as f64;
    (sum / rows, equal.count() as f64 / rows)
}

#[test]
fn narrow_caches_stay_near_float32() {
    let answers = answers();
    let want = logits(&answers, Device::Cpu, Dtype::Auto, KvCacheDtype::Float32);
    // (type, most mean divergence in nats, least share of equal greedy tokens)
    let bounds = [
        (KvCacheDtype::Bfloat16, 2e-5, 0.99),
        (KvCacheDtype::Int8, 2e-4, 0.98),
    ];
    for (dtype, most, least) in bounds {
        let got = logits(&answers, Device::Cpu, Dtype::Auto, dtype);
        assert_near(dtype, compare(&want, &got), most, least);
    }
}

#[expect(clippy::print_stdout, reason = "shown only when the test fails")]
fn assert_near(dtype: KvCacheDtype, (mean, equal): (f64, f64), most: f64, least: f64) {
    println!("{dtype:?}: mean divergence {mean:.2e}, equal tokens {equal:.4}");
    assert!(mean > 0.0 && mean < most, "{dtype:?}: {mean:e}");
    assert!(equal >= least, "{dtype:?}: {equal}");
}

/// The CPU has no fp8: of the slow backend, a few answers.
#[test]
fn fp8_stays_near_float32() {
    let answers = &answers()[..6];
    let [want, got] = [KvCacheDtype::Float32, KvCacheDtype::Fp8]
        .map(|dtype| logits(answers, Device::Reference, Dtype::Auto, dtype));
    assert_near(KvCacheDtype::Fp8, compare(&want, &got), 5e-4, 0.98);
}

#[test]
fn the_cpu_refuses_fp8_and_names_what_it_has() {
    let options = LoadOptions {
        device: Device::Cpu,
        dtype: Dtype::Auto,
        quantization: Quantization::None,
        limits: Limits {
            num_blocks: 4,
            window_blocks: None,
            block_size: 16,
            max_num_batched_tokens: 8,
            max_num_seqs: 8,
            max_model_len: 32,
        },
        threads: None,
        pin_threads: false,
        sum_order: SumOrder::Free,
        kv_cache_dtype: KvCacheDtype::Fp8,
        lora: None,
    };
    let model = open(&ModelSource::Embedded).unwrap();
    let error = model.load(&options, &mut |_| ()).err().unwrap().to_string();
    assert!(error.starts_with("kv_cache_dtype fp8_e4m3"), "{error}");
    assert!(error.contains("int8") && error.contains("cuda"), "{error}");
}
