"""Tiny models of every family, and of every way in which a configuration can differ."""

from transformers import (
    Gemma2Config, Gemma3TextConfig, GptOssConfig, GraniteConfig, LlamaConfig, MistralConfig,
    MixtralConfig, Olmo2Config, Phi3Config, Qwen2Config, Qwen3Config, Qwen3MoeConfig,
    SmolLM3Config, Starcoder2Config)

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


def longrope(original, **more):
    """Phi-3's scaling, of heads with six pairs."""
    return rope(rope_type="longrope", short_factor=[1.0, 1.1, 1.2, 1.3, 1.5, 1.75],
                long_factor=[1.1, 1.5, 2.5, 4.0, 7.0, 11.5], **more,
                original_max_position_embeddings=original)


def tiny(config_class, **changes):
    """A configuration that differs from TINY in `changes`; `...` leaves a field out."""
    fields = {**TINY, **changes}
    return config_class(**{name: value for name, value in fields.items() if value is not ...})


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
    "phi3": (tiny(Phi3Config, num_key_value_heads=4, sliding_window=14), {}, "float32"),
    # Heads of 16, of which 12 elements are rotated, as by Phi-4-mini; all positions are short.
    "phi3-longrope-short": (
        tiny(Phi3Config, hidden_size=64, max_position_embeddings=512, tie_word_embeddings=True,
             original_max_position_embeddings=128,
             rope_parameters=longrope(128, partial_rotary_factor=0.75)), {}, "float32"),
    # More than 24 positions from the first step on.
    "phi3-longrope-long": (
        tiny(Phi3Config, hidden_size=48, num_attention_heads=4,
             original_max_position_embeddings=24, rope_parameters=longrope(24)), {}, "float32"),
    "granite": (tiny(GraniteConfig, tie_word_embeddings=True, embedding_multiplier=6.0,
                     residual_multiplier=0.22, attention_multiplier=0.2, logits_scaling=3.0,
                     attention_bias=True, mlp_bias=True), {}, "float32"),
    "olmo2": (tiny(Olmo2Config, rope_parameters=rope(500000.0)), {}, "float32"),
    "gemma2": (tiny(Gemma2Config, num_hidden_layers=3, head_dim=12, sliding_window=9,
                    query_pre_attn_scalar=7, attn_logit_softcapping=4.0,
                    final_logit_softcapping=5.0, tie_word_embeddings=True), {}, "float32"),
    "gemma3": (tiny(Gemma3TextConfig, num_hidden_layers=3, head_dim=12, sliding_window=9,
                    sliding_window_pattern=3, query_pre_attn_scalar=7, tie_word_embeddings=True,
                    rope_parameters={"full_attention": rope(1000000.0, rope_type="linear",
                                                            factor=8.0),
                                     "sliding_attention": rope()}), {}, "float32"),
    "qwen3-moe": (tiny(Qwen3MoeConfig, head_dim=12, num_experts=6, num_experts_per_tok=2,
                       moe_intermediate_size=20, norm_topk_prob=True), {}, "float32"),
    # Experts in the last layer only.
    "qwen3-moe-sparse": (tiny(Qwen3MoeConfig, num_hidden_layers=4, head_dim=12, num_experts=5,
                              num_experts_per_tok=3, moe_intermediate_size=16,
                              norm_topk_prob=False, decoder_sparse_step=2, mlp_only_layers=[1]),
                         {}, "float32"),
    "mixtral": (tiny(MixtralConfig, num_local_experts=4, num_experts_per_tok=2,
                     sliding_window=11), {}, "float32"),
    "starcoder2": (tiny(Starcoder2Config, rms_norm_eps=..., norm_epsilon=1e-5, sliding_window=10,
                        tie_word_embeddings=True), {}, "float32"),
    "gpt-oss": (tiny(GptOssConfig, num_hidden_layers=2, head_dim=12, intermediate_size=20,
                     num_local_experts=4, num_experts_per_tok=2, sliding_window=9,
                     swiglu_limit=1.5,
                     rope_parameters=rope(150000.0, rope_type="yarn", factor=8.0, beta_fast=32.0,
                                          beta_slow=1.0, truncate=False,
                                          original_max_position_embeddings=24)), {}, "float32"),
    # Experts in MXFP4, as the published checkpoints have them.
    "gpt-oss-mxfp4": (tiny(GptOssConfig, num_hidden_layers=2, head_dim=12, intermediate_size=32,
                           num_local_experts=3, num_experts_per_tok=2, sliding_window=9,
                           rope_parameters=rope(150000.0, rope_type="yarn", factor=8.0,
                                                truncate=False,
                                                original_max_position_embeddings=24)),
                      {}, "mxfp4"),
}
