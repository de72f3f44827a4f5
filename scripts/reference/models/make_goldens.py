"""Makes tiny random models of every family, and stores what transformers computes with them.

    python make_goldens.py               # all variants and the embedded model
    python make_goldens.py tiny NAME ..  # models/tests/goldens/<variant>/, these or all of them
    python make_goldens.py rounded       # of what is there: golden.bfloat16.safetensors
    python make_goldens.py pebble        # models/tests/goldens/pebble-20m/

LoRA adapters of the tiny models: `make_adapters.py`.

A variant's folder is a model's folder as `save_pretrained` writes it, with two files more:
`config.v4.json`, the configuration as transformers 4 wrote it, and `golden.safetensors`:

    prompt          [n] i32         a random prompt
    prompt_logits   [n, vocab] f32  logits of all its rows
    tokens          [64] i32        tokens decoded greedily
    logits          [64, vocab] f32 logits that each of them was taken from

All is computed in f32 with eager attention; a checkpoint of f16 or bf16 is widened first.

A checkpoint of bf16 has `golden.bfloat16.safetensors` beside it: `prompt_logits` and `logits` of the
same tokens, where the inputs of every linear layer are rounded to bfloat16. That is what a processor
that multiplies bfloat16 computes.
"""

import json
import pathlib
import sys

import torch
from prompts import conversations
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from variants import VARIANTS

ROOT = pathlib.Path(__file__).resolve().parents[3]
OUT = ROOT / "models/tests/goldens"
PEBBLE = ROOT / "models/embedded/pebble-20m"
PROMPT_TOKENS, DECODED_TOKENS = 48, 64
PEBBLE_TOKENS = 48
# A greedy token is far enough from a tie when another order of additions cannot change it.
LEAST_MARGIN = 1e-3


def load(folder):
    """The model in `folder`, in f32."""
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


@torch.no_grad()
def decode(model, prompt, count, stop=()):
    """All rows of the prompt's logits, greedy tokens, and the logits of each of them."""
    output = model(torch.tensor([prompt]), use_cache=True)
    prompt_logits, row, tokens, rows = output.logits[0], output.logits[0, -1], [], []
    while len(tokens) < count:
        rows.append(row)
        tokens.append(int(row.argmax()))
        if tokens[-1] in stop:
            break
        output = model(torch.tensor([tokens[-1:]]), past_key_values=output.past_key_values,
                       use_cache=True)
        row = output.logits[0, -1]
    return prompt_logits, tokens, torch.stack(rows)


def margin(rows):
    """The least distance between the largest and the second largest logit."""
    best = rows.topk(2, dim=-1).values
    return float((best[:, 0] - best[:, 1]).min())


def randomise(model, generator):
    """Gives norms and biases, which start as ones and zeros, values that can be seen."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1 or name.endswith("bias"):
            noise = torch.randn(parameter.shape, generator=generator) * 0.2
            parameter.data += noise.to(parameter.dtype)


def old_form(config):
    """A configuration as transformers 4 wrote it."""
    config = dict(config)
    parameters = dict(config.pop("rope_parameters"))
    if "sliding_attention" in parameters:
        config["rope_local_base_freq"] = parameters["sliding_attention"]["rope_theta"]
        parameters = dict(parameters["full_attention"])
    config["rope_theta"] = parameters.pop("rope_theta")
    if "partial_rotary_factor" in parameters:
        config["partial_rotary_factor"] = parameters.pop("partial_rotary_factor")
    config["rope_scaling"] = None if parameters["rope_type"] == "default" else parameters
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.51.0"
    return config


def put_mxfp4(folder, generator):
    """Replaces the experts' matrices by random ones in MXFP4."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name in [name for name in tensors if name.endswith("experts.gate_up_proj")
                 or name.endswith("experts.down_proj")]:
        experts, inputs, outputs = tensors.pop(name).shape
        shape = (experts, outputs, inputs // 32)
        random = {"blocks": (0, 256, (*shape, 16)), "scales": (122, 126, shape)}
        for end, (low, high, size) in random.items():
            values = torch.randint(low, high, size, generator=generator, dtype=torch.uint8)
            tensors[f"{name}_{end}"] = values
    save_file(tensors, path, {"format": "pt"})
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"] = {
        "quant_method": "mxfp4",
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
                                   "model.embed_tokens", "lm_head"],
    }
    path.write_text(json.dumps(config, indent=2) + "\n")


def make_variant(name, config, save_arguments, dtype, seed):
    """Writes one variant; returns the margin of its greedy tokens."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    model = AutoModelForCausalLM.from_config(config)
    randomise(model, generator)
    stored = torch.float32 if dtype == "mxfp4" else getattr(torch, dtype)
    model.to(stored).save_pretrained(folder, **save_arguments)
    if dtype == "mxfp4":
        put_mxfp4(folder, generator)
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.v4.json").write_text(json.dumps(old_form(written), indent=1) + "\n")
    again = AutoConfig.for_model(**old_form(written))
    assert again.rope_parameters == config.rope_parameters, name

    prompt = torch.randint(3, config.vocab_size, (PROMPT_TOKENS,), generator=generator).tolist()
    prompt_logits, tokens, logits = decode(load(folder), prompt, DECODED_TOKENS)
    tensors = {
        "prompt": torch.tensor(prompt, dtype=torch.int32), "prompt_logits": prompt_logits,
        "tokens": torch.tensor(tokens, dtype=torch.int32), "logits": logits,
    }
    save_file({key: value.contiguous() for key, value in tensors.items()},
              folder / "golden.safetensors")
    return margin(logits)


@torch.no_grad()
def make_rounded(folder):
    """Writes what becomes of a variant's logits where inputs are rounded; returns the margin."""
    golden = load_file(folder / "golden.safetensors")
    prompt, tokens = golden["prompt"].long(), golden["tokens"].long()
    model = load(folder)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(
                lambda _, inputs: (inputs[0].bfloat16().float(), *inputs[1:]))
    # The last token's logits would be those of one token more.
    logits = model(torch.cat([prompt, tokens[:-1]])[None]).logits[0]
    tensors = {"prompt_logits": logits[:len(prompt)], "logits": logits[len(prompt) - 1:]}
    save_file({key: value.clone() for key, value in tensors.items()},
              folder / "golden.bfloat16.safetensors")
    return margin(tensors["logits"])


def make_all_rounded():
    """Writes them for every variant in bfloat16."""
    for name, (*_, dtype) in VARIANTS.items():
        if dtype == "bfloat16":
            print(f"{name}: margin {make_rounded(OUT / name):.4f}")


def make_tiny(names):
    """Writes these variants, with the first seed whose greedy tokens are far from ties."""
    for name in names:
        variant = VARIANTS[name]
        for seed in range(100):
            found = make_variant(name, *variant, seed)
            if found > LEAST_MARGIN:
                break
        else:
            raise RuntimeError(f"{name}: no seed without near ties")
        print(f"{name}: seed {seed}, margin {found:.4f}")
        if variant[-1] == "bfloat16":
            print(f"{name}: rounded, margin {make_rounded(OUT / name):.4f}")


def make_pebble():
    """Writes 50 prompts of the embedded model, their greedy answers, and a few rows of logits."""
    tokenizer, model = AutoTokenizer.from_pretrained(PEBBLE), load(PEBBLE)
    cases, sampled, least = [], [], float("inf")
    for index, messages in enumerate(conversations()):
        prompt = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]
        prompt_logits, tokens, rows = decode(model, prompt, PEBBLE_TOKENS, stop={2})
        least = min(least, margin(rows))
        cases.append({"prompt": prompt, "answer": tokens})
        if index % 10 == 0:
            sampled.append(prompt_logits[-1])
        print(index, len(prompt), f"{margin(rows):.4f}", repr(tokenizer.decode(tokens)))
    folder = OUT / "pebble-20m"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (folder / "answers.json").write_text(f"[\n{lines}\n]\n")
    # Logits after the prompts 0, 10, 20, 30, 40.
    save_file({"logits": torch.stack(sampled)}, folder / "golden.safetensors")
    make_pebble_states(model, [case["prompt"] for case in cases[::10]])
    print(f"least margin {least:.5f}")


@torch.no_grad()
def make_pebble_states(model, prompts):
    """Writes the output of the last norm behind each prompt."""
    states = [model.model(torch.tensor([prompt])).last_hidden_state[0, -1] for prompt in prompts]
    save_file({"states": torch.stack(states)}, OUT / "pebble-20m" / "states.safetensors")


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            make_tiny(VARIANTS)
            make_pebble()
        case ["tiny", *names]:
            make_tiny(names or VARIANTS)
        case ["rounded"]:
            make_all_rounded()
        case ["pebble"]:
            make_pebble()
        case other:
            sys.exit(f"{other}: see the top of this file")
