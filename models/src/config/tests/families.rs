//! What families do differently from each other.

use serde_json::{Value, json};

use super::{config, layers, parsed};
use crate::ModelConfig;
use crate::config::{NormPlacement, RopeScaling};

#[test]
fn layers_differ_as_their_family_says() {
    let window = |window: Value| {
        let mistral = json!({"architectures": ["MistralForCausalLM"], "sliding_window": window});
        let text = config(mistral);
        let mut text = text.as_object().unwrap().clone();
        text.insert("sliding_window".into(), window);
        let text = Value::Object(text).to_string();
        layers(&ModelConfig::parse(text.as_bytes(), None).unwrap())
    };
    assert_eq!(window(json!(64)), [(true, Some(64)); 4]);
    assert_eq!(window(Value::Null), [(true, None); 4]);

    let qwen = |changes: Value| {
        let mut all = json!({"architectures": ["Qwen2ForCausalLM"], "sliding_window": 9});
        all.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        layers(&parsed(all))
    };
    assert_eq!(
        qwen(json!({"use_sliding_window": false, "max_window_layers": 1})),
        [(true, None); 4]
    );
    let upper = qwen(json!({"use_sliding_window": true, "max_window_layers": 3}));
    assert_eq!(
        upper,
        [(true, None), (true, None), (true, None), (true, Some(9))]
    );
    let types = [
        "full_attention",
        "sliding_attention",
        "full_attention",
        "sliding_attention",
    ];
    let listed = qwen(json!({"use_sliding_window": true, "layer_types": types}));
    assert_eq!(
        listed,
        [(true, None), (true, Some(9)), (true, None), (true, Some(9))]
    );
}

#[test]
fn some_layers_of_smollm3_do_not_rotate() {
    let smol = |changes: Value| {
        let mut all = json!({"architectures": ["SmolLM3ForCausalLM"]});
        all.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        parsed(all)
    };
    let plain = smol(json!({}));
    assert_eq!(
        layers(&plain),
        [(true, None), (true, None), (true, None), (false, None)]
    );
    assert_eq!(
        (plain.rope.theta, plain.tie_word_embeddings),
        (2_000_000.0, true)
    );
    // More entries than layers are allowed, as transformers does.
    let listed = smol(
        json!({"no_rope_layers": [0, 1, 1, 0, 1], "use_sliding_window": true,
        "sliding_window": 5}),
    );
    assert_eq!(
        layers(&listed),
        [
            (false, Some(5)),
            (true, None),
            (true, None),
            (false, Some(5))
        ]
    );
}

#[test]
fn some_layers_of_qwen3_have_experts() {
    let experts = |changes: Value| {
        let mut all = json!({"architectures": ["Qwen3MoeForCausalLM"], "num_experts": 8,
            "num_experts_per_tok": 2, "moe_intermediate_size": 16});
        all.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        let config = parsed(all);
        assert!(!config.experts.unwrap().norm_topk_prob);
        let layers = config.layers.iter();
        layers.map(|layer| layer.experts).collect::<Vec<bool>>()
    };
    assert_eq!(experts(json!({})), [true; 4]);
    let second = json!({"decoder_sparse_step": 2});
    assert_eq!(experts(second), [false, true, false, true]);
    let but_the_last = json!({"decoder_sparse_step": 2, "mlp_only_layers": [3]});
    assert_eq!(experts(but_the_last), [false, true, false, false]);
}

#[test]
fn gemma_has_the_defaults_of_transformers() {
    let gemma = |name: &str, changes: Value| {
        let mut all = json!({"architectures": [name], "sliding_window": 9,
            "num_hidden_layers": 7});
        all.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        parsed(all)
    };
    let second = gemma("Gemma2ForCausalLM", json!({}));
    let (full, sliding) = ((true, None), (true, Some(9)));
    assert_eq!(
        layers(&second),
        [sliding, full, sliding, full, sliding, full, sliding]
    );
    let caps = |config: &ModelConfig| (config.attention_soft_cap, config.logits_soft_cap);
    assert_eq!(caps(&second), (Some(50.0), Some(30.0)));
    assert_eq!(
        (
            second.head_dim,
            second.tie_word_embeddings,
            second.norms.placement
        ),
        (256, true, NormPlacement::Around)
    );
    assert_eq!(second.attention_scale, 1.0 / 16.0);
    assert_eq!(second.multipliers.embedding, 32f32.sqrt());
    // A null is no cap, other than an absent field.
    let text = r#"{"architectures": ["Gemma2ForCausalLM"], "vocab_size": 100, "hidden_size": 32,
        "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "max_position_embeddings": 64,
        "sliding_window": 8, "attn_logit_softcapping": null}"#;
    let uncapped = ModelConfig::parse(text.as_bytes(), None).unwrap();
    assert_eq!(caps(&uncapped), (None, Some(30.0)));

    let third = gemma("Gemma3ForCausalLM", json!({}));
    assert_eq!(
        layers(&third),
        [sliding, sliding, sliding, sliding, sliding, full, sliding]
    );
    assert_eq!(caps(&third), (None, None));
    let thetas = |config: &ModelConfig| {
        let sliding = config.sliding_rope.as_ref().unwrap();
        assert_eq!(sliding.scaling, RopeScaling::None);
        (config.rope.theta, sliding.theta)
    };
    assert_eq!(thetas(&third), (1e6, 1e4));
    let old = json!({"rope_theta": 5e5, "rope_local_base_freq": 2e4});
    assert_eq!(thetas(&gemma("Gemma3ForCausalLM", old)), (5e5, 2e4));
}

#[test]
fn of_a_gemma_that_sees_the_text_is_read() {
    // As the file of the model with 4 billion weights is written.
    let text = r#"{"architectures": ["Gemma3ForConditionalGeneration"], "eos_token_id": [1, 106],
        "text_config": {"hidden_size": 2560, "intermediate_size": 10240,
            "model_type": "gemma3_text", "num_hidden_layers": 34,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024},
        "vision_config": {"hidden_size": 1152}}"#;
    let config = ModelConfig::parse(text.as_bytes(), None).unwrap();
    assert_eq!(
        (
            config.num_q_heads,
            config.num_kv_heads,
            config.head_dim,
            config.vocab_size
        ),
        (8, 4, 256, 262_208)
    );
    assert_eq!(config.rope.scaling, RopeScaling::Linear { factor: 8.0 });
    assert_eq!(config.eos_token_ids, [1, 106]);
    assert_eq!(layers(&config)[4..6], [(true, Some(1024)), (true, None)]);
    let wrong = text.replace("\"sliding_window\": 1024", "\"sliding_window\": \"x\"");
    let error = ModelConfig::parse(wrong.as_bytes(), None).unwrap_err();
    let want = "`text_config.sliding_window` must be a whole number";
    assert!(error.to_string().contains(want), "{error}");
}
