//! Of a model that also sees, the decoder of text is what it would be by itself.

use std::path::Path;

use models::{Device, Dtype, KvCacheDtype, ModelSource, SumOrder, open};
use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, serialize_to_file};
use serde_json::{Value, json};

use crate::driver::{Driver, Rng, Seq, Setup};
use crate::golden::{self, Golden};

/// Writes the golden model `gemma3` as the text of a model that sees, with names that begin with
/// `prefix`, and with a part of its eyes.
fn write(folder: &Path, prefix: &str) {
    let golden = golden::folder().join("gemma3");
    let text: Value =
        serde_json::from_slice(&std::fs::read(golden.join("config.json")).unwrap()).unwrap();
    let config = json!({
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": text,
        "vision_config": {"hidden_size": 8},
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let bytes = std::fs::read(golden.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut renamed: Vec<(String, TensorView<'_>)> = Vec::new();
    for (name, view) in tensors.tensors() {
        let rest = name.strip_prefix("model.").unwrap();
        renamed.push((format!("{prefix}{rest}"), view));
    }
    let eye = renamed[0].1.clone();
    renamed.push(("vision_tower.vision_model.head.weight".into(), eye));
    serialize_to_file(renamed, None, &folder.join("model.safetensors")).unwrap();
}

fn logits(source: &ModelSource, tokens: &[u32]) -> Vec<Vec<f32>> {
    let model = open(source).unwrap();
    assert!(model.unread_tensors().is_empty());
    let setup = Setup {
        device: Device::Cpu,
        sum_order: SumOrder::Free,
        dtype: Dtype::Auto,
        kv_cache_dtype: KvCacheDtype::Float32,
        block_size: 16,
        pool_tokens: tokens.len() + 16,
        max_tokens: tokens.len(),
        max_rows: tokens.len(),
        max_len: tokens.len(),
        window_pool: None,
    };
    let mut driver = Driver::new(model, setup, &mut Rng(3));
    driver.prefill_in_chunks(&mut Seq::new(tokens), &mut Rng(4))
}

#[test]
fn the_text_of_a_gemma_that_sees_is_a_gemma() {
    let golden = Golden::read("gemma3");
    let alone = ModelSource::Folder(golden::folder().join("gemma3"));
    let want = logits(&alone, &golden.prompt);
    for prefix in ["language_model.model.", "model.language_model."] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), prefix);
        let got = logits(
            &ModelSource::Folder(folder.path().to_owned()),
            &golden.prompt,
        );
        assert!(got == want, "{prefix}");
    }
}
