"""How far a format's next-token distributions are from the same model's in f32, for both programs.

The texts are conversations that the embedded model was not trained on: the generator of its
training data, with names kept for evaluation. The reference is transformers in f32.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from peer_models import EMBEDDED, ROOT, ModelFiles

PEBBLE = ROOT / "scripts" / "reference" / "pebble"
FORMATS = ["f32", "bf16", "f16", "q8_0", "q4_0", "q4_k_m", "q5_k_m", "q6_k"]
DOCUMENTS = 12
MAX_LEN = 512
SEED = 5


def documents() -> list[list[int]]:
    """Token ids of conversations of all kinds."""
    import random

    from tokenizers import Tokenizer

    sys.path.insert(0, str(PEBBLE))
    from documents import draw_document
    from lexicon import Lexicon

    tokenizer = Tokenizer.from_file(str(ROOT / "models/embedded" / EMBEDDED / "tokenizer.json"))
    rng, lexicon = random.Random(SEED), Lexicon("test")
    drawn = [draw_document(rng, lexicon, tokenizer, "short")[0] for _ in range(DOCUMENTS)]
    return [ids[:MAX_LEN] for ids in drawn]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def compare(reference: np.ndarray, logits: np.ndarray) -> dict:
    """Mean divergence in nats and share of equal likeliest tokens, over the rows of both."""
    expected, actual = log_softmax(reference), log_softmax(logits)
    divergence = (np.exp(expected) * (expected - actual)).sum(axis=1)
    same = expected.argmax(axis=1) == actual.argmax(axis=1)
    return {
        "positions": len(divergence),
        "divergence": float(divergence.mean()),
        "worst_divergence": float(divergence.max()),
        "same_token": float(same.mean()),
    }


def transformers_logits(files: ModelFiles, texts: list[list[int]]) -> np.ndarray:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(files.folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return np.concatenate([model(torch.tensor([ids])).logits[0].numpy() for ids in texts])


def purser_logits(
    binary: Path, files: ModelFiles, texts: list[list[int]], threads: int
) -> np.ndarray:
    lines = "".join(json.dumps(ids) + "\n" for ids in texts)
    with tempfile.NamedTemporaryFile() as out:
        command = [binary, files.ours, "--out", out.name, "--threads", str(threads)]
        command += ["--float32"] if files.format == "f32" else []
        finished = subprocess.run(command, input=lines, text=True, capture_output=True, cwd=ROOT)
        if finished.returncode != 0:
            reason = " ".join(finished.stderr.split("Stack backtrace")[0].split())
            raise RuntimeError(f"purser, {files.format}: {reason}")
        logits = np.fromfile(out.name, np.dtype("<f4"))
    return logits.reshape(sum(map(len, texts)), -1)


def llama_cpp_logits(files: ModelFiles, texts: list[list[int]], threads: int) -> np.ndarray:
    from llama_cpp_model import LlamaCppModel

    model = LlamaCppModel(str(files.gguf), threads, MAX_LEN)
    model.make_room(1, MAX_LEN)
    return np.concatenate([np.array(model.logits(ids), np.float32) for ids in texts])
