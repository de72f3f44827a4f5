//! What a GGUF file says about its model, and where it may lie.

use models::{ModelSource, open};

use super::blocks::Kind;
use super::convert::convert;
use super::writer::{Entry, Gguf};
use super::{folder_of, opened, plain_logits, refused, written};

fn llama() -> Gguf {
    let (_copy, folder) = folder_of("llama-mqa-biases");
    convert(&folder, Kind::F32)
}

fn text(text: &str) -> Entry {
    Entry::Text(text.to_owned())
}

#[test]
fn missing_and_wrong_metadata_are_named() {
    for (key, want) in [
        (
            "general.architecture",
            "metadata `general.architecture` is missing",
        ),
        (
            "llama.embedding_length",
            "metadata `llama.embedding_length` is missing",
        ),
        (
            "llama.attention.layer_norm_rms_epsilon",
            "metadata `llama.attention.layer_norm_rms_epsilon` is missing",
        ),
    ] {
        let mut gguf = llama();
        gguf.remove(key);
        assert_eq!(refused(&gguf), want);
    }
    for (key, entry, want) in [
        (
            "general.architecture",
            text("mamba2"),
            "metadata `general.architecture` = \"mamba2\" is not supported; supported is \
             gemma2, gemma3, granite, llama, olmo2, phi3, qwen2, qwen3, qwen3moe, smollm3",
        ),
        (
            "llama.embedding_length",
            text("many"),
            "metadata `llama.embedding_length` must be a whole number, but is \"many\"",
        ),
        (
            "llama.expert_count",
            Entry::U32(8),
            "metadata `llama.expert_used_count` is missing",
        ),
        (
            "llama.rope.scaling.type",
            text("longrope"),
            "metadata `llama.rope.scaling.type` = \"longrope\" is not supported; supported is none, \
             linear, yarn",
        ),
        (
            "llama.rope.dimension_count",
            Entry::U32(4),
            "metadata `llama.rope.dimension_count` = 4 is not supported; supported is 8, the size \
             of a head",
        ),
        (
            "llama.attention.head_count_kv",
            Entry::U32(3),
            "its metadata, as a config.json: config.json: num_attention_heads, \
             num_key_value_heads: 4 is not a multiple of 3",
        ),
        (
            "split.count",
            Entry::U32(2),
            "metadata `split.count`: 2 parts, but the file's name is not that of one of them",
        ),
    ] {
        let mut gguf = llama();
        gguf.set(key, entry);
        assert_eq!(refused(&gguf), want);
    }
}

#[test]
fn what_nobody_reads_is_reported() {
    let mut gguf = llama();
    gguf.set("llama.some_new_switch", Entry::Bool(true));
    gguf.set("general.name", text("a name"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    gguf.write(&path);
    let model = open(&ModelSource::Gguf(path)).unwrap();
    assert_eq!(model.unread_metadata(), ["llama.some_new_switch"]);
}

#[test]
fn ends_of_answers_are_those_that_llama_cpp_knows() {
    let mut gguf = llama();
    let mut tokens: Vec<String> = (0..160).map(|id| format!("t{id}")).collect();
    tokens[7] = "<|im_end|>".to_owned();
    gguf.set("tokenizer.ggml.tokens", Entry::Texts(tokens));
    gguf.set("tokenizer.ggml.eot_token_id", Entry::U32(9));
    let (_file, model) = written(&gguf);
    assert_eq!(model.config().eos_token_ids, [2, 7, 9]);
}

#[test]
fn parts_are_one_model() {
    let whole = llama();
    let want = plain_logits(written(&whole).1, &[5, 6, 7, 8]);
    let folder = tempfile::tempdir().unwrap();
    let path = |number: usize| folder.path().join(format!("m-{number:05}-of-00003.gguf"));
    let per_part = whole.tensors.len().div_ceil(3);
    for (index, tensors) in whole.tensors.chunks(per_part).enumerate() {
        let mut part = Gguf {
            tensors: tensors.to_vec(),
            ..Gguf::default()
        };
        if index == 0 {
            part.entries = whole.entries.clone();
        }
        part.set("split.no", Entry::U32(index as u32));
        part.set("split.count", Entry::U32(3));
        part.write(&path(index + 1));
    }
    for source in [
        ModelSource::Gguf(path(1)),
        // Named by one of the others, and by the folder.
        ModelSource::Gguf(path(2)),
        ModelSource::Folder(folder.path().to_owned()),
    ] {
        let model = open(&source).unwrap();
        assert!(plain_logits(model, &[5, 6, 7, 8]) == want);
    }
    std::fs::remove_file(path(3)).unwrap();
    let message = open(&ModelSource::Gguf(path(1))).err().unwrap().to_string();
    assert!(
        message.contains("m-00003-of-00003.gguf: No such file"),
        "{message}"
    );
}

#[test]
fn a_folder_has_one_model() {
    let folder = tempfile::tempdir().unwrap();
    llama().write(&folder.path().join("a.gguf"));
    let source = ModelSource::Folder(folder.path().to_owned());
    assert_eq!(open(&source).unwrap().config().vocab_size, 160);
    llama().write(&folder.path().join("b.gguf"));
    let message = open(&source).err().unwrap().to_string();
    assert!(
        message.ends_with("several GGUF files; name one of a.gguf, b.gguf"),
        "{message}"
    );
}

#[test]
fn files_beside_the_weights_win() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let mut gguf = llama();
    gguf.set("tokenizer.chat_template", text("from the metadata"));
    gguf.write(&path);
    let files = |path| opened(path).files().clone();
    assert!(files(&path).tokenizer.is_none());
    std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    let with_tokenizer = files(&path);
    assert_eq!(with_tokenizer.tokenizer.as_deref(), Some(b"{}".as_slice()));
    let template = with_tokenizer.chat_template.unwrap();
    assert_eq!(&*template, b"from the metadata");
    std::fs::write(folder.path().join("chat_template.jinja"), "beside").unwrap();
    assert_eq!(
        files(&path).chat_template.as_deref(),
        Some(b"beside".as_slice())
    );
}

#[test]
fn a_name_may_be_a_file_or_a_quantisation_of_a_repository() {
    let named = |name| ModelSource::named(name, models::HubOptions::default());
    for file in ["model.gguf", "a/b.GGUF", "/models/b.gguf"] {
        assert!(matches!(named(file), ModelSource::Gguf(_)), "{file}");
    }
    let ModelSource::Hub(request) = named("org/name-GGUF:Q4_K_M") else {
        panic!("it is a repository")
    };
    assert_eq!(request.repo, "org/name-GGUF");
    assert_eq!(request.gguf.as_deref(), Some("Q4_K_M"));
}
