#!/usr/bin/env python3
"""Checks that the programs that are compared compute the same model.

    python3 benches/peers/agreement.py --models target/peers

Greedy tokens of transformers, llama.cpp and Purser after the same prompts, all in f32 with KV in
f32. Exits with 1 when one of them differs. Run compare.py once before: it builds what runs here.
The peers run on one thread, because they wait for their threads by spinning: on a busy machine that
takes minutes.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from llama_cpp_model import LlamaCppModel
from peer_models import EMBEDDED, RANDOM, ROOT, ModelFiles
from workload import token

PROMPT_LENGTHS = [1, 17, 64, 200]
NUM_TOKENS = 24


def transformers_greedy(model: torch.nn.Module, prompt: list[int]) -> list[int]:
    generated: list[int] = []
    step, cache = prompt, None
    with torch.inference_mode():
        for _ in range(NUM_TOKENS):
            output = model(torch.tensor([step]), past_key_values=cache, use_cache=True)
            generated.append(int(output.logits[0, -1].argmax()))
            step, cache = generated[-1:], output.past_key_values
    return generated


def purser_greedy(binary: Path, source: Path, prompt: list[int]) -> list[int]:
    command = [binary, source, "--dtype", "f32", "--workloads", "pp1"]
    command += ["--greedy", ",".join(map(str, prompt)), "--greedy-tokens", str(NUM_TOKENS)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return json.loads(finished.stdout)


def check(binary: Path, files: ModelFiles) -> bool:
    files.make()
    name, source = files.name, files.folder
    torch_model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    vocab_size = torch_model.config.vocab_size
    max_len = max(PROMPT_LENGTHS) + NUM_TOKENS + 1
    llama = LlamaCppModel(str(files.gguf), 1, 512, exact=True)
    llama.make_room(1, max_len)
    agreed = True
    for sequence, length in enumerate(PROMPT_LENGTHS):
        prompt = [token(sequence + 1, position, vocab_size) for position in range(length)]
        expected = transformers_greedy(torch_model, prompt)
        others = {
            "llama.cpp": llama.greedy(prompt, NUM_TOKENS),
            "purser": purser_greedy(binary, source, prompt),
        }
        for program, tokens in others.items():
            same = tokens == expected
            agreed &= same
            print(f"{name}, {length} tokens, {program}: {'same' if same else 'DIFFERENT'}")
            if not same:
                print(f"  transformers {expected}\n  {program} {tokens}")
    return agreed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--names", help="models, comma-separated")
    parser.add_argument("--target-dir", type=Path, help="cargo's, if it is not target/")
    args = parser.parse_args()
    torch.set_num_threads(1)
    models = args.models.resolve()
    environment = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    binary = (args.target_dir or Path(environment)).resolve() / "release" / "model_speed"
    names = args.names.split(",") if args.names else [EMBEDDED, RANDOM[0]]
    agreed = [check(binary, ModelFiles(models, name, "f32")) for name in names]
    sys.exit(0 if all(agreed) else 1)


if __name__ == "__main__":
    main()
