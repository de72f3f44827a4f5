"""Tiny models of every family, and of every way in which a configuration can differ."""

from transformers import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config, SmolLM3Config

# Large weights, so that attention is far from uniform and greedy tokens are far from ties.
TINY = {
    "vocab_size": 160,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "rms_norm_eps": 1e-5,
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": None,
    "tie_word_embeddings": False,
}


def rope(theta=10000.0, **scaling):
    """`rope_parameters` of transformers 5."""
    return {"rope_theta": theta, **(scaling or {"rope_type": "default"})}


LLAMA3 = rope(500000.0, rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=48)
LINEAR = rope(rope_type="linear", factor=3.0)
YARN = rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
YARN_MSCALE = rope(50000.0, rope_type="yarn", factor=8.0, original_max_position_embeddings=24,
                   beta_fast=16.0, beta_slow=2.0, mscale=0.8, mscale_all_dim=0.4, truncate=False)


def tiny(config_class, **changes):
    """A configuration that differs from TINY in `changes`."""
    return config_class(**{**TINY, **changes})


# Name: (configuration, arguments of save_pretrained, dtype of the checkpoint).
VARIANTS = {
    "llama2-mha": (tiny(LlamaConfig, num_key_value_heads=4), {}, "float32"),
    "llama3-gqa": (tiny(LlamaConfig, rope_parameters=LLAMA3, head_dim=16), {}, "float32"),
    "llama-mqa-biases": (tiny(LlamaConfig, num_key_value_heads=1, attention_bias=True,
                              mlp_bias=True, eos_token_id=[2, 3]), {}, "float32"),
    "llama-linear-tied": (tiny(LlamaConfig, tie_word_embeddings=True, head_dim=12,
                               rope_parameters=LINEAR), {}, "float32"),
    "llama-yarn": (tiny(LlamaConfig, rope_parameters=YARN, head_dim=16), {}, "float32"),
    "llama-float16": (tiny(LlamaConfig), {}, "float16"),
    "llama-bfloat16-sharded": (tiny(LlamaConfig), {"max_shard_size": "12KB"}, "bfloat16"),
    "mistral-window": (tiny(MistralConfig, num_hidden_layers=3, sliding_window=11), {}, "float32"),
    "mistral-head-dim": (tiny(MistralConfig, sliding_window=None, head_dim=20), {}, "float32"),
    "qwen2": (tiny(Qwen2Config, tie_word_embeddings=True), {}, "float32"),
    "qwen2-window": (tiny(Qwen2Config, num_hidden_layers=4, hidden_size=24, intermediate_size=32,
                          use_sliding_window=True, sliding_window=9, max_window_layers=2), {},
                     "float32"),
    "qwen3": (tiny(Qwen3Config, head_dim=24, rope_parameters=rope(1000000.0)), {}, "float32"),
    "qwen3-yarn-window": (tiny(Qwen3Config, head_dim=16, rope_parameters=YARN_MSCALE,
                               attention_bias=True, use_sliding_window=True, sliding_window=13,
                               layer_types=["sliding_attention", "full_attention"]), {}, "float32"),
    "smollm3": (tiny(SmolLM3Config, num_hidden_layers=4, hidden_size=24, intermediate_size=32,
                     num_attention_heads=3, num_key_value_heads=1, no_rope_layer_interval=2,
                     tie_word_embeddings=True), {}, "float32"),
    "smollm3-window": (tiny(SmolLM3Config, num_hidden_layers=3, no_rope_layers=[1, 0, 1],
                            use_sliding_window=True, sliding_window=10, attention_bias=True), {},
                       "float32"),
}
