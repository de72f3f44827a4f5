//! Everything that can be wrong with an adapter is an error that names it.

use std::path::Path;

use models::testing::{ALL_PROJECTIONS as ALL, AdapterFiles};
use models::{LoraAdapter, Model, ModelSource, open};
use serde_json::json;

use super::variant;

fn model() -> Model {
    open(&variant("llama3-gqa")).unwrap()
}

fn error_in(folder: &Path) -> String {
    match LoraAdapter::open(folder, model().config(), 16) {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// What an adapter of all projections gives once `change` has been made to it.
fn error(change: impl FnOnce(&mut AdapterFiles)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut files = AdapterFiles::random(model().config(), &ALL, 4, 9);
    change(&mut files);
    files.write(folder.path()).unwrap();
    error_in(folder.path())
}

#[test]
fn what_is_whole_is_opened() {
    assert_eq!(error(|_| ()), "no error");
    // As older and newer versions of PEFT write what is off.
    let off = |files: &mut AdapterFiles| {
        for (field, value) in [
            ("use_dora", json!(false)),
            ("modules_to_save", json!(null)),
            ("rank_pattern", json!({})),
            ("layers_pattern", json!("layers")),
            ("init_lora_weights", json!("gaussian")),
            ("lora_dropout", json!(0.1)),
            ("something_of_next_year", json!([])),
        ] {
            files.config[field] = value;
        }
    };
    assert_eq!(error(off), "no error");
}

#[test]
fn fields_are_named() {
    let cases = [
        (
            "r",
            json!(null),
            "adapter_config.json: field `r` is missing",
        ),
        (
            "r",
            json!(0),
            "adapter_config.json: `r, rank_pattern`: must be positive",
        ),
        (
            "r",
            json!(17),
            "adapter_config.json: `r, rank_pattern`: rank 17 of model.layers.0.self_attn.q_proj \
             exceeds 16",
        ),
        (
            "rank_pattern",
            json!({"v_proj": 64}),
            "adapter_config.json: `r, rank_pattern`: rank 64 of model.layers.0.self_attn.v_proj \
             exceeds 16",
        ),
        (
            "lora_alpha",
            json!("16"),
            "adapter_config.json: field `lora_alpha` must be a number, but is \"16\"",
        ),
        (
            "lora_alpha",
            json!(1e300),
            "adapter_config.json: `lora_alpha, alpha_pattern`: 1e300 gives \
             model.layers.0.self_attn.q_proj the factor inf",
        ),
        (
            "target_modules",
            json!(null),
            "adapter_config.json: field `target_modules` is missing",
        ),
        (
            "target_modules",
            json!(["q_proj", "c_attn"]),
            "adapter_config.json: `target_modules`: c_attn names no matrix of this model's layers",
        ),
        (
            "target_modules",
            json!(["q_proj", "lm_head"]),
            "adapter_config.json: `target_modules`: lm_head is not supported: adapters update the \
             matrices of the layers only",
        ),
        (
            "target_modules",
            json!(".*embed_tokens"),
            "adapter_config.json: `target_modules`: model.embed_tokens is not supported: adapters \
             update the matrices of the layers only",
        ),
        (
            "target_modules",
            json!("(?=q)"),
            "adapter_config.json: `target_modules`: \"(?=q)\" is no expression that is supported: \
             regex parse error",
        ),
        (
            "exclude_modules",
            json!(ALL),
            "adapter_config.json: `target_modules, exclude_modules, layers_to_transform`: leave no \
             module of this model",
        ),
        (
            "bias",
            json!("lora_only"),
            "adapter_config.json: `bias` = \"lora_only\" is not supported; supported is none",
        ),
        (
            "use_dora",
            json!(true),
            "adapter_config.json: `use_dora` = true is not supported; supported is what turns it off",
        ),
        (
            "modules_to_save",
            json!(["lm_head"]),
            "adapter_config.json: `modules_to_save` = [\"lm_head\"] is not supported",
        ),
        (
            "init_lora_weights",
            json!("pissa_niter_4"),
            "adapter_config.json: `init_lora_weights` = \"pissa_niter_4\" is not supported",
        ),
        (
            "peft_type",
            json!("IA3"),
            "adapter_config.json: `peft_type` = \"IA3\" is not supported; supported is LORA",
        ),
        (
            "something_of_next_year",
            json!(1),
            "adapter_config.json: `something_of_next_year` = 1 is not supported",
        ),
    ];
    for (field, value, want) in cases {
        let found = error(|files| files.config[field] = value.clone());
        assert!(found.starts_with(want), "{field} = {value}: {found}");
    }
}

#[test]
fn tensors_are_named() {
    const A: &str = "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight";
    const B: &str = "base_model.model.model.layers.1.mlp.up_proj.lora_B.weight";
    for name in [A, B] {
        let found = error(|files| {
            files.tensors.remove(name).unwrap();
        });
        let want = format!(
            "adapter_model.safetensors: tensor {name}: is missing, and target_modules names its \
             module"
        );
        assert_eq!(found, want);
    }
    let found = error(|files| {
        let (shape, _) = files.tensors.get_mut(A).unwrap();
        *shape = vec![32, 4];
    });
    let want =
        format!("adapter_model.safetensors: tensor {A}: has shape [32, 4], but [4, 32] is needed");
    assert_eq!(found, want);
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let found = error(|files| files.tensors.get_mut(B).unwrap().1[6] = value);
        let want = format!("adapter_model.safetensors: tensor {B}: element [1, 2] is {name}");
        assert_eq!(found, want);
    }
    for surplus in [
        "base_model.model.model.embed_tokens.lora_embedding_A",
        "base_model.model.model.layers.0.mlp.up_proj.lora_magnitude_vector.weight",
        "base_model.model.model.layers.9.mlp.up_proj.lora_A.weight",
        "base_model.model.lm_head.weight",
    ] {
        let found = error(|files| {
            let tensor = (vec![1], vec![0.0]);
            files.tensors.insert(surplus.to_owned(), tensor);
        });
        let want = format!("adapter_model.safetensors: tensor {surplus}: is neither lora_A.weight");
        assert!(found.starts_with(&want), "{found}");
    }
    // A module that is not a target has tensors.
    let found = error(|files| files.config["target_modules"] = json!(["q_proj"]));
    assert!(found.contains("is neither lora_A.weight"), "{found}");
}

#[test]
fn files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let found = error_in(folder.path());
    assert!(
        found.contains("adapter_config.json: No such file"),
        "{found}"
    );
    let files = AdapterFiles::random(model().config(), &ALL, 4, 9);
    files.write(folder.path()).unwrap();
    let weights = folder.path().join("adapter_model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 1]).unwrap();
    let found = error_in(folder.path());
    let want = format!(
        "adapter_model.safetensors: truncated or damaged: {} bytes expected, {} found",
        bytes.len(),
        bytes.len() - 1
    );
    assert_eq!(found, want);
    std::fs::remove_file(&weights).unwrap();
    let found = error_in(folder.path());
    assert!(
        found.contains("adapter_model.safetensors: No such file"),
        "{found}"
    );
    std::fs::write(folder.path().join("adapter_config.json"), b"[]").unwrap();
    let found = error_in(folder.path());
    assert!(
        found.starts_with("adapter_config.json is not a JSON object"),
        "{found}"
    );
}

/// A file of any size may be named by a client: no more of it is read than an adapter can have.
#[test]
fn a_file_that_is_too_large_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let files = AdapterFiles::random(model().config(), &ALL, 4, 9);
    files.write(folder.path()).unwrap();
    let weights = std::fs::File::create(folder.path().join("adapter_model.safetensors")).unwrap();
    weights.set_len(1 << 40).unwrap();
    let found = error_in(folder.path());
    assert!(
        found.contains("which no adapter of the largest rank has"),
        "{found}"
    );
}

/// Adapters of another model do not fit.
#[test]
fn another_models_adapter_is_refused() {
    let other = open(&ModelSource::Embedded).unwrap();
    let folder = tempfile::tempdir().unwrap();
    AdapterFiles::random(other.config(), &["mlp.up_proj"], 4, 9)
        .write(folder.path())
        .unwrap();
    let found = error_in(folder.path());
    assert!(found.contains("has shape"), "{found}");
}
