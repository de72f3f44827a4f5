//! A tokenizer from metadata gives the tokens of the `tokenizer.json` that they were written from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use models::Model;
use serde_json::Value;
use text::{ChatTemplates, Tokenizer, TokenizerFiles};

use super::blocks::Kind;
use super::convert::convert;
use super::writer::{Entry, Gguf};
use super::{folder_of, refused, written};

fn golden(name: &str) -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest
        .join("../crates/text/tests/goldens/tokenizers")
        .join(name)
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text(text: &str) -> Entry {
    Entry::Text(text.to_owned())
}

/// A model whose vocabulary has room for that of any tokenizer here.
fn model() -> Gguf {
    let (_copy, folder) = folder_of("llama-mqa-biases");
    let mut gguf = convert(&folder, Kind::F32);
    for name in ["token_embd.weight", "output.weight"] {
        let tensor = gguf.tensor_mut(name);
        let [_, cols] = tensor.shape[..] else {
            panic!("it is a matrix")
        };
        tensor.shape = vec![4096, cols];
        tensor.bytes = vec![0; 4096 * cols * 4];
    }
    gguf
}

/// Writes `tokenizer.json` and what its configuration adds as metadata.
fn add_tokenizer(gguf: &mut Gguf, tokenizer: &Value, later: &Value) {
    let mut tokens: BTreeMap<u64, (String, i32)> = BTreeMap::new();
    for (token, id) in tokenizer["model"]["vocab"].as_object().unwrap() {
        let kind = match token.as_str() {
            "<unk>" => 2,
            byte if byte.starts_with("<0x") => 6,
            _ => 1,
        };
        tokens.insert(id.as_u64().unwrap(), (token.clone(), kind));
    }
    let kind = |token: &Value| if token["special"] == true { 3 } else { 4 };
    let content = |token: &Value| token["content"].as_str().unwrap().to_owned();
    for token in tokenizer["added_tokens"].as_array().unwrap() {
        let id = token["id"].as_u64().unwrap();
        if tokens.get(&id).is_none_or(|(_, kind)| *kind != 2) {
            tokens.insert(id, (content(token), kind(token)));
        }
    }
    for (id, token) in later.as_object().into_iter().flatten() {
        tokens.insert(id.parse().unwrap(), (content(token), kind(token)));
    }
    assert!(tokens.keys().copied().eq(0..tokens.len() as u64));
    let (texts, kinds): (Vec<String>, Vec<i32>) = tokens.into_values().unzip();
    gguf.set("tokenizer.ggml.tokens", Entry::Texts(texts));
    gguf.set("tokenizer.ggml.token_type", Entry::I32s(kinds));
    let post_processor = &tokenizer["post_processor"];
    gguf.set(
        "tokenizer.ggml.add_bos_token",
        Entry::Bool(!post_processor.is_null()),
    );
}

/// The merges as lines, as GPT-2 wrote them.
fn merges(tokenizer: &Value) -> Vec<String> {
    let merges = tokenizer["model"]["merges"].as_array().unwrap().iter();
    let line = |merge: &Value| match merge {
        Value::String(line) => line.clone(),
        pair => format!(
            "{} {}",
            pair[0].as_str().unwrap(),
            pair[1].as_str().unwrap()
        ),
    };
    merges.map(line).collect()
}

fn byte_level(name: &str, files: &Path, pre: &str) -> Gguf {
    let tokenizer = json(files.join("tokenizer.json"));
    let config = json(files.join("tokenizer_config.json"));
    let mut gguf = model();
    add_tokenizer(&mut gguf, &tokenizer, &config["added_tokens_decoder"]);
    gguf.set("tokenizer.ggml.model", text("gpt2"));
    gguf.set("tokenizer.ggml.pre", text(pre));
    gguf.set("tokenizer.ggml.merges", Entry::Texts(merges(&tokenizer)));
    if name == "byte_level" {
        gguf.set("tokenizer.ggml.bos_token_id", Entry::U32(0));
    }
    gguf
}

/// The better a merge's rank, the better the score of what it makes.
fn sentence_piece(name: &str) -> Gguf {
    let tokenizer = json(golden(name).join("tokenizer.json"));
    let mut gguf = model();
    add_tokenizer(&mut gguf, &tokenizer, &Value::Null);
    let mut ranks = BTreeMap::new();
    for (rank, merge) in merges(&tokenizer).iter().enumerate() {
        ranks.entry(merge.replacen(' ', "", 1)).or_insert(rank);
    }
    let vocab = tokenizer["model"]["vocab"].as_object().unwrap();
    let mut scores = vec![-1e6; vocab.len()];
    for (token, id) in vocab {
        if let Some(&rank) = ranks.get(token) {
            scores[id.as_u64().unwrap() as usize] = -(rank as f32);
        }
    }
    gguf.set("tokenizer.ggml.model", text("llama"));
    gguf.set("tokenizer.ggml.scores", Entry::F32s(scores));
    gguf.set("tokenizer.ggml.bos_token_id", Entry::U32(1));
    gguf.set("tokenizer.ggml.unknown_token_id", Entry::U32(0));
    let prefix = Entry::Bool(name != "no_prefix");
    gguf.set("tokenizer.ggml.add_space_prefix", prefix);
    gguf
}

fn files(model: &Model) -> TokenizerFiles<'_> {
    let files = model.files();
    TokenizerFiles {
        tokenizer_config: files.tokenizer_config.as_deref(),
        generation_config: files.generation_config.as_deref(),
        ..TokenizerFiles::new(files.tokenizer.as_deref().unwrap())
    }
}

#[test]
fn tokens_are_those_of_the_tokenizer_json() {
    let pebble = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("embedded/pebble-20m");
    for (name, gguf) in [
        (
            "byte_level",
            byte_level("byte_level", &golden("byte_level"), "dbrx"),
        ),
        ("pebble", byte_level("pebble", &pebble, "stablelm2")),
        ("prepend", sentence_piece("prepend")),
        ("no_prefix", sentence_piece("no_prefix")),
    ] {
        let (_file, model) = written(&gguf);
        let tokenizer = Tokenizer::from_files(&files(&model)).unwrap();
        let golden = json(golden(name).join("golden.json"));
        let ids = |value: &Value| -> Vec<u32> { serde_json::from_value(value.clone()).unwrap() };
        for case in golden["texts"].as_array().unwrap() {
            let input = case["text"].as_str().unwrap();
            let got = tokenizer.encode(input, false).unwrap();
            assert_eq!(got, ids(&case["ids"]), "{name}: {input:?}");
            let with_special = tokenizer.encode(input, true).unwrap();
            assert_eq!(
                with_special,
                ids(&case["with_special"]),
                "{name}: {input:?}"
            );
            for (skip, want) in [true, false]
                .into_iter()
                .zip(case["decoded"].as_array().unwrap())
            {
                let decoded = tokenizer.decode(&got, skip).unwrap();
                assert_eq!(&decoded, want.as_str().unwrap(), "{name}: {input:?}");
            }
        }
        let special: Vec<u32> = tokenizer.special_ids().iter().copied().collect();
        assert_eq!(special, ids(&golden["special_ids"]), "{name}");
        assert_eq!(
            tokenizer.bos_id().map(u64::from),
            golden["bos_id"].as_u64(),
            "{name}"
        );
    }
}

#[test]
fn chat_templates_are_in_the_metadata() {
    let mut gguf = byte_level("byte_level", &golden("byte_level"), "dbrx");
    gguf.set("tokenizer.chat_template", text("plain"));
    let sources = |gguf: &Gguf| {
        let (_file, model) = written(gguf);
        let templates = ChatTemplates::from_files(&files(&model)).unwrap().unwrap();
        [false, true].map(|tools| templates.select(tools).unwrap().source().to_owned())
    };
    assert_eq!(sources(&gguf), ["plain", "plain"]);
    gguf.set("tokenizer.chat_template.tool_use", text("with tools"));
    assert_eq!(sources(&gguf), ["plain", "with tools"]);
}

#[test]
fn what_is_wrong_with_a_tokenizer_is_named() {
    let whole = || byte_level("byte_level", &golden("byte_level"), "dbrx");
    for (key, entry, want) in [
        (
            "tokenizer.ggml.pre",
            text("unheard-of"),
            "metadata `tokenizer.ggml.pre` = \"unheard-of\" is not supported; supported is default, \
             gpt-2,",
        ),
        (
            "tokenizer.ggml.model",
            text("t5"),
            "metadata `tokenizer.ggml.model` = \"t5\" is not supported; supported is gpt2 and llama",
        ),
        (
            "tokenizer.ggml.merges",
            Entry::Texts(vec!["ab".to_owned()]),
            "metadata `tokenizer.ggml.merges`: \"ab\" has no space between two tokens",
        ),
        (
            "tokenizer.ggml.token_type",
            Entry::I32s(vec![1; 7]),
            "metadata `tokenizer.ggml.token_type`: 7 types of 343 tokens",
        ),
        (
            "tokenizer.ggml.bos_token_id",
            Entry::U32(343),
            "metadata `tokenizer.ggml.bos_token_id`: there is no token 343 among 343",
        ),
        (
            "tokenizer.ggml.tokens",
            Entry::Texts(vec!["a".to_owned(); 4097]),
            "metadata `tokenizer.ggml.tokens`: 4097 tokens, but the embedding has 4096 rows",
        ),
    ] {
        let mut gguf = whole();
        gguf.set(key, entry);
        let message = refused(&gguf);
        assert!(message.starts_with(want), "{message}");
    }
    let mut gguf = whole();
    gguf.remove("tokenizer.ggml.merges");
    assert_eq!(
        refused(&gguf),
        "metadata `tokenizer.ggml.merges` is missing"
    );
}
