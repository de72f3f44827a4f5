//! Everything that can be wrong with an embedding model, or with a text for it, is an error that
//! names it.

use models::{EmbedError, Encoder, ModelSource};
use safetensors::SafeTensors;

use super::source;
use crate::checkpoints::{Folder, error};

const WEIGHTS: &str = "model.safetensors";

fn encoder_error(folder: &Folder) -> String {
    match Encoder::open(&ModelSource::Folder(folder.root().to_owned())) {
        Ok(_) => panic!("{} was opened", folder.root().display()),
        Err(error) => error.to_string(),
    }
}

fn bert() -> Folder {
    Folder::of("embedders/bert")
}

#[test]
fn texts_that_cannot_be_embedded_are_typed_errors() {
    let encoder = Encoder::open(&source("bert")).unwrap();
    assert_eq!(encoder.embed(&[]), Err(EmbedError::Empty));
    let (tokens, window) = (49, 48);
    let too_long = EmbedError::TooLong { tokens, window };
    assert_eq!(encoder.embed(&[5; 49]), Err(too_long));
    let vocab_size = encoder.vocab_size();
    assert!(encoder.embed(&[2, vocab_size as u32 - 1, 3]).is_ok());
    for id in [vocab_size as u32, u32::MAX] {
        let unknown = EmbedError::Token {
            index: 1,
            id,
            vocab_size,
        };
        assert_eq!(encoder.embed(&[2, id, 3]), Err(unknown));
    }
}

#[test]
fn weights_that_are_no_numbers_give_no_vector() {
    let folder = bert();
    folder.edit(WEIGHTS, |bytes| {
        let (header, metadata) = SafeTensors::read_metadata(bytes).unwrap();
        let norm = metadata.info("embeddings.LayerNorm.weight").unwrap();
        let start = 8 + header + norm.data_offsets.0;
        bytes[start..start + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    let encoder = Encoder::open(&ModelSource::Folder(folder.root().to_owned())).unwrap();
    assert_eq!(encoder.embed(&[2, 7, 3]), Err(EmbedError::NotFinite));
}

#[test]
fn wrong_tensors_are_named_as_the_file_names_them() {
    let name = "encoder.layer.1.output.dense.bias";
    let folder = bert();
    folder.replace(WEIGHTS, name, "encoder.layer.1.output.sense.bias");
    let want = format!("tensor {name} is missing (looked in {WEIGHTS})");
    assert_eq!(encoder_error(&folder), want);

    let folder = Folder::of("embedders/bert-for-masks");
    let name = format!("bert.{name}");
    folder.replace(WEIGHTS, &name, "bert.encoder.layer.1.output.sense.bias");
    let want = format!("tensor {name} is missing (looked in {WEIGHTS})");
    assert_eq!(encoder_error(&folder), want);

    let folder = bert();
    let size = "\"intermediate_size\": ";
    folder.replace("config.json", &format!("{size}48"), &format!("{size}44"));
    let error = encoder_error(&folder);
    assert!(error.contains("has shape [48, 32], but"), "{error}");

    let folder = bert();
    folder.replace(WEIGHTS, "\"dtype\":\"F32\"", "\"dtype\":\"I32\"");
    let error = encoder_error(&folder);
    assert!(error.contains("is I32; supported are F32"), "{error}");

    let folder = bert();
    folder.replace(WEIGHTS, "pooler.dense.bias", "cooler.dense.bias");
    let encoder = Encoder::open(&ModelSource::Folder(folder.root().to_owned())).unwrap();
    assert_eq!(encoder.unread_tensors(), ["cooler.dense.bias"]);
}

#[test]
fn weights_in_a_pickle_are_refused() {
    let folder = bert();
    std::fs::rename(folder.path(WEIGHTS), folder.path("pytorch_model.bin")).unwrap();
    let refused = encoder_error(&folder);
    assert!(
        refused.contains("pytorch_model.bin are not read"),
        "{refused}"
    );
    let decoder = Folder::of("embedders/qwen3");
    std::fs::rename(decoder.path(WEIGHTS), decoder.path("pytorch_model.bin")).unwrap();
    let refused = error(decoder.root());
    assert!(
        refused.contains("save the model as model.safetensors"),
        "{refused}"
    );
    std::fs::remove_file(folder.path("pytorch_model.bin")).unwrap();
    let none = encoder_error(&folder);
    assert!(none.contains("neither model.safetensors nor"), "{none}");
}

#[test]
fn what_sentence_transformers_would_do_otherwise_is_refused() {
    let pooling = "1_Pooling/config.json";
    let folder = bert();
    folder.replace(
        pooling,
        "mean_tokens\": true,\n  \"pooling_mode_max_tokens\": false",
        "mean_tokens\": false,\n  \"pooling_mode_max_tokens\": true",
    );
    let want = "1_Pooling/config.json: `pooling_mode_max_tokens` = true is not supported; supported \
                is one of cls, mean, lasttoken";
    assert_eq!(encoder_error(&folder), want);
    folder.edit(pooling, |bytes| *bytes = b"[]".to_vec());
    let error = encoder_error(&folder);
    assert!(
        error.starts_with("1_Pooling/config.json is not a JSON object"),
        "{error}"
    );

    let folder = bert();
    folder.replace("modules.json", "models.Normalize", "models.Dense");
    let error = encoder_error(&folder);
    assert!(error.starts_with("modules.json: `type` = "), "{error}");
    assert!(error.contains("models.Dense"), "{error}");

    let folder = bert();
    let length = "\"max_seq_length\": ";
    let file = "sentence_bert_config.json";
    folder.replace(file, &format!("{length}48"), &format!("{length}0"));
    let error = encoder_error(&folder);
    assert!(
        error.contains("max_seq_length: it leaves room for no token"),
        "{error}"
    );
    folder.replace(file, &format!("{length}0"), &format!("{length}\"a\""));
    let error = encoder_error(&folder);
    assert!(
        error.contains("`max_seq_length` must be a whole number"),
        "{error}"
    );
}

#[test]
fn other_models_are_no_encoders() {
    let no_encoder = |source: &ModelSource| match Encoder::open(source) {
        Ok(_) => panic!("{source:?} was opened"),
        Err(error) => error.to_string(),
    };
    let decoder = no_encoder(&source("qwen3"));
    assert!(
        decoder.contains("architecture Qwen3Model is not supported"),
        "{decoder}"
    );
    let embedded = no_encoder(&ModelSource::Embedded);
    assert!(embedded.contains("are read from safetensors"), "{embedded}");
    let gguf = no_encoder(&ModelSource::Gguf("a.gguf".into()));
    assert!(gguf.starts_with("a.gguf: "), "{gguf}");
    let nowhere = no_encoder(&ModelSource::Folder("/no/such/folder".into()));
    assert_eq!(nowhere, "/no/such/folder: no such folder");
    // And no encoder is a decoder.
    let encoder = error(bert().root());
    assert!(
        encoder.contains("architecture BertModel is not supported"),
        "{encoder}"
    );
}

#[test]
fn a_decoder_that_pools_otherwise_or_lacks_what_it_needs_is_refused() {
    let folder = Folder::of("embedders/qwen3");
    // Saved by others under the name of the class with a head, without one.
    folder.replace("config.json", "Qwen3Model", "Qwen3ForCausalLM");
    assert!(models::open(&ModelSource::Folder(folder.root().to_owned())).is_ok());
    let tied = "\"tie_word_embeddings\": ";
    folder.replace(
        "config.json",
        &format!("{tied}true"),
        &format!("{tied}false"),
    );
    let headless = error(folder.root());
    assert!(
        headless.starts_with("tensor lm_head.weight is missing"),
        "{headless}"
    );

    let folder = Folder::of("embedders/qwen3");
    folder.replace("config.json", "{", "{\"is_causal\": false,");
    let sees_all = error(folder.root());
    assert!(sees_all.contains("`is_causal` = false"), "{sees_all}");

    let folder = Folder::of("embedders/qwen3");
    folder.replace(
        "1_Pooling/config.json",
        "lasttoken\": true",
        "lasttoken\": false",
    );
    folder.replace(
        "1_Pooling/config.json",
        "mean_tokens\": false",
        "mean_tokens\": true",
    );
    let mean = error(folder.root());
    assert!(mean.contains("`pooling_mode_mean_tokens` = true"), "{mean}");
    assert!(mean.ends_with("lasttoken, with a decoder"), "{mean}");
}
