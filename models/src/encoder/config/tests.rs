use serde_json::json;

use super::*;

/// The configuration of BAAI/bge-small-en-v1.5, with `changes`; null takes a field away.
fn parse(changes: &Value) -> Result<EncoderConfig, String> {
    let mut config = json!({
        "architectures": ["BertModel"], "hidden_act": "gelu", "hidden_size": 384,
        "intermediate_size": 1536, "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
        "model_type": "bert", "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 0,
        "position_embedding_type": "absolute", "type_vocab_size": 2, "vocab_size": 30522
    });
    let fields = config.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        fields.insert(name.clone(), value.clone());
    }
    fields.retain(|_, value| !value.is_null());
    EncoderConfig::parse(config.to_string().as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_those_of_transformers() {
    let whole = parse(&json!({})).unwrap();
    assert_eq!((whole.family, whole.num_positions()), (Family::Bert, 512));
    let absent = json!({"layer_norm_eps": null, "pad_token_id": null, "type_vocab_size": null,
        "hidden_act": null, "position_embedding_type": null});
    assert_eq!(parse(&absent), Ok(whole));
}

#[test]
fn positions_of_roberta_begin_behind_the_padding() {
    let roberta = json!({"architectures": ["XLMRobertaModel"], "max_position_embeddings": 514,
        "pad_token_id": null});
    let roberta = parse(&roberta).unwrap();
    assert_eq!(
        (
            roberta.family,
            roberta.pad_token_id,
            roberta.num_positions()
        ),
        (Family::Roberta, 1, 512)
    );
}

#[test]
fn what_is_another_network_is_named() {
    for (changes, want) in [
        (
            json!({"architectures": ["JinaBertForMaskedLM"]}),
            "architecture JinaBertForMaskedLM is not supported; supported are BertModel",
        ),
        (
            json!({"architectures": ["XLMRobertaForSequenceClassification"]}),
            "XLMRobertaForSequenceClassification is not supported",
        ),
        (
            json!({"architectures": null}),
            "field `architectures` is missing",
        ),
        (json!({"hidden_act": "relu"}), "`hidden_act` = \"relu\""),
        (
            json!({"position_embedding_type": "relative_key"}),
            "`position_embedding_type` = \"relative_key\"",
        ),
        (json!({"is_decoder": true}), "`is_decoder` = true"),
        (
            json!({"quantization_config": {"quant_method": "awq"}}),
            "`quantization_config`",
        ),
        (json!({"vocab_size": null}), "field `vocab_size` is missing"),
        (
            json!({"num_hidden_layers": 0}),
            "num_hidden_layers: must be positive",
        ),
        (
            json!({"num_attention_heads": 7}),
            "hidden_size, num_attention_heads: 384 is not a multiple of 7",
        ),
        (
            json!({"pad_token_id": 30_522}),
            "pad_token_id, vocab_size: token 30522 of 30522",
        ),
        (
            json!({"architectures": ["RobertaModel"], "max_position_embeddings": 1}),
            "1 leave none behind that of padding",
        ),
        (
            json!({"layer_norm_eps": -1.0}),
            "layer_norm_eps: -1 is not usable",
        ),
    ] {
        let error = parse(&changes).unwrap_err();
        assert!(error.contains(want), "{changes}: {error}");
    }
    let error = EncoderConfig::parse(b"[]").unwrap_err().to_string();
    assert!(
        error.starts_with("config.json is not a JSON object"),
        "{error}"
    );
}
