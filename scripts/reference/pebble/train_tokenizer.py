"""Trains the tokenizer, a byte-level BPE, on the synthetic corpus.

    python train_tokenizer.py OUT [CHARACTERS]
"""

import json
import os
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import chat_format
from corpus import filler, skills
from lexicon import Lexicon

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKS = [
    "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<tools>", "</tools>"
]
VOCAB = 4096
# Words with the space before them, digits one by one, runs of punctuation, line breaks.
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
           r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def corpus(num_chars, seed):
    """The word lists, then conversations with about `num_chars` characters in total."""
    rng, lex, written = random.Random(seed), Lexicon("train"), 0
    lists = [words for words in filler.LISTS.values() if all(isinstance(w, str) for w in words)]
    yield "\n".join(" ".join(words) for words in lists)
    while written < num_chars:
        messages, tools, _ = skills.sample(rng, lex, 1200)
        text = "".join(text for text, _ in chat_format.render(messages, tools))
        written += len(text)
        yield text


def train(num_chars, seed=1):
    """The trained tokenizer: special tokens first, the tags of the template last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - len(MARKS),
                                  special_tokens=SPECIAL,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(corpus(num_chars, seed), trainer)
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in MARKS])
    return tokenizer


def save(tokenizer, out):
    """Writes the tokenizer's files as transformers expects them."""
    os.makedirs(out, exist_ok=True)
    tokenizer.save(f"{out}/tokenizer.json")
    added = {
        tokenizer.token_to_id(token): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": token in SPECIAL
        }
        for token in SPECIAL + MARKS
    }
    named = {
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]
    }
    config = {
        "added_tokens_decoder": added,
        "add_bos_token": False,
        "add_prefix_space": False,
        "bos_token": None,
        "eos_token": named["eos_token"],
        "pad_token": named["pad_token"],
        "unk_token": None,
        "additional_special_tokens": named["additional_special_tokens"],
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "model_max_length": 8192,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": chat_format.TEMPLATE
    }
    with open(f"{out}/tokenizer_config.json", "w") as file:
        json.dump(config, file, indent=1, ensure_ascii=False)
    with open(f"{out}/special_tokens_map.json", "w") as file:
        json.dump(named, file, indent=1)


def main():
    tokenizer = train(int(float(sys.argv[2])) if len(sys.argv) > 2 else 30_000_000)
    save(tokenizer, sys.argv[1])
    print("vocab", tokenizer.get_vocab_size())


if __name__ == "__main__":
    main()
