//! Configurations, and everything that can be wrong with one.

mod families;

use kernels::KvDtype;
use serde_json::{Value, json};

use super::{LayerConfig, ModelConfig, NormPlacement, QkNorm, RopeScaling};

/// A Llama, changed by `changes`; a null removes the field.
fn config(changes: Value) -> Value {
    let mut config = json!({
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": 100,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 256,
        "eos_token_id": 2,
    });
    let fields = config.as_object_mut().unwrap();
    let Value::Object(changes) = changes else {
        panic!("{changes} is not an object")
    };
    for (name, value) in changes {
        fields.remove(&name);
        if !value.is_null() {
            fields.insert(name, value);
        }
    }
    config
}

fn parse(changes: Value) -> Result<ModelConfig, String> {
    let config = config(changes).to_string();
    ModelConfig::parse(config.as_bytes(), None).map_err(|error| error.to_string())
}

fn parsed(changes: Value) -> ModelConfig {
    parse(changes).unwrap()
}

fn refused(changes: Value) -> String {
    parse(changes).unwrap_err()
}

fn layers(config: &ModelConfig) -> Vec<(bool, Option<usize>)> {
    config
        .layers
        .iter()
        .map(|layer| (layer.rope, layer.sliding_window))
        .collect()
}

#[test]
fn a_llama_needs_little() {
    let llama = parsed(json!({"num_key_value_heads": null}));
    assert_eq!(
        (llama.family, llama.num_kv_heads, llama.head_dim),
        ("llama", 4, 8)
    );
    assert_eq!(
        (llama.rope.theta, &llama.rope.scaling),
        (10_000.0, &RopeScaling::None)
    );
    assert!(!llama.tie_word_embeddings && !llama.qkv_bias && !llama.o_bias);
    assert_eq!(llama.qk_norm, QkNorm::None);
    assert_eq!(llama.norms.placement, NormPlacement::Before);
    assert_eq!(
        llama.layers,
        [LayerConfig {
            rope: true,
            sliding_window: None,
            experts: false,
        }; 4]
    );
    // Four layers of K and V, four heads of eight.
    assert_eq!(llama.kv_bytes_per_token(KvDtype::F32), 4 * 2 * 4 * 8 * 4);
    let biased = parsed(json!({"attention_bias": true, "mlp_bias": true, "head_dim": 6}));
    assert!(biased.qkv_bias && biased.o_bias && biased.mlp_bias);
    assert_eq!(biased.head_dim, 6);
}

#[test]
fn the_architecture_decides_and_the_model_type_stands_in() {
    assert_eq!(
        parsed(json!({"architectures": null, "model_type": "llama"})).family,
        "llama"
    );
    let want = "architecture GPT2LMHeadModel is not supported; supported are Gemma2ForCausalLM, \
                Gemma3ForCausalLM, Gemma3ForConditionalGeneration, GptOssForCausalLM, \
                GraniteForCausalLM, LlamaForCausalLM, MistralForCausalLM, MixtralForCausalLM, \
                Olmo2ForCausalLM, Phi3ForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, \
                Qwen3MoeForCausalLM, SmolLM3ForCausalLM, Starcoder2ForCausalLM";
    assert_eq!(refused(json!({"architectures": ["GPT2LMHeadModel"]})), want);
    assert_eq!(
        refused(json!({"architectures": ["GPT2LMHeadModel"], "model_type": "llama"})),
        want
    );
    assert!(refused(json!({"architectures": null, "model_type": "mamba"})).contains("mamba"));
    assert_eq!(
        refused(json!({"architectures": null})),
        "config.json: field `architectures` is missing"
    );
    // A classifier of a family that is supported is not.
    assert!(parse(json!({"architectures": ["LlamaForSequenceClassification"]})).is_err());
}

#[test]
fn every_missing_field_is_named() {
    for field in [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "rms_norm_eps",
        "max_position_embeddings",
    ] {
        let want = format!("config.json: field `{field}` is missing");
        assert_eq!(refused(json!({ field: null })), want);
    }
    for architecture in [
        "MistralForCausalLM",
        "Qwen2ForCausalLM",
        "SmolLM3ForCausalLM",
    ] {
        let error = refused(json!({"architectures": [architecture], "num_key_value_heads": null}));
        assert_eq!(error, "config.json: field `num_key_value_heads` is missing");
    }
    let qwen3 = refused(json!({"architectures": ["Qwen3ForCausalLM"]}));
    assert_eq!(qwen3, "config.json: field `head_dim` is missing");
    let mistral = refused(json!({"architectures": ["MistralForCausalLM"]}));
    assert_eq!(mistral, "config.json: field `sliding_window` is missing");
    let windows = json!({"architectures": ["Qwen2ForCausalLM"], "use_sliding_window": true});
    assert_eq!(
        refused(windows),
        "config.json: field `max_window_layers` is missing"
    );
    assert_eq!(
        refused(json!({"hidden_size": 30})),
        "config.json: field `head_dim` is missing"
    );
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    let error = refused(json!({"vocab_size": "many"}));
    let want = "config.json: field `vocab_size` must be a whole number, but is \"many\"";
    assert_eq!(error, want);
    assert!(refused(json!({"hidden_size": -1})).contains("`hidden_size` must be a whole number"));
    assert!(refused(json!({"tie_word_embeddings": 1})).contains("`tie_word_embeddings`"));
    assert!(refused(json!({"rope_scaling": 3})).contains("`rope_scaling` must be an object"));
    let error = refused(json!({"rope_scaling": {"type": "linear", "factor": "x"}}));
    assert!(
        error.contains("`rope_scaling.factor` must be a number"),
        "{error}"
    );
    assert!(refused(json!({"eos_token_id": [2, "x"]})).contains("`eos_token_id`"));
    let error = ModelConfig::parse(b"[1]", None).unwrap_err().to_string();
    assert!(
        error.starts_with("config.json is not a JSON object"),
        "{error}"
    );
}

#[test]
fn contradictions_are_named() {
    let cases = [
        (
            json!({"num_key_value_heads": 3}),
            "num_attention_heads, num_key_value_heads",
        ),
        (
            json!({"num_key_value_heads": 0}),
            "num_key_value_heads: must be positive",
        ),
        (
            json!({"num_hidden_layers": 0}),
            "num_hidden_layers: must be positive",
        ),
        (json!({"head_dim": 7}), "head_dim, partial_rotary_factor"),
        (json!({"rope_theta": 0.5}), "rope_theta"),
        (json!({"rms_norm_eps": -1.0}), "rms_norm_eps"),
        (json!({"eos_token_id": 100}), "eos_token_id, vocab_size"),
        (
            json!({"partial_rotary_factor": 2.0}),
            "partial_rotary_factor",
        ),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 0.0}}),
            "factor",
        ),
        (
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0,
                "high_freq_factor": 1.0, "original_max_position_embeddings": 64}}),
            "low_freq_factor, high_freq_factor",
        ),
        (
            json!({"architectures": ["MistralForCausalLM"], "sliding_window": 0}),
            "sliding_window",
        ),
        (
            json!({"architectures": ["Qwen2ForCausalLM"], "layer_types": ["sliding_attention"]}),
            "layer_types, use_sliding_window",
        ),
        (
            json!({"architectures": ["Qwen2ForCausalLM"], "layer_types": ["full_attention"],
                "use_sliding_window": true, "sliding_window": 8}),
            "layer_types, num_hidden_layers: 1 types of 4 layers",
        ),
        (
            json!({"architectures": ["SmolLM3ForCausalLM"], "no_rope_layers": [1, 0]}),
            "no_rope_layers, num_hidden_layers",
        ),
        (
            json!({"architectures": ["SmolLM3ForCausalLM"], "no_rope_layer_interval": 0}),
            "no_rope_layer_interval",
        ),
        (
            json!({"rope_scaling": {"type": "longrope", "short_factor": [1, 1, 1, 1],
                "long_factor": [2, 2, 2]}, "original_max_position_embeddings": 64}),
            "long_factor: 3 divisors of 4 pairs",
        ),
        (
            json!({"rope_scaling": {"type": "su", "short_factor": [1, 0, 1, 1],
                "long_factor": [2, 2, 2, 2]}, "original_max_position_embeddings": 64}),
            "short_factor: 0 is unusable",
        ),
        (
            json!({"architectures": ["GraniteForCausalLM"], "residual_multiplier": 0.0}),
            "residual_multiplier",
        ),
        (
            json!({"architectures": ["GraniteForCausalLM"], "logits_scaling": 0.0}),
            "logits_scaling",
        ),
        (
            json!({"architectures": ["GraniteForCausalLM"], "attention_multiplier": -1.0}),
            "attention_multiplier, query_pre_attn_scalar",
        ),
        (
            json!({"architectures": ["MixtralForCausalLM"], "num_local_experts": 4,
                "num_experts_per_tok": 5}),
            "num_experts_per_tok, num_experts: 5 of 4 experts",
        ),
        (
            json!({"architectures": ["Qwen3MoeForCausalLM"], "num_experts": 4,
                "num_local_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 8}),
            "num_experts, num_local_experts: 4 or 8 experts",
        ),
        (
            json!({"architectures": ["Qwen3MoeForCausalLM"], "num_experts": 4,
                "num_experts_per_tok": 2, "moe_intermediate_size": 8, "mlp_only_layers": [4]}),
            "mlp_only_layers, num_hidden_layers: there is no layer 4",
        ),
        (
            json!({"architectures": ["Gemma2ForCausalLM"], "sliding_window": 8,
                "final_logit_softcapping": 0.0}),
            "final_logit_softcapping",
        ),
    ];
    for (changes, want) in cases {
        let error = refused(changes.clone());
        assert!(error.contains(want), "{changes}: {error}");
    }
}

#[test]
fn what_exists_elsewhere_is_refused_by_name() {
    let cases = [
        (
            json!({"hidden_act": "gelu"}),
            "`hidden_act` = \"gelu\" is not supported",
        ),
        (
            json!({"quantization_config": {"bits": 4}}),
            "`quantization_config`",
        ),
        (
            json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}}),
            "`rope_scaling.type` = \"dynamic\" is not supported; supported is default, linear",
        ),
        (
            json!({"rope_parameters": {"rope_type": "proportional"}}),
            "`rope_parameters.rope_type` = \"proportional\"",
        ),
        (
            json!({"rope_parameters": {"full_attention": {}, "sliding_attention": {}}}),
            "`rope_parameters`",
        ),
        (
            json!({"architectures": ["Gemma2ForCausalLM"], "sliding_window": 8,
                "hidden_activation": "gelu"}),
            "`hidden_activation` = \"gelu\" is not supported; supported is gelu_pytorch_tanh",
        ),
        (
            json!({"architectures": ["Gemma3ForCausalLM"], "sliding_window": 8,
                "use_bidirectional_attention": true}),
            "`use_bidirectional_attention` = true",
        ),
        (
            json!({"architectures": ["Qwen3MoeForCausalLM"], "num_experts": 4,
                "num_experts_per_tok": 2, "moe_intermediate_size": 8,
                "use_sliding_window": true}),
            "`use_sliding_window` = true is not supported; supported is false",
        ),
        (
            json!({"architectures": ["Phi3ForCausalLM"], "layer_types": ["full_attention"]}),
            "`layer_types`",
        ),
        (
            json!({"architectures": ["Qwen3ForCausalLM"], "head_dim": 8, "sliding_window": 4,
                "use_sliding_window": true,
                "layer_types": ["chunked", "full_attention", "full_attention", "full_attention"]}),
            "`layer_types`",
        ),
    ];
    for (changes, want) in cases {
        let error = refused(changes.clone());
        assert!(error.contains(want), "{changes}: {error}");
    }
}

#[test]
fn rope_is_the_same_in_both_forms() {
    let old = parsed(json!({
        "rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4.0},
    }));
    let recent = parsed(json!({
        "rope_parameters": {"rope_theta": 5e5, "rope_type": "linear", "factor": 4.0},
    }));
    assert_eq!(old, recent);
    assert_eq!(old.rope.scaling, RopeScaling::Linear { factor: 4.0 });
}

#[test]
fn yarn_has_the_defaults_of_transformers() {
    let yarn = |extra: Value| {
        let mut scaling = json!({"rope_type": "yarn", "factor": 4.0});
        scaling
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        parsed(json!({ "rope_parameters": scaling })).rope.scaling
    };
    let want = RopeScaling::Yarn {
        factor: 4.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        original_max_position_embeddings: 256,
        attention_factor: 0.1 * 4f64.ln() + 1.0,
        truncate: true,
    };
    assert_eq!(yarn(json!({})), want);
    let attention_factor = |extra| match yarn(extra) {
        RopeScaling::Yarn {
            attention_factor, ..
        } => attention_factor,
        other => panic!("{other:?}"),
    };
    assert_eq!(attention_factor(json!({"attention_factor": 0.5})), 0.5);
    assert_eq!(attention_factor(json!({"factor": 0.5})), 1.0);
    let both = attention_factor(json!({"mscale": 1.0, "mscale_all_dim": 1.0}));
    assert_eq!(both, 1.0);
    let zero = attention_factor(json!({"mscale": 1.0, "mscale_all_dim": 0.0}));
    assert_eq!(zero, 0.1 * 4f64.ln() + 1.0);
}

#[test]
fn ends_of_sequences_come_from_both_files() {
    let text = config(json!({"eos_token_id": 7})).to_string();
    let generation = br#"{"eos_token_id": [9, 7, 3]}"#;
    let parsed = ModelConfig::parse(text.as_bytes(), Some(generation)).unwrap();
    assert_eq!(parsed.eos_token_ids, [3, 7, 9]);
    let bad = ModelConfig::parse(text.as_bytes(), Some(br#"{"eos_token_id": "x"}"#));
    let error = bad.unwrap_err().to_string();
    assert!(
        error.starts_with("generation_config.json: field `eos_token_id`"),
        "{error}"
    );
}
