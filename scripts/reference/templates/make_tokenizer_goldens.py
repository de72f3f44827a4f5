"""Trains tokenizers of a few kilobytes and stores what transformers makes of tricky text with them.

    python make_tokenizer_goldens.py

Writes crates/text/tests/goldens/tokenizers/: one folder per tokenizer, as a model's folder has it,
with `golden.json` beside it. The embedded model has only the latter; its files are in its folder.
"""

import json
import pathlib
import random

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)
from transformers import PreTrainedTokenizerFast

ROOT = pathlib.Path(__file__).resolve().parents[3]
OUT = ROOT / "crates/text/tests/goldens/tokenizers"
PEBBLE = ROOT / "models/embedded/pebble-20m"

CORPUS = [
    "the quick brown fox jumps over the lazy dog and the other dogs jump over it",
    "a tokenizer cuts text into tokens; the model sees tokens, the reader sees text",
    "numbers: 1 12 123 2024; punctuation: well... yes! (no?) \"quoted\" it's don't",
    "  spaces   and\ttabs\nand new lines\n\n", "def f(x):\n    return x + 1\n", "naïve café",
] * 4

TEXTS = [
    "", " ", "  ", "   a", "a   ", "a  b   c    d", "\n", "\n\n \t\n", "the quick brown fox",
    " the quick brown fox", "The Quick", "it's don't I'LL", "1234567890 12,345.67",
    "😀", "😀😀👩‍👩‍👧‍👦 ok",
    "漢字とかな", "日本語 the 日本語", "naïve café ñ Å é", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "\u200bzero\u200dwidth\ufeff",
    "a\r\nb\rc", "\x00\x01\x7f", "▁ literal ▁▁ metaspace", "<s>inside</s> <unk>", "<0x41> is not A",
    "<|im_start|>user\nhi<|im_end|>\n", "<|im_start|> <|im_end|>", "a<tool_call>b</tool_call>",
    "<tool_call>\n{\"name\": \"f\"}\n</tool_call>", "<late>later<late>", "ÄÖÜ ß ﬁ ½ ²", "Ωmega αβγ",
    "الْعَرَبِيَّة", "हिन्दी", "ไทย", "한국어 text", "\u0301combining", "x" * 50,
    "the" * 20, "\ud7ff\ue000\uffff",
    "ends with space ", "tab\tseparated\tvalues", "mixed 混合 mixed 😀!",
]


def save(name, tokenizer, config, generation_config=None):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    files = {"tokenizer.json": json.loads(tokenizer.to_str()), "tokenizer_config.json": config}
    if generation_config:
        files["generation_config.json"] = generation_config
    for file, content in files.items():
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        (folder / file).write_text(text + "\n", encoding="utf-8")
    write_golden(folder, folder)


def write_golden(folder, out):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    rng = random.Random(7)
    sequences = [[rng.randrange(len(tokenizer)) for _ in range(rng.randrange(1, 12))]
                 for _ in range(60)]

    def decoded(ids):
        return [tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
                for skip in (True, False)]

    golden = {
        "vocab_size": len(tokenizer),
        "bos_id": tokenizer.bos_token_id,
        "eos_id": tokenizer.eos_token_id,
        "special_ids": sorted(
            id for id, token in tokenizer.added_tokens_decoder.items() if token.special),
        "texts": [{
            "text": text,
            "with_special": tokenizer.encode(text, add_special_tokens=True),
            "ids": (ids := tokenizer.encode(text, add_special_tokens=False)),
            "decoded": decoded(ids),
        } for text in TEXTS],
        "sequences": [{"ids": ids, "decoded": decoded(ids)} for ids in sequences],
    }
    text = json.dumps(golden, ensure_ascii=True, indent=None, separators=(",", ":"))
    out.mkdir(parents=True, exist_ok=True)
    (out / "golden.json").write_text(text.replace('{"text"', '\n{"text"') + "\n")


def byte_level():
    """Byte-level BPE, as of GPT-2, Llama 3 and Qwen."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(
            pattern=Regex(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
                r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"),
            behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)])
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=340, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False)
                          for text in ("<tool_call>", "</tool_call>")])
    late = {"content": "<late>", "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|endoftext|>",
              "eos_token": {"__type": "AddedToken", "content": "<|im_end|>"}, "pad_token": None,
              "added_tokens_decoder": {str(tokenizer.get_vocab_size()): late}}
    save("byte_level", tokenizer, config, {"eos_token_id": [2, 0]})


def sentencepiece(name, normalizer, pre_tokenizer, decoder):
    """BPE over text with a visible space and byte fallback, as converted from SentencePiece."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=140, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokens += [token for token in sorted(model["vocab"], key=model["vocab"].get)
               if token not in ("\n", "\t")]
    merges = [tuple(merge) for merge in model["merges"]]
    vocab = {token: index for index, token in enumerate(tokens)}
    merges = [merge for merge in merges if all(part in vocab for part in (*merge, "".join(merge)))]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True,
                                     byte_fallback=True))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens(
        [AddedToken(text, normalized=False, special=True) for text in ("<unk>", "<s>", "</s>")])
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>",
              "eos_token": "</s>", "unk_token": "<unk>"}
    save(name, tokenizer, config)


def main():
    byte_level()
    replace, fallback = decoders.Replace("▁", " "), decoders.ByteFallback()
    with_strip = decoders.Sequence(
        [replace, fallback, decoders.Fuse(), decoders.Strip(content=" ", left=1, right=0)])
    prepend = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    # Llama 2: the space is put in front by the normalizer.
    sentencepiece("prepend", prepend, None, with_strip)
    # Mistral: by the pre-tokenizer, only at the beginning of the text.
    first = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    sentencepiece("metaspace", None, first, with_strip)
    # Gemma: nothing is put in front, so nothing is cut.
    sentencepiece("no_prefix", normalizers.Replace(" ", "▁"), None,
                  decoders.Sequence([replace, fallback, decoders.Fuse()]))
    # T5: the decoder drops the first token's space.
    always = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    sentencepiece("metaspace_decoder", None, always, decoders.Metaspace(prepend_scheme="always"))
    write_golden(PEBBLE, OUT / "pebble")


if __name__ == "__main__":
    main()
