#!/usr/bin/env python3
"""Makes LoRA adapters with random weights for a model, as PEFT saves them, in bf16.

    python3 random_adapter.py MODEL_FOLDER TARGET_FOLDER [--count 4] [--rank 16]

All seven projections of every layer are updated. MODEL_FOLDER needs a `config.json` of the Llama kind;
the adapters are TARGET_FOLDER/0, TARGET_FOLDER/1 and so on.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

SEED = 4321


def projections(config: dict) -> dict[str, tuple[int, int]]:
    """Output and input features by name."""
    hidden, intermediate = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    q_size, kv_size = heads * head_dim, config["num_key_value_heads"] * head_dim
    return {
        "self_attn.q_proj": (q_size, hidden),
        "self_attn.k_proj": (kv_size, hidden),
        "self_attn.v_proj": (kv_size, hidden),
        "self_attn.o_proj": (hidden, q_size),
        "mlp.gate_proj": (intermediate, hidden),
        "mlp.up_proj": (intermediate, hidden),
        "mlp.down_proj": (hidden, intermediate),
    }


def make(config: dict, folder: Path, rank: int, generator: torch.Generator) -> None:
    """Writes one adapter."""
    tensors = {}
    for layer in range(config["num_hidden_layers"]):
        for name, (out_features, in_features) in projections(config).items():
            module = f"base_model.model.model.layers.{layer}.{name}"
            a = torch.randn(rank, in_features, generator=generator) / in_features**0.5
            b = torch.randn(out_features, rank, generator=generator) / rank**0.5
            tensors[f"{module}.lora_A.weight"] = a.bfloat16()
            tensors[f"{module}.lora_B.weight"] = b.bfloat16()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    fields = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "bias": "none", "r": rank,
              "lora_alpha": rank, "target_modules": [name.split(".")[1] for name in projections(config)]}
    (folder / "adapter_config.json").write_text(json.dumps(fields, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--rank", type=int, default=16)
    arguments = parser.parse_args()
    config = json.loads((arguments.model / "config.json").read_text())
    generator = torch.Generator().manual_seed(SEED)
    for index in range(arguments.count):
        make(config, arguments.target / str(index), arguments.rank, generator)


if __name__ == "__main__":
    main()
