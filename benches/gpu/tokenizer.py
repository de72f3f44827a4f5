#!/usr/bin/env python3
"""Makes a byte-level BPE tokenizer with as many tokens as a model has, of no language.

    python3 tokenizer.py CONFIG_JSON TARGET_FOLDER

Random weights say random tokens, so it does not matter which texts they stand for; but there have to be
texts, or a server would not take the time to write them. Tokens are the 256 bytes, then words of two,
three and four small letters, every other one behind a blank.
"""

import argparse
import itertools
import json
import string
from collections.abc import Iterator
from pathlib import Path


def byte_characters() -> list[str]:
    """The character that stands for each byte (GPT-2's): itself where it can be seen."""
    seen = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    unseen = itertools.count(256)
    return [chr(byte) if byte in seen else chr(next(unseen)) for byte in range(256)]


def words() -> Iterator[tuple[str, str]]:
    """Both parts of each merge: shorter words first, because longer ones are made of them."""
    blank = byte_characters()[ord(" ")]
    letters = string.ascii_lowercase
    yield from ((blank, letter) for letter in letters)
    for length in (1, 2, 3):
        for start in itertools.product(letters, repeat=length):
            for letter in letters:
                yield "".join(start), letter
                yield blank + "".join(start), letter


def tokenizer(vocab_size: int, special: dict[int, str]) -> dict:
    """What stands in tokenizer.json; `special`: tokens by id, the rest are words."""
    free = (token for token in range(vocab_size) if token not in special)
    vocab = dict(zip(byte_characters(), free))
    pairs = []
    for token, (left, right) in zip(free, words()):
        vocab[left + right] = token
        pairs.append(f"{left} {right}")
    assert len(vocab) + len(special) == vocab_size, "there are too few words"
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
    added = [{"id": i, "content": text, "special": True, **flags} for i, text in special.items()]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    byte_level["use_regex"] = True
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": sorted(added, key=lambda token: token["id"]),
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": pairs,
        },
    }


def write(config: dict, folder: Path) -> None:
    """Writes tokenizer.json and tokenizer_config.json of the model with this config.json."""
    special = {config["bos_token_id"]: "<|begin|>", config["eos_token_id"]: "<|end|>"}
    made = tokenizer(config["vocab_size"], special)
    (folder / "tokenizer.json").write_text(json.dumps(made, ensure_ascii=False))
    names = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "add_bos_token": False}
    names["clean_up_tokenization_spaces"] = False
    (folder / "tokenizer_config.json").write_text(json.dumps(names))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    args.target.mkdir(parents=True, exist_ok=True)
    write(json.loads(args.config.read_text()), args.target)


if __name__ == "__main__":
    main()
