//! Every family and variant computes what transformers computes.

use models::{Device, Dtype, KvCacheDtype, ModelConfig, ModelSource, SumOrder, open};

use crate::driver::{Driver, Rng, Seq, Setup, argmax};
use crate::golden::{self, Golden, ROUNDED_TOLERANCE, TOLERANCE, VARIANTS, distance};

/// Logits of the prompt and of 64 decoded tokens, the prompt chunked at random.
fn check(variant: &str, device: Device, dtype: Dtype, block_size: usize) -> f32 {
    check_tokens(variant, device, dtype, block_size, usize::MAX)
}

/// The type in which nothing is rounded: MXFP4 becomes bfloat16, with which inputs may be rounded.
fn exact_dtype(variant: &str) -> Dtype {
    match variant {
        "gpt-oss-mxfp4" => Dtype::Float32,
        _ => Dtype::Auto,
    }
}

/// As [`check`], with the first `decoded` of the decoded tokens.
pub(crate) fn check_tokens(
    variant: &str,
    device: Device,
    dtype: Dtype,
    block_size: usize,
    decoded: usize,
) -> f32 {
    let keeps_bf16 = match dtype {
        Dtype::Auto => variant == "llama-bfloat16-sharded",
        dtype => dtype == Dtype::Bfloat16,
    };
    let rounds = device == Device::Cpu && keeps_bf16 && golden::rounds_bf16();
    let (golden, tolerance) = match rounds {
        true => (Golden::read(variant).rounded(variant), ROUNDED_TOLERANCE),
        false => (Golden::read(variant), TOLERANCE),
    };
    let length = golden.prompt.len() + golden.tokens.len();
    let setup = Setup {
        device,
        sum_order: SumOrder::Free,
        dtype,
        kv_cache_dtype: KvCacheDtype::Float32,
        block_size,
        pool_tokens: length + block_size,
        max_tokens: golden.prompt.len(),
        max_rows: golden.prompt.len(),
        max_len: length,
        window_pool: None,
    };
    let seed = 7 * block_size as u64 + variant.len() as u64;
    let place = format!("{variant}, {device:?}, {dtype:?}, block size {block_size}, seed {seed}");
    let mut rng = Rng(seed);
    let model = open(&ModelSource::Folder(golden::folder().join(variant))).unwrap();
    assert!(
        model.unread_tensors().is_empty(),
        "{place}: {:?}",
        model.unread_tensors()
    );
    let mut driver = Driver::new(model, setup, &mut rng);

    let mut seq = Seq::new(&golden.prompt);
    let prompt_logits = driver.prefill_in_chunks(&mut seq, &mut rng);
    assert_eq!(prompt_logits.len(), golden.prompt.len());
    let (mut worst, mut exact, mut all) = (0.0f32, 0, 0);
    let mut compare = |got: &[f32], want: &[f32]| {
        let distance = distance(got, want);
        exact += usize::from(distance <= TOLERANCE);
        all += 1;
        worst = worst.max(distance);
        worst
    };
    for (row, (got, want)) in prompt_logits.iter().zip(&golden.prompt_logits).enumerate() {
        let worst = compare(got, want);
        assert!(
            worst <= tolerance,
            "{place}: {worst} at row {row} of the prompt"
        );
    }
    let mut row = prompt_logits.last().unwrap().clone();
    let steps = golden.tokens.iter().zip(&golden.logits).take(decoded);
    for (step, (&token, want)) in steps.enumerate() {
        let worst = compare(&row, want);
        assert!(
            worst <= tolerance,
            "{place}: {worst} at decoded token {step}"
        );
        let likeliest = argmax(&row);
        if rounds {
            // Where the best two are that near, rounding may swap them.
            let largest = want.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
            let behind = row[likeliest as usize] - row[argmax(want) as usize];
            assert!(behind <= 2.0 * tolerance * largest, "{place}: token {step}");
        } else {
            assert_eq!(likeliest, token, "{place}: decoded token {step}");
        }
        row = driver.decode(&mut seq, token);
    }
    assert!(2 * exact > all, "{place}: {exact} of {all} rows");
    worst
}

#[test]
fn the_cpu_backend_equals_transformers() {
    for variant in VARIANTS {
        let worst = [1, 16, 32].map(|size| check(variant, Device::Cpu, exact_dtype(variant), size));
        println!("{variant}: {worst:?}");
    }
}

// Candle's operations on tiny tensors are slow: all 64 tokens with one block size only.
#[test]
fn the_reference_backend_equals_transformers() {
    for variant in VARIANTS {
        let worst = [(1, 4), (16, 64), (32, 4)].map(|(size, decoded)| {
            check_tokens(
                variant,
                Device::Reference,
                exact_dtype(variant),
                size,
                decoded,
            )
        });
        println!("{variant}: {worst:?}");
    }
}

#[test]
fn half_precision_checkpoints_may_be_widened() {
    for variant in ["llama-float16", "llama-bfloat16-sharded"] {
        check(variant, Device::Cpu, Dtype::Float32, 16);
    }
    check("llama-float16", Device::Cpu, Dtype::Float16, 16);
    check("llama-bfloat16-sharded", Device::Cpu, Dtype::Bfloat16, 16);
}

#[test]
fn every_golden_folder_is_checked() {
    let mut found: Vec<String> = std::fs::read_dir(golden::folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["pebble-20m", "adapters", "embedders"].contains(&name.as_str()))
        .collect();
    found.sort_unstable();
    let mut listed = VARIANTS.to_vec();
    listed.sort_unstable();
    assert_eq!(found, listed);
}

#[test]
fn both_forms_of_a_configuration_mean_the_same() {
    for variant in VARIANTS {
        let read = |name: &str| std::fs::read(golden::folder().join(variant).join(name)).unwrap();
        let generation = read("generation_config.json");
        let parse = |name| ModelConfig::parse(&read(name), Some(&generation)).unwrap();
        assert_eq!(parse("config.json"), parse("config.v4.json"), "{variant}");
    }
}
