#!/usr/bin/env python3
"""Makes a model of a known shape with random weights, as a Hugging Face folder in bf16.

    python3 random_model.py smollm2-135m|qwen3-0.6b TARGET_FOLDER

Speed does not depend on the values of the weights, text does: nothing can be learned from what
this model says. There is one folder for both element types, because every bf16 value is an f32
value: a program that loads it as f32 computes with the same weights.

The tokenizer is a byte-level BPE trained on the Python files of the standard library, so its merges
differ between Python versions; measurements send token ids. It may be smaller than the model's
vocabulary, which counts: there are not enough different words in those files for a large one.
"""

import argparse
import json
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SEED = 1234
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CORPUS_CHARACTERS = 40_000_000
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """A model's shape, and the words of its tokenizer."""

    model_class: type[PreTrainedModel]
    config: PretrainedConfig
    tokenizer_size: int


# The initializer ranges keep the logits' standard deviation between one half and one, so that
# greedy decoding is not decided by rounding.
SHAPES = {
    # HuggingFaceTB/SmolLM2-135M, config.json.
    "smollm2-135m": Shape(
        LlamaForCausalLM,
        LlamaConfig(
            vocab_size=49152,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            max_position_embeddings=8192,
            rms_norm_eps=1e-5,
            rope_theta=100000.0,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
            initializer_range=1 / 24,
        ),
        tokenizer_size=49152,
    ),
    # Qwen/Qwen3-0.6B, config.json.
    "qwen3-0.6b": Shape(
        Qwen3ForCausalLM,
        Qwen3Config(
            vocab_size=151936,
            hidden_size=1024,
            intermediate_size=3072,
            num_hidden_layers=28,
            num_attention_heads=16,
            num_key_value_heads=8,
            head_dim=128,
            max_position_embeddings=40960,
            rms_norm_eps=1e-6,
            rope_theta=1e6,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            initializer_range=0.02,
        ),
        tokenizer_size=64000,
    ),
}


def corpus() -> Iterator[str]:
    """Python sources of the standard library, up to `CORPUS_CHARACTERS`."""
    characters = 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        text = path.read_bytes()[:200_000].decode("utf-8", "ignore")
        characters += len(text)
        yield text
        if characters > CORPUS_CHARACTERS:
            return


def save_tokenizer(folder: Path, shape: Shape) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.tokenizer_size,
        special_tokens=SPECIAL_TOKENS,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "model_max_length": shape.config.max_position_embeddings,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    shape = SHAPES[args.shape]
    args.folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(args.folder, shape)
    torch.manual_seed(SEED)
    model = shape.model_class(shape.config).to(torch.bfloat16).eval()
    model.save_pretrained(args.folder)


if __name__ == "__main__":
    main()
