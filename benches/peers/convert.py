#!/usr/bin/env python3
"""Converts a Hugging Face folder to a GGUF file that llama.cpp loads.

    python3 convert.py FOLDER bf16|f32 TARGET.gguf

Knows the two architectures that the comparison needs: Llama and Qwen3. The metadata keys are those
of the GGUF specification (ggml's docs/gguf.md) and of the `gguf` package; norms stay f32, as
llama.cpp's own conversion keeps them.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from safetensors.torch import load_file

# Hugging Face's name of a tensor within its layer -> GGUF's.
LAYER_TENSORS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OTHER_TENSORS = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


@dataclass(frozen=True)
class Architecture:
    """What differs between the architectures."""

    name: str
    # llama.cpp rotates neighbouring pairs for Llama; the rows of the query and key projections of
    # a Hugging Face checkpoint are ordered for rotating halves.
    interleaved_rope: bool
    # How text is split before the merges; the nearest one that llama.cpp has. Measurements send
    # token ids, so it matters for nothing but the tokenizer of the converted file.
    pre_tokenizer: str


ARCHITECTURES = {
    "LlamaForCausalLM": Architecture("llama", interleaved_rope=True, pre_tokenizer="smollm"),
    "Qwen3ForCausalLM": Architecture("qwen3", interleaved_rope=False, pre_tokenizer="qwen2"),
}


def gguf_name(name: str) -> str:
    if name in OTHER_TENSORS:
        return OTHER_TENSORS[name]
    model, layers, index, rest = name.split(".", 3)
    assert (model, layers) == ("model", "layers"), name
    stem, suffix = rest.rsplit(".", 1)
    return f"blk.{index}.{LAYER_TENSORS[stem]}.{suffix}"


def interleave_halves(weight: torch.Tensor, num_heads: int) -> torch.Tensor:
    """Reorders the rows of each head from (half, pair) to (pair, half)."""
    head_dim = weight.shape[0] // num_heads
    by_half = weight.view(num_heads, 2, head_dim // 2, *weight.shape[1:])
    return by_half.transpose(1, 2).reshape(weight.shape).contiguous()


def add_tensor(writer: GGUFWriter, name: str, tensor: torch.Tensor, dtype: str) -> None:
    if tensor.ndim == 1 or dtype == "f32":
        writer.add_tensor(name, tensor.to(torch.float32).numpy())
    else:
        bits = tensor.to(torch.bfloat16).contiguous().view(torch.uint8).numpy()
        writer.add_tensor(name, bits, raw_dtype=GGMLQuantizationType.BF16)


def add_shape(writer: GGUFWriter, config: dict) -> None:
    num_heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // num_heads
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    assert rope.get("rope_type", "default") == "default", "scaled rotary embedding"
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(num_heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config.get("rope_theta") or rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def add_tokenizer(writer: GGUFWriter, folder: Path, config: dict, pre_tokenizer: str) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocab_size = config["vocab_size"]
    tokens = [f"[PAD{index}]" for index in range(vocab_size)]
    types = [TokenType.UNUSED] * vocab_size
    for token, index in tokenizer["model"]["vocab"].items():
        tokens[index] = token
        types[index] = TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]] = added["content"]
        special = added["special"]
        types[added["id"]] = TokenType.CONTROL if special else TokenType.USER_DEFINED
    merges = tokenizer["model"]["merges"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    end = config["eos_token_id"]
    writer.add_eos_token_id(end[0] if isinstance(end, list) else end)
    if config.get("bos_token_id") is not None:
        writer.add_bos_token_id(config["bos_token_id"])
    writer.add_add_bos_token(False)


def convert(folder: Path, dtype: str, target: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    architecture = ARCHITECTURES[config["architectures"][0]]
    writer = GGUFWriter(target, architecture.name)
    writer.add_name(folder.name)
    file_type = {"bf16": LlamaFileType.MOSTLY_BF16, "f32": LlamaFileType.ALL_F32}[dtype]
    writer.add_file_type(file_type)
    add_shape(writer, config)
    add_tokenizer(writer, folder, config, architecture.pre_tokenizer)
    heads = {
        "q_proj": config["num_attention_heads"],
        "k_proj": config["num_key_value_heads"],
    }
    for name, tensor in load_file(folder / "model.safetensors").items():
        projection = name.split(".")[-2]
        if architecture.interleaved_rope and projection in heads:
            tensor = interleave_halves(tensor, heads[projection])
        add_tensor(writer, gguf_name(name), tensor, dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("dtype", choices=["bf16", "f32"])
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    args.target.parent.mkdir(parents=True, exist_ok=True)
    convert(args.folder, args.dtype, args.target)


if __name__ == "__main__":
    main()
