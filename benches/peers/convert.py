#!/usr/bin/env python3
"""Converts a Hugging Face folder to a GGUF file that llama.cpp loads.

    python3 convert.py FOLDER bf16|f16|f32|q8_0 TARGET.gguf

Knows the two architectures that the comparison needs: Llama and Qwen3. The metadata keys are those
of the GGUF specification (ggml's docs/gguf.md) and of the `gguf` package; norms stay f32, as
llama.cpp's own conversion keeps them. Tokenizer and chat template are in the file too.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quants
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


ARCHITECTURES = {
    "LlamaForCausalLM": Architecture("llama", interleaved_rope=True),
    "Qwen3ForCausalLM": Architecture("qwen3", interleaved_rope=False),
}

# Beginnings of the expressions that cut text before the merges -> llama.cpp's name for them.
PRE_TOKENIZERS = {
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|": "stablelm2",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|": "dbrx",
}


DTYPES = {
    "bf16": (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
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
    values = tensor.to(torch.float32).numpy()
    kind = DTYPES[dtype][0]
    # Vectors stay f32, and so do rows that are no whole blocks.
    if tensor.ndim == 1 or (dtype == "q8_0" and tensor.shape[1] % 32 != 0):
        kind = GGMLQuantizationType.F32
    writer.add_tensor(name, quants.quantize(values, kind), raw_dtype=kind)


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


def pre_tokenizer(tokenizer: dict) -> str:
    """llama.cpp's name of how the tokenizer cuts text."""
    steps = tokenizer["pre_tokenizer"].get("pretokenizers", [tokenizer["pre_tokenizer"]])
    kinds = [step["type"] for step in steps]
    composes = (tokenizer["normalizer"] or {}).get("type") == "NFC"
    if kinds == ["Digits", "ByteLevel"]:
        return "smollm"
    if kinds == ["ByteLevel"]:
        return "gpt-2"
    expression = steps[0]["pattern"]["Regex"]
    for start, name in PRE_TOKENIZERS.items():
        if expression.startswith(start):
            return "qwen2" if composes and name == "stablelm2" else name
    raise ValueError(f"no name for {expression}")


def add_tokenizer(writer: GGUFWriter, folder: Path, config: dict) -> None:
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
    writer.add_tokenizer_pre(pre_tokenizer(tokenizer))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    end = config["eos_token_id"]
    writer.add_eos_token_id(end[0] if isinstance(end, list) else end)
    if config.get("bos_token_id") is not None:
        writer.add_bos_token_id(config["bos_token_id"])
    post_processor = tokenizer["post_processor"] or {}
    writer.add_add_bos_token(post_processor.get("type") == "TemplateProcessing")
    tokenizer_config = folder / "tokenizer_config.json"
    if tokenizer_config.exists():
        template = json.loads(tokenizer_config.read_text(encoding="utf-8")).get("chat_template")
        if template:
            writer.add_chat_template(template)


def convert(folder: Path, dtype: str, target: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    architecture = ARCHITECTURES[config["architectures"][0]]
    writer = GGUFWriter(target, architecture.name)
    writer.add_name(folder.name)
    writer.add_file_type(DTYPES[dtype][1])
    add_shape(writer, config)
    add_tokenizer(writer, folder, config)
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
    parser.add_argument("dtype", choices=sorted(DTYPES))
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    args.target.parent.mkdir(parents=True, exist_ok=True)
    convert(args.folder, args.dtype, args.target)


if __name__ == "__main__":
    main()
