"""Makes LoRA adapters of the tiny models with PEFT, and stores what PEFT computes with them.

    python make_adapters.py [name ...]    # models/tests/goldens/adapters/<name>/

A folder is an adapter as PEFT's `save_pretrained` writes it, with `golden.safetensors` beside it, as
in `make_goldens.py`; the prompt is the one of the variant that the adapter belongs to. Before it is
stored, the same logits are computed from the definition, with `W + scale * B * A` in place of `W`.
"""

import json
import re
import sys

import torch
from make_goldens import DECODED_TOKENS, LEAST_MARGIN, OUT, decode, load, margin
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# Name: (variant, dtype of the adapter, arguments of LoraConfig).
ADAPTERS = {
    "all": ("llama3-gqa", "float32", {"r": 8, "lora_alpha": 16, "target_modules": ALL}),
    "all-again": ("llama3-gqa", "bfloat16", {
        "r": 3, "lora_alpha": 8, "target_modules": "all-linear"}),
    "patterns": ("llama3-gqa", "float16", {
        "r": 4, "lora_alpha": 6, "use_rslora": True, "target_modules": ALL,
        "exclude_modules": ["layers.0.mlp.up_proj"],
        "rank_pattern": {r"layers\.1\.self_attn\.[qk]_proj": 20, "down_proj": 1},
        "alpha_pattern": {"layers.0.self_attn.q_proj": 9, "down_proj": 2}}),
    "values": ("qwen3", "float32", {
        "r": 5, "lora_alpha": 15, "target_modules": ["q_proj", "v_proj"],
        "layers_to_transform": [1]}),
    "expression": ("llama-mqa-biases", "float32", {
        "r": 2, "lora_alpha": 4, "target_modules": r".*\.\d+\.(self_attn\.o_proj|mlp\.\w+_proj)"}),
    # Several projections in one matrix.
    "fused": ("phi3", "float32", {"r": 6, "lora_alpha": 12, "target_modules": [
        "qkv_proj", "o_proj", "gate_up_proj", "down_proj"]}),
    # Norms behind the products; another gate.
    "normed": ("gemma3", "float32", {"r": 4, "lora_alpha": 8, "target_modules": ALL}),
    # Norms of all heads together.
    "whole-heads": ("olmo2", "float32", {"r": 4, "lora_alpha": 8, "target_modules": ALL}),
    # A feed-forward network without a gate.
    "gateless": ("starcoder2", "float32", {"r": 4, "lora_alpha": 8, "target_modules": [
        "q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"]}),
    # Experts stay as they are.
    "beside-experts": ("qwen3-moe", "float32", {
        "r": 4, "lora_alpha": 8, "target_modules": ALL[:4]}),
}


def scale_of(config, module):
    """The factor of a module's update, by the paper and by PEFT's documentation of patterns."""
    def pick(patterns, default):
        found = [value for key, value in patterns.items()
                 if re.match(rf"(.*\.)?({key})$", module)]
        return found[0] if found else default
    rank = pick(config.rank_pattern, config.r)
    alpha = pick(config.alpha_pattern, config.lora_alpha)
    return alpha / (rank ** 0.5 if config.use_rslora else rank)


@torch.no_grad()
def merged(variant, config, tensors):
    """The model of `variant` with the update added to its matrices."""
    model = load(OUT / variant)
    modules = dict(model.named_modules())
    for name, a in tensors.items():
        if ".lora_A." not in name:
            continue
        module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        b = tensors[name.replace(".lora_A.", ".lora_B.")]
        weight = modules[module].weight
        update = b.double() @ a.double() * scale_of(config, module)
        weight.copy_((weight.double() + update).float())
    return model


def make(name, variant, dtype, arguments, seed):
    """Writes one adapter; returns the margin of its greedy tokens."""
    torch.manual_seed(seed)
    folder = OUT / "adapters" / name
    config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **arguments)
    model = get_peft_model(load(OUT / variant), config).eval()
    for parameter_name, parameter in model.named_parameters():
        if ".lora_" in parameter_name:
            # What the file can hold is what is computed with.
            parameter.data = parameter.data.to(getattr(torch, dtype)).float()
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    written = folder / "adapter_config.json"
    # The path that the model was loaded from says nothing to anybody else.
    fields = json.loads(written.read_text()) | {"base_model_name_or_path": variant}
    written.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")
    file = folder / "adapter_model.safetensors"
    tensors = {key: value.to(getattr(torch, dtype)) for key, value in load_file(file).items()}
    save_file(tensors, file, metadata={"format": "pt"})

    prompt = load_file(OUT / variant / "golden.safetensors")["prompt"].tolist()
    prompt_logits, tokens, logits = decode(model, prompt, DECODED_TOKENS)
    _, again, by_definition = decode(merged(variant, config, tensors), prompt, DECODED_TOKENS)
    distance = float((by_definition - logits).abs().max() / logits.abs().max())
    assert again == tokens and distance < 1e-5, (name, distance)
    golden = {
        "prompt": torch.tensor(prompt, dtype=torch.int32), "prompt_logits": prompt_logits,
        "tokens": torch.tensor(tokens, dtype=torch.int32), "logits": logits,
    }
    save_file({key: value.detach().contiguous() for key, value in golden.items()},
              folder / "golden.safetensors")
    base = load_file(OUT / variant / "golden.safetensors")["tokens"].tolist()
    return margin(logits) if tokens != base else 0.0


if __name__ == "__main__":
    for name in sys.argv[1:] or ADAPTERS:
        adapter = ADAPTERS[name]
        for seed in range(100):
            found = make(name, *adapter, seed)
            if found > LEAST_MARGIN:
                break
        else:
            raise RuntimeError(f"{name}: no seed without near ties")
        print(f"{name}: seed {seed}, margin {found:.4f}")
