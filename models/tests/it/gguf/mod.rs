//! GGUF files: the same weights give the same logits as in safetensors.

mod blocks;
mod convert;
mod damage;
mod opening;
mod quantized;
mod text;
mod writer;

use std::path::{Path, PathBuf};

use models::{Device, Dtype, KvCacheDtype, Model, ModelSource, Quantization, SumOrder, open};

use crate::driver::{Driver, Rng, Seq, Setup};
use crate::golden::{self, Golden, TOLERANCE, VARIANTS, distance};
use blocks::Kind;
use convert::convert;
use writer::Gguf;

/// Variants that are not as the format can say: windows or experts on some layers only, a list of
/// windows, an architecture that is not read.
const NOT_IN_GGUF: [&str; 7] = [
    "qwen2-window",
    "qwen3-yarn-window",
    "smollm3-window",
    "qwen3-moe-sparse",
    "starcoder2",
    "gpt-oss",
    "gpt-oss-mxfp4",
];

fn opened(path: &Path) -> Model {
    let model = open(&ModelSource::Gguf(path.to_owned())).unwrap();
    assert!(model.unread_tensors().is_empty());
    assert!(model.unread_metadata().is_empty());
    model
}

/// Opens what `gguf` would be as a file.
fn written(gguf: &Gguf) -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    gguf.write(&path);
    let model = opened(&path);
    (folder, model)
}

/// A small file, for those who fetch one.
pub(crate) fn small_file() -> Vec<u8> {
    let (_copy, folder) = folder_of("qwen3");
    convert(&folder, Kind::Q8_0).bytes()
}

/// The message of a file that cannot be opened.
fn refused(gguf: &Gguf) -> String {
    refused_bytes(&gguf.bytes())
}

fn refused_bytes(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    let message = match open(&ModelSource::Gguf(path.clone())) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    };
    let prefix = format!("{}: ", path.display());
    let rest = message.strip_prefix(&prefix);
    rest.unwrap_or(&message).to_owned()
}

/// Logits of all of `tokens`.
fn logits(model: Model, dtype: Dtype, quantization: Quantization, tokens: &[u32]) -> Vec<Vec<f32>> {
    let setup = Setup {
        device: Device::Cpu,
        sum_order: SumOrder::Free,
        dtype,
        kv_cache_dtype: KvCacheDtype::Float32,
        block_size: 16,
        pool_tokens: tokens.len() + 16,
        max_tokens: tokens.len(),
        max_rows: tokens.len(),
        max_len: tokens.len(),
        window_pool: None,
    };
    let mut driver = Driver::quantized(model, setup, quantization, &mut Rng(3));
    driver.prefill_in_chunks(&mut Seq::new(tokens), &mut Rng(4))
}

fn plain_logits(model: Model, tokens: &[u32]) -> Vec<Vec<f32>> {
    logits(model, Dtype::Auto, Quantization::None, tokens)
}

fn worst(got: &[Vec<f32>], want: &[Vec<f32>]) -> f32 {
    assert_eq!(got.len(), want.len());
    let distances = got.iter().zip(want).map(|(got, want)| distance(got, want));
    distances.fold(0.0, f32::max)
}

/// A folder like a golden one, with what GGUF can say: SmolLM3 without a list of its layers, Gemma
/// without a scale of its own.
fn folder_of(variant: &str) -> (tempfile::TempDir, PathBuf) {
    let copy = tempfile::tempdir().unwrap();
    let golden = golden::folder().join(variant);
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(golden.join(file), copy.path().join(file)).unwrap();
    }
    let path = copy.path().join("config.json");
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    if variant == "smollm3" {
        config.as_object_mut().unwrap().remove("no_rope_layers");
        config["no_rope_layer_interval"] = 4.into();
    }
    if variant.starts_with("gemma") {
        config["query_pre_attn_scalar"] = config["head_dim"].clone();
    }
    std::fs::write(&path, config.to_string()).unwrap();
    let folder = copy.path().to_owned();
    (copy, folder)
}

#[test]
fn f32_files_compute_what_their_safetensors_do() {
    for variant in VARIANTS {
        // Its tensors are in several files.
        if NOT_IN_GGUF.contains(variant) || *variant == "llama-bfloat16-sharded" {
            continue;
        }
        let golden = Golden::read(variant);
        let (_copy, folder) = folder_of(variant);
        let want = logits(
            open(&ModelSource::Folder(folder.clone())).unwrap(),
            Dtype::Float32,
            Quantization::None,
            &golden.prompt,
        );
        let (_file, model) = written(&convert(&folder, Kind::F32));
        let got = plain_logits(model, &golden.prompt);
        match *variant {
            // Numbers that multiply something are rounded.
            "llama3-gqa" | "granite" | "phi3-longrope-short" | "phi3-longrope-long" => {
                assert!(worst(&got, &want) < TOLERANCE, "{variant}")
            }
            _ => assert!(got == want, "{variant}: {}", worst(&got, &want)),
        }
        if *variant != "smollm3" && !variant.starts_with("gemma") {
            let distance = worst(&got, &golden.prompt_logits);
            assert!(distance < TOLERANCE, "{variant}: {distance}");
        }
    }
}

#[test]
fn other_element_types_stand_for_the_floats_that_they_round_to() {
    for variant in ["llama-mqa-biases", "qwen3"] {
        let golden = Golden::read(variant);
        let (_copy, folder) = folder_of(variant);
        for kind in [Kind::F16, Kind::Bf16, Kind::Q4_0, Kind::Q5_0, Kind::Q8_0] {
            let mut rounded = convert(&folder, Kind::F32);
            for tensor in &mut rounded.tensors {
                if tensor.shape.len() == 2 && kind.fits(tensor.shape[1]) {
                    let values: Vec<f32> = tensor
                        .bytes
                        .chunks_exact(4)
                        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                        .collect();
                    tensor.bytes = Kind::F32.encode(&kind.round(&values));
                }
            }
            let want = plain_logits(written(&rounded).1, &golden.prompt);
            let file = convert(&folder, kind);
            let widened = logits(
                written(&file).1,
                Dtype::Float32,
                Quantization::None,
                &golden.prompt,
            );
            assert!(widened == want, "{variant}, {kind:?}");
            // As it is kept by default, activations may be rounded for the products too.
            let kept = worst(&plain_logits(written(&file).1, &golden.prompt), &want);
            println!("{variant}, {kind:?}: {kept:e}");
            assert!(kept < 0.05, "{variant}, {kind:?}: {kept}");
        }
    }
}
