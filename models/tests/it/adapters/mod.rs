//! LoRA adapters compute what PEFT computes.

mod bits;
mod errors;

use std::collections::BTreeMap;
use std::path::PathBuf;

use models::testing::{AdapterFiles, Tensors, write_tensors};
use models::{Device, Dtype, KvCacheDtype, LoraAdapter, LoraLimits, ModelSource, SumOrder, open};
use safetensors::SafeTensors;

use crate::driver::{Driver, Part, Rng, Seq, Setup, Want, argmax};
use crate::golden::{self, Golden, TOLERANCE, distance};

/// Adapters of scripts/reference/models/make_adapters.py, and the variants that they belong to.
const ADAPTERS: [(&str, &str); 10] = [
    ("all", "llama3-gqa"),
    ("all-again", "llama3-gqa"),
    ("patterns", "llama3-gqa"),
    ("values", "qwen3"),
    ("expression", "llama-mqa-biases"),
    ("fused", "phi3"),
    ("normed", "gemma3"),
    ("whole-heads", "olmo2"),
    ("gateless", "starcoder2"),
    ("beside-experts", "qwen3-moe"),
];

const LIMITS: LoraLimits = LoraLimits {
    max_loras: 3,
    max_lora_rank: 20,
};

fn folder(adapter: &str) -> PathBuf {
    golden::folder().join("adapters").join(adapter)
}

fn variant(name: &str) -> ModelSource {
    ModelSource::Folder(golden::folder().join(name))
}

/// An adapter of a variant.
fn adapter(name: &str, of: &str) -> LoraAdapter {
    let model = open(&variant(of)).unwrap();
    LoraAdapter::open(&folder(name), model.config(), LIMITS.max_lora_rank).unwrap()
}

fn setup(device: Device, golden: &Golden) -> Setup {
    let length = golden.prompt.len() + golden.tokens.len();
    Setup {
        device,
        sum_order: SumOrder::Free,
        dtype: Dtype::Auto,
        kv_cache_dtype: KvCacheDtype::Float32,
        block_size: 16,
        pool_tokens: 6 * (length + 16),
        max_tokens: 2 * golden.prompt.len(),
        max_rows: golden.prompt.len(),
        max_len: length,
        window_pool: None,
    }
}

/// Compares the logits of a prompt and of `decoded` tokens with a golden's.
fn check(driver: &mut Driver, mut seq: Seq, golden: &Golden, decoded: usize, place: &str) {
    let mut rng = Rng(place.len() as u64);
    let prompt_logits = driver.prefill_in_chunks(&mut seq, &mut rng);
    assert_eq!(prompt_logits.len(), golden.prompt_logits.len());
    for (row, (got, want)) in prompt_logits.iter().zip(&golden.prompt_logits).enumerate() {
        let found = distance(got, want);
        assert!(found <= TOLERANCE, "{place}: {found} at row {row}");
    }
    let mut row = prompt_logits.last().unwrap().clone();
    let steps = golden.tokens.iter().zip(&golden.logits).take(decoded);
    for (step, (&token, want)) in steps.enumerate() {
        let found = distance(&row, want);
        assert!(found <= TOLERANCE, "{place}: {found} at token {step}");
        assert_eq!(argmax(&row), token, "{place}: token {step}");
        row = driver.decode(&mut seq, token);
    }
}

/// Every adapter in every slot but the one that stays empty, and the base model beside it.
fn check_all(device: Device, decoded: usize) {
    for (slot, (name, of)) in (0..).zip(ADAPTERS) {
        let slot = slot % LIMITS.max_loras as u32;
        let golden = Golden::read(&format!("adapters/{name}"));
        let model = open(&variant(of)).unwrap();
        let mut rng = Rng(3);
        let mut driver =
            Driver::with_adapters(model, setup(device, &golden), LIMITS, &[], &mut rng);
        driver.load_adapter(slot as usize, &adapter(name, of));
        let place = format!("{name}, {device:?}");
        let seq = Seq::new(&golden.prompt).with_adapter(Some(slot));
        check(&mut driver, seq, &golden, decoded, &place);
        let base = Golden::read(of);
        let place = format!("{of} beside {name}, {device:?}");
        check(&mut driver, Seq::new(&base.prompt), &base, decoded, &place);
    }
}

#[test]
fn every_adapter_is_checked() {
    let mut found: Vec<String> = std::fs::read_dir(golden::folder().join("adapters"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort_unstable();
    let mut listed = ADAPTERS.map(|(name, _)| name).to_vec();
    listed.sort_unstable();
    assert_eq!(found, listed);
}

#[test]
fn the_cpu_backend_equals_peft() {
    check_all(Device::Cpu, 64);
}

#[test]
fn the_reference_backend_equals_peft() {
    check_all(Device::Reference, 8);
}

/// The model with `W + scale * B * A` in place of `W` computes the same.
#[test]
fn merged_weights_give_the_same_logits() {
    let of = golden::folder().join("llama3-gqa");
    let mut weights = read(&of.join("model.safetensors"));
    let update = read(&folder("all").join("adapter_model.safetensors"));
    let (rank, scale) = (8, 2.0);
    for (name, (_, a)) in &update {
        let Some(module) = name.strip_suffix(".lora_A.weight") else {
            continue;
        };
        let (_, b) = &update[&format!("{module}.lora_B.weight")];
        let module = module.strip_prefix("base_model.model.").unwrap();
        let (shape, matrix) = weights.get_mut(&format!("{module}.weight")).unwrap();
        let in_features = shape[1];
        for (index, weight) in matrix.iter_mut().enumerate() {
            let (row, column) = (index / in_features, index % in_features);
            let products = (0..rank)
                .map(|k| f64::from(b[row * rank + k]) * f64::from(a[k * in_features + column]));
            *weight = (f64::from(*weight) + scale * products.sum::<f64>()) as f32;
        }
    }
    let merged = tempfile::tempdir().unwrap();
    write_tensors(&weights, &merged.path().join("model.safetensors")).unwrap();
    std::fs::copy(of.join("config.json"), merged.path().join("config.json")).unwrap();

    let golden = Golden::read("adapters/all");
    let setup = setup(Device::Cpu, &golden);
    let mut rng = Rng(4);
    let source = ModelSource::Folder(merged.path().to_owned());
    let mut merged = Driver::new(open(&source).unwrap(), setup, &mut rng);
    let mut seq = Seq::new(&golden.prompt);
    let want = merged.prefill_in_chunks(&mut seq, &mut rng);
    let model = open(&variant("llama3-gqa")).unwrap();
    let adapters = [adapter("all", "llama3-gqa")];
    let mut driver = Driver::with_adapters(model, setup, LIMITS, &adapters, &mut rng);
    let mut seq = Seq::new(&golden.prompt).with_adapter(Some(0));
    let got = driver.prefill_in_chunks(&mut seq, &mut rng);
    assert_eq!(got.len(), want.len());
    for (row, (got, want)) in got.iter().zip(&want).enumerate() {
        let found = distance(got, want);
        assert!(found <= TOLERANCE, "{found} at row {row}");
    }
}

fn read(file: &std::path::Path) -> Tensors {
    let bytes = std::fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |data: &[u8]| {
        let elements = data.chunks_exact(4);
        elements
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    };
    let named = tensors.iter().map(|(name, view)| {
        (
            name.to_owned(),
            (view.shape().to_vec(), floats(view.data())),
        )
    });
    named.collect::<BTreeMap<_, _>>()
}

/// What was in a slot before is gone, and an emptied slot serves another adapter.
#[test]
fn slots_are_used_again() {
    let golden = Golden::read("adapters/all-again");
    let model = open(&variant("llama3-gqa")).unwrap();
    let mut rng = Rng(5);
    let first = [adapter("patterns", "llama3-gqa")];
    let setup = setup(Device::Cpu, &golden);
    let mut driver = Driver::with_adapters(model, setup, LIMITS, &first, &mut rng);
    let mut seq = Seq::new(&golden.prompt).with_adapter(Some(0));
    let before = driver.prefill_in_chunks(&mut seq, &mut rng);
    assert!(distance(&before[40], &golden.prompt_logits[40]) > 100.0 * TOLERANCE);
    driver.unload_adapter(0);
    driver.load_adapter(0, &adapter("all-again", "llama3-gqa"));
    let seq = Seq::new(&golden.prompt).with_adapter(Some(0));
    check(&mut driver, seq, &golden, 8, "after another adapter");
}

/// The last layer's end is computed for the scored rows alone, with their adapters.
#[test]
fn scores_are_those_of_the_logits() {
    let golden = Golden::read("adapters/all");
    let model = open(&variant("llama3-gqa")).unwrap();
    let mut rng = Rng(6);
    let adapters = [adapter("all", "llama3-gqa")];
    let setup = Setup {
        max_rows: 7,
        ..setup(Device::Cpu, &golden)
    };
    let mut driver = Driver::with_adapters(model, setup, LIMITS, &adapters, &mut rng);
    let mut seq = Seq::new(&golden.prompt).with_adapter(Some(0));
    let scores = driver.score(&mut seq, golden.prompt.len() - 1);
    for (row, score) in scores.iter().enumerate() {
        let logits = &golden.prompt_logits[row];
        let softmax = models::LogSoftmax::new(logits).unwrap();
        let want = softmax.logprob(logits[golden.prompt[row + 1] as usize]);
        assert!((score - want).abs() < 1e-3, "row {row}: {score} and {want}");
    }
}

/// A digest names what is computed: the values, the factor and the modules.
#[test]
fn digests_tell_adapters_apart() {
    let model = open(&variant("llama3-gqa")).unwrap();
    let digest = |files: &AdapterFiles| {
        let folder = tempfile::tempdir().unwrap();
        files.write(folder.path()).unwrap();
        LoraAdapter::open(folder.path(), model.config(), 16)
            .unwrap()
            .digest()
    };
    let files = |seed| AdapterFiles::random(model.config(), &["mlp.up_proj"], 4, seed);
    let one = files(1);
    assert_eq!(digest(&one), digest(&files(1)));
    let mut digests = vec![digest(&one), digest(&files(2))];
    let mut scaled = files(1);
    scaled.config["lora_alpha"] = 5.into();
    digests.push(digest(&scaled));
    // The same bytes in the place of others.
    let mut elsewhere = files(1);
    elsewhere.config["target_modules"] = serde_json::json!(["mlp.gate_proj"]);
    let tensors = std::mem::take(&mut elsewhere.tensors).into_iter();
    elsewhere.tensors = tensors
        .map(|(name, tensor)| (name.replace("up_proj", "gate_proj"), tensor))
        .collect();
    digests.push(digest(&elsewhere));
    let mut last = files(1);
    let (_, values) = last.tensors.values_mut().next_back().unwrap();
    *values.last_mut().unwrap() += 1e-6;
    digests.push(digest(&last));
    for (index, digest) in digests.iter().enumerate() {
        assert!(!digests[..index].contains(digest), "{index}");
    }
}

/// Rows of one adapter that do not stand together are computed all the same.
#[test]
fn neighbours_need_not_share_an_adapter() {
    let names = ["all", "all-again", "patterns"];
    let goldens = names.map(|name| Golden::read(&format!("adapters/{name}")));
    let model = open(&variant("llama3-gqa")).unwrap();
    let adapters = names.map(|name| adapter(name, "llama3-gqa"));
    let mut rng = Rng(7);
    let setup = setup(Device::Cpu, &goldens[0]);
    let mut driver = Driver::with_adapters(model, setup, LIMITS, &adapters, &mut rng);
    let base = Golden::read("llama3-gqa");
    let order = [Some(1), None, Some(0), Some(1), Some(2), None];
    let golden = |slot: Option<u32>| slot.map_or(&base, |slot| &goldens[slot as usize]);
    let mut seqs = order.map(|slot| Seq::new(&golden(slot).prompt[..8]).with_adapter(slot));
    let mut parts: Vec<Part<'_>> = seqs
        .iter_mut()
        .map(|seq| Part {
            seq,
            count: 8,
            want: Want::All,
        })
        .collect();
    let rows = driver.step(&mut parts);
    for (index, row) in rows.iter().enumerate() {
        let want = &golden(order[index / 8]).prompt_logits[index % 8];
        let found = distance(row, want);
        assert!(found <= TOLERANCE, "row {index}: {found}");
    }
}
