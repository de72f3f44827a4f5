//! Everything that can be wrong with a checkpoint is an error that names it.

use std::path::{Path, PathBuf};

use models::{
    Device, Dtype, KvCacheDtype, Limits, LoadOptions, LoadPhase, ModelSource, Quantization,
    SumOrder, open,
};

use crate::golden;

const LIMITS: Limits = Limits {
    num_blocks: 4,
    window_blocks: None,
    block_size: 16,
    max_num_batched_tokens: 8,
    max_num_seqs: 2,
    max_model_len: 32,
};

/// A copy of a golden folder, to break.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn of(variant: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&golden::folder().join(variant), folder.path());
        Self(folder)
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub(crate) fn edit(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.path(file)).unwrap();
        change(&mut bytes);
        std::fs::write(self.path(file), bytes).unwrap();
    }

    /// Replaces text; of the same length where a header has to stay whole.
    pub(crate) fn replace(&self, file: &str, from: &str, to: &str) {
        self.edit(file, |bytes| {
            let at = bytes
                .windows(from.len())
                .position(|part| part == from.as_bytes())
                .unwrap();
            bytes.splice(at..at + from.len(), to.bytes());
        });
    }

    fn error(&self) -> String {
        error(self.0.path())
    }
}

/// Copies the files of a folder, and of those in it.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => {
                std::fs::create_dir(&to).unwrap();
                copy(&path, &to);
            }
            false => {
                std::fs::copy(&path, &to).unwrap();
            }
        }
    }
}

pub(crate) fn error(folder: &Path) -> String {
    match open(&ModelSource::Folder(folder.to_owned())) {
        Ok(_) => panic!("{} was opened", folder.display()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_missing_folder_or_file_is_named() {
    assert_eq!(
        error(Path::new("/no/such/folder")),
        "/no/such/folder: no such folder"
    );
    let folder = Folder::of("qwen3");
    std::fs::remove_file(folder.path("model.safetensors")).unwrap();
    assert!(
        folder
            .error()
            .ends_with("neither model.safetensors nor model.safetensors.index.json")
    );
    std::fs::remove_file(folder.path("config.json")).unwrap();
    assert!(
        folder.error().contains("config.json: No such file"),
        "{}",
        folder.error()
    );
}

#[test]
fn a_missing_tensor_is_named() {
    let folder = Folder::of("qwen3");
    folder.replace(
        "model.safetensors",
        "model.norm.weight",
        "model.nork.weight",
    );
    let want = "tensor model.norm.weight is missing (looked in model.safetensors)";
    assert_eq!(folder.error(), want);
}

#[test]
fn a_wrong_shape_names_both_shapes() {
    let folder = Folder::of("qwen3");
    folder.replace(
        "config.json",
        "\"intermediate_size\": 48",
        "\"intermediate_size\": 44",
    );
    let want = "model.safetensors: tensor model.layers.0.mlp.gate_proj.weight has shape [48, 32], \
                but the configuration asks for [44, 32]";
    assert_eq!(folder.error(), want);
}

#[test]
fn a_wrong_type_is_named() {
    let folder = Folder::of("llama-float16");
    folder.replace(
        "model.safetensors",
        "\"dtype\":\"F16\"",
        "\"dtype\":\"I16\"",
    );
    assert!(
        folder
            .error()
            .contains("is I16; supported are F32, F16 and BF16"),
        "{}",
        folder.error()
    );
}

#[test]
fn a_truncated_file_says_how_much_is_missing() {
    let folder = Folder::of("qwen3");
    let whole = std::fs::metadata(folder.path("model.safetensors"))
        .unwrap()
        .len();
    for left in [whole - 1, whole / 2, 100, 8] {
        folder.edit("model.safetensors", |bytes| bytes.truncate(left as usize));
        let error = folder.error();
        let end = format!(", {left} found");
        assert!(
            error.starts_with("model.safetensors: truncated") && error.ends_with(&end),
            "{error}"
        );
        if left > 10_000 {
            assert!(
                error.contains(&format!("{whole} bytes expected")),
                "{error}"
            );
        }
    }
    folder.edit("model.safetensors", Vec::clear);
    assert!(
        folder.error().ends_with("8 bytes expected, 0 found"),
        "{}",
        folder.error()
    );
    folder.edit("model.safetensors", |bytes| bytes.extend([0xff; 64]));
    assert!(
        folder.error().contains("not a safetensors file"),
        "{}",
        folder.error()
    );
    folder.edit("model.safetensors", |bytes| {
        *bytes = b"\x02\0\0\0\0\0\0\0{]".to_vec()
    });
    assert!(
        folder.error().contains("not a safetensors file"),
        "{}",
        folder.error()
    );
}

#[test]
fn bytes_beyond_the_last_tensor_are_damage() {
    let folder = Folder::of("qwen3");
    folder.edit("model.safetensors", |bytes| bytes.push(0));
    assert!(
        folder.error().contains("truncated or damaged"),
        "{}",
        folder.error()
    );
}

#[test]
fn a_missing_or_truncated_shard_is_named() {
    const SHARD: &str = "model-00003-of-00005.safetensors";
    let folder = Folder::of("llama-bfloat16-sharded");
    folder.edit(SHARD, |bytes| bytes.truncate(bytes.len() - 2));
    assert!(
        folder.error().starts_with(&format!("{SHARD}: truncated")),
        "{}",
        folder.error()
    );
    std::fs::remove_file(folder.path(SHARD)).unwrap();
    let want = format!("shard {SHARD} is missing; model.safetensors.index.json names it");
    assert_eq!(folder.error(), want);
}

#[test]
fn an_index_that_lies_is_refused() {
    const INDEX: &str = "model.safetensors.index.json";
    let folder = Folder::of("llama-bfloat16-sharded");
    let entry = "\"model.norm.weight\": \"model-0000";
    folder.replace(INDEX, entry, "\"model.nork.weight\": \"model-0000");
    assert!(
        folder
            .error()
            .starts_with("tensor model.nork.weight is missing"),
        "{}",
        folder.error()
    );
    folder.edit(INDEX, |bytes| {
        *bytes = br#"{"weight_map": {"a": "../b.safetensors"}}"#.to_vec()
    });
    assert!(
        folder
            .error()
            .contains("\"../b.safetensors\" is not a file name"),
        "{}",
        folder.error()
    );
    folder.edit(INDEX, |bytes| *bytes = b"{}".to_vec());
    assert!(folder.error().contains("weight_map"), "{}", folder.error());
}

#[test]
fn tensors_that_nothing_reads_are_reported() {
    // Told that the embeddings are tied, the output projection is a known surplus.
    let folder = Folder::of("qwen3");
    folder.replace(
        "config.json",
        "\"tie_word_embeddings\": false",
        "\"tie_word_embeddings\": true",
    );
    let model = open(&ModelSource::Folder(folder.0.path().to_owned())).unwrap();
    assert!(model.unread_tensors().is_empty());
    // A layer less leaves the tensors of the last one.
    folder.replace(
        "config.json",
        "\"num_hidden_layers\": 2",
        "\"num_hidden_layers\": 1",
    );
    folder.edit("config.json", |bytes| {
        let mut config: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        config.as_object_mut().unwrap().remove("layer_types");
        *bytes = config.to_string().into_bytes();
    });
    let model = open(&ModelSource::Folder(folder.0.path().to_owned())).unwrap();
    assert_eq!(model.unread_tensors().len(), 11);
    assert!(
        model
            .unread_tensors()
            .iter()
            .all(|name| name.starts_with("model.layers.1."))
    );
}

#[test]
fn fingerprints_tell_models_apart() {
    let folder = Folder::of("qwen3");
    let fingerprint = || {
        open(&ModelSource::Folder(folder.0.path().to_owned()))
            .unwrap()
            .fingerprint()
    };
    let first = fingerprint();
    assert_eq!(first, fingerprint());
    folder.edit("model.safetensors", |bytes| *bytes.last_mut().unwrap() ^= 1);
    let second = fingerprint();
    assert_ne!(first, second);
    folder.replace(
        "config.json",
        "\"rope_theta\": 1000000.0",
        "\"rope_theta\": 1000001.0",
    );
    assert_ne!(second, fingerprint());
}

#[test]
fn a_conversion_that_nobody_does_is_refused() {
    let load = |variant: &str, dtype, limits| {
        let model = open(&ModelSource::Folder(golden::folder().join(variant))).unwrap();
        let options = LoadOptions {
            device: Device::Auto,
            dtype,
            quantization: Quantization::None,
            limits,
            threads: None,
            pin_threads: false,
            sum_order: SumOrder::Free,
            kv_cache_dtype: KvCacheDtype::Auto,
            lora: None,
        };
        model
            .load(&options, &mut |_| ())
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let error = load("qwen3", Dtype::Float16, LIMITS).unwrap_err();
    assert!(
        error.contains("model.embed_tokens.weight is F32"),
        "{error}"
    );
    load("qwen3", Dtype::Bfloat16, LIMITS).unwrap();
    let limits = Limits {
        num_blocks: 1,
        window_blocks: None,
        ..LIMITS
    };
    let error = load("qwen3", Dtype::Auto, limits).unwrap_err();
    assert_eq!(error, "num_blocks must be at least 2, but is 1");
}

#[test]
fn progress_counts_every_matrix() {
    let model = open(&ModelSource::Folder(golden::folder().join("smollm3"))).unwrap();
    let (device, dtype) = (Device::Cpu, Dtype::Auto);
    let options = LoadOptions {
        device,
        dtype,
        quantization: Quantization::None,
        limits: LIMITS,
        threads: None,
        pin_threads: false,
        sum_order: SumOrder::Free,
        kv_cache_dtype: KvCacheDtype::Auto,
        lora: None,
    };
    let mut heard = Vec::new();
    model
        .load(&options, &mut |progress| heard.push(progress))
        .unwrap();
    assert!(heard.iter().all(|at| at.phase == LoadPhase::Packing));
    assert!(heard.is_sorted_by(|a, b| a.bytes < b.bytes));
    let last = heard.last().unwrap();
    assert!(last.bytes == last.total_bytes && last.bytes > 0, "{last:?}");
}

#[test]
fn a_name_is_a_folder_or_a_repository() {
    let named = |name| ModelSource::named(name, models::HubOptions::default());
    for folder in ["./a", "/a/b", "~/a", "a/b/c", "src", "../x"] {
        assert!(matches!(named(folder), ModelSource::Folder(_)), "{folder}");
    }
    assert!(
        matches!(named("tiny/llama"), ModelSource::Hub(request) if request.repo == "tiny/llama")
    );
}
