//! Embedding models against what transformers computes with them; scripts/reference makes the files.

mod errors;

use std::path::PathBuf;

use models::{
    Device, Dtype, Encoder, KvCacheDtype, ModelFiles, ModelSource, Pooling, SumOrder, open,
};
use safetensors::SafeTensors;
use serde::Deserialize;
use text::{Tokenizer, TokenizerFiles};

use crate::driver::{Driver, Rng, Seq, Setup};
use crate::golden::{self, TOLERANCE, distance};

/// Encoders, with how they pool and the longest text that they take.
const ENCODERS: [(&str, Pooling, usize); 4] = [
    ("bert", Pooling::Mean, 48),
    // `max_seq_length` is more than it has positions.
    ("bert-for-masks", Pooling::Cls, 64),
    // No files of sentence-transformers: the mean, and the tokenizer's bound.
    ("roberta", Pooling::Mean, 90),
    ("xlm-roberta", Pooling::LastToken, 80),
];

#[derive(Deserialize)]
struct Case {
    text: String,
    tokens: Vec<u32>,
}

fn folder(name: &str) -> PathBuf {
    golden::folder().join("embedders").join(name)
}

fn source(name: &str) -> ModelSource {
    ModelSource::Folder(folder(name))
}

/// Texts with their tokens, and their vectors.
fn expected(name: &str) -> Vec<(Case, Vec<f32>)> {
    let read = |file: &str| std::fs::read(folder(name).join(file)).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&read("texts.json")).unwrap();
    let bytes = read("golden.safetensors");
    let vectors = golden::rows(&SafeTensors::deserialize(&bytes).unwrap(), "vectors");
    assert_eq!(cases.len(), vectors.len());
    cases.into_iter().zip(vectors).collect()
}

fn tokenizer(files: &ModelFiles) -> Tokenizer {
    let files = TokenizerFiles {
        tokenizer_config: files.tokenizer_config.as_deref(),
        ..TokenizerFiles::new(files.tokenizer.as_deref().unwrap())
    };
    Tokenizer::from_files(&files).unwrap()
}

/// By definition, in double precision.
fn normalised(vector: &[f32]) -> Vec<f32> {
    let squares = vector.iter().map(|&value| f64::from(value).powi(2));
    let length = squares.sum::<f64>().sqrt();
    let scaled = vector.iter().map(|&value| f64::from(value) / length);
    scaled.map(|value| value as f32).collect()
}

#[test]
fn encoders_embed_as_transformers_does() {
    for (name, pooling, window) in ENCODERS {
        let encoder = Encoder::open(&source(name)).unwrap();
        assert_eq!(
            (encoder.pooling(), encoder.window()),
            (pooling, window),
            "{name}"
        );
        assert!(encoder.unread_tensors().is_empty(), "{name}");
        let tokenizer = tokenizer(encoder.files());
        let mut worst = 0.0f32;
        for (case, want) in expected(name) {
            let text = match encoder.lower_case() {
                true => case.text.to_lowercase(),
                false => case.text,
            };
            let tokens = tokenizer.encode(&text, true).unwrap();
            assert_eq!(tokens, case.tokens, "{name}: {text:?}");
            let vector = normalised(&encoder.embed(&tokens).unwrap());
            worst = worst.max(distance(&vector, &want));
        }
        println!("{name}: {worst:e}");
        assert!(worst <= TOLERANCE, "{name}: {worst}");
    }
}

#[test]
fn a_vector_depends_on_no_other_text() {
    for (name, ..) in ENCODERS {
        let encoder = Encoder::open(&source(name)).unwrap();
        let cases = expected(name);
        let alone: Vec<Vec<f32>> = cases
            .iter()
            .map(|(case, _)| encoder.embed(&case.tokens).unwrap())
            .collect();
        // The same from several threads at once, each in an order of its own.
        std::thread::scope(|scope| {
            for start in 0..3 {
                let (cases, alone, encoder) = (&cases, &alone, &encoder);
                scope.spawn(move || {
                    for index in (0..cases.len()).map(|index| (index + start) % cases.len()) {
                        let again = encoder.embed(&cases[index].0.tokens).unwrap();
                        let found = distance(&again, &alone[index]);
                        assert!(found <= 1e-5, "{name}, {index}: {found}");
                    }
                });
            }
        });
    }
}

#[test]
fn a_text_may_be_as_long_as_the_window() {
    for (name, _, window) in ENCODERS {
        let encoder = Encoder::open(&source(name)).unwrap();
        let tokens: Vec<u32> = (0..window as u32).map(|token| 5 + token % 60).collect();
        let vector = encoder.embed(&tokens).unwrap();
        assert!(vector.iter().any(|&value| value != 0.0), "{name}");
    }
}

#[test]
fn a_workspace_bounds_the_window() {
    for (name, _, window) in ENCODERS {
        let bytes = Encoder::open(&source(name)).unwrap().workspace_bytes();
        let encoder = Encoder::open(&source(name))
            .unwrap()
            .within_workspace(bytes);
        assert_eq!(encoder.window(), window);
        let encoder = encoder.within_workspace(bytes / 4);
        assert!((window / 4..window).contains(&encoder.window()), "{name}");
        assert!(encoder.workspace_bytes() <= bytes / 4);
        assert!(encoder.embed(&vec![5; encoder.window()]).is_ok());
        assert!(encoder.embed(&vec![5; encoder.window() + 1]).is_err());
    }
}

#[test]
fn a_decoder_saved_without_its_head_embeds_as_transformers_does() {
    let cases = expected("qwen3");
    for device in [Device::Cpu, Device::Reference] {
        let model = open(&source("qwen3")).unwrap();
        assert!(model.unread_tensors().is_empty());
        let tokenizer = tokenizer(model.files());
        let setup = Setup {
            device,
            sum_order: SumOrder::Free,
            dtype: Dtype::Auto,
            kv_cache_dtype: KvCacheDtype::Float32,
            block_size: 16,
            pool_tokens: 1_024,
            max_tokens: 64,
            max_rows: 4,
            max_len: 64,
            window_pool: None,
        };
        let mut driver = Driver::new(model, setup, &mut Rng(1));
        let mut worst = 0.0f32;
        for (case, want) in &cases {
            let tokens = tokenizer.encode(&case.text, true).unwrap();
            assert_eq!(tokens, case.tokens, "{:?}", case.text);
            assert_eq!(tokens.last(), Some(&0), "the token of the end");
            let state = driver.state(&mut Seq::new(&tokens));
            worst = worst.max(distance(&normalised(&state), want));
        }
        println!("{device:?}: {worst:e}");
        assert!(worst <= TOLERANCE, "{device:?}: {worst}");
    }
}
