"""Makes tiny random embedding models with tokenizers, and stores what transformers computes with them.

    python make_embedders.py [name ...]    # models/tests/goldens/embedders/<name>/

A folder is a model's as sentence-transformers writes it, with two files more: `texts.json`, a list of
`{"text": .., "tokens": [..]}`, and `golden.safetensors`:

    vectors  [n, hidden] f32   the vector of each text, of length 1

A text's vector is, by the definition of sentence-transformers
(https://sbert.net/docs/package_reference/sentence_transformer/modules.html), its tokens' last states,
of which one is chosen or the mean taken, scaled to length 1. Here each text is computed alone, in f32
with eager attention, so that no padding is masked.
"""

import json
import sys

import torch
from make_goldens import OUT, randomise
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModel, BertConfig, BertForMaskedLM, BertModel, PreTrainedTokenizerFast, Qwen3Config,
    Qwen3Model, RobertaConfig, RobertaModel, XLMRobertaConfig, XLMRobertaModel)

TEXTS = [
    "The port of the proxy is 8443.",
    "the port of the PROXY is 8443.",
    "Ines Carvalho owns the billing service, and the clinic is at 12 Harbour Lane.",
    "Répète: déjà vu.",
    "Кто владеет службой?",
    "港口是什么？",
    "x",
    "",
]
TINY = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "initializer_range": 0.3, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>"]
ROBERTA_NAMES = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>",
                 "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>",
                 "model_max_length": 90}


def around(tokenizer, template, names):
    """What a tokenizer puts around a text."""
    special = [(name, tokenizer.token_to_id(name)) for name in names]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)


def word_piece():
    """BERT's, lower case."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=special)
    tokenizer.train_from_iterator(TEXTS, trainer)
    around(tokenizer, "[CLS] $A [SEP]", special[2:4])
    # As published files have them: neither may be heeded.
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=12)
    names = dict(zip(["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"], special))
    return tokenizer, names


def unigram():
    """XLM-RoBERTa's."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=ROBERTA, unk_token="<unk>")
    tokenizer.train_from_iterator(TEXTS, trainer)
    around(tokenizer, "<s> $A </s>", ["<s>", "</s>"])
    return tokenizer, ROBERTA_NAMES


def byte_level(special, template, around_text, names):
    """Byte-level BPE."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(TEXTS, trainer)
    around(tokenizer, template, around_text)
    return tokenizer, names


# Name: (class that is saved, configuration, tokenizer, dtype, pooling, files of sentence-transformers).
END = "<|endoftext|>"
EMBEDDERS = {
    "bert": (BertModel, (BertConfig, {"max_position_embeddings": 64}), word_piece, "float32",
             "mean", {"max_seq_length": 48, "do_lower_case": False}),
    # A checkpoint of the model that was trained, with what only training needs.
    "bert-for-masks": (BertForMaskedLM, (BertConfig, {"max_position_embeddings": 64}), word_piece,
                       "float16", "cls", {"max_seq_length": 128, "do_lower_case": True}),
    # Without the files of sentence-transformers.
    "roberta": (RobertaModel, (RobertaConfig,
                               {"max_position_embeddings": 100, "type_vocab_size": 1}),
                lambda: byte_level(ROBERTA, "<s> $A </s>", ["<s>", "</s>"], ROBERTA_NAMES),
                "float32", None, None),
    "xlm-roberta": (XLMRobertaModel,
                    (XLMRobertaConfig, {"max_position_embeddings": 100, "type_vocab_size": 1}),
                    unigram, "float32", "lasttoken", {"max_seq_length": 80}),
    # A decoder, whose checkpoint is that of the bare model.
    "qwen3": (Qwen3Model,
              (Qwen3Config, {"num_key_value_heads": 2, "head_dim": 12, "tie_word_embeddings": True,
                             "max_position_embeddings": 256, "bos_token_id": None,
                             "eos_token_id": 0, "pad_token_id": 0}),
              lambda: byte_level([END], f"$A {END}", [END], {"eos_token": END, "pad_token": END}),
              "float32", "lasttoken", None),
}


def write_sentence_files(folder, pooling, transformer, hidden):
    """The files of sentence-transformers."""
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [{"idx": index, "name": str(index), "path": path,
                "type": f"sentence_transformers.models.{kind}"}
               for index, (path, kind) in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules, indent=2) + "\n")
    modes = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens",
             "weightedmean_tokens", "lasttoken"]
    fields = {"word_embedding_dimension": hidden}
    fields |= {f"pooling_mode_{mode}": mode.startswith(pooling) and "sqrt" not in mode
               for mode in modes} | {"include_prompt": True}
    assert sum(value is True for name, value in fields.items() if "mode" in name) == 1
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling/config.json").write_text(json.dumps(fields, indent=2) + "\n")
    if transformer is not None:
        path = folder / "sentence_bert_config.json"
        path.write_text(json.dumps(transformer, indent=2) + "\n")


def pooled(states, pooling):
    """A text's vector before it is scaled."""
    match pooling:
        case "cls":
            return states[0]
        case "lasttoken":
            return states[-1]
        case "mean" | None:
            return states.double().mean(0).float()


@torch.no_grad()
def make(name, model_class, config, tokenizer, dtype, pooling, transformer):
    """Writes one model."""
    torch.manual_seed(0)
    folder = OUT / "embedders" / name
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, names = tokenizer()
    config_class, fields = config
    shared = {key: value for key, value in TINY.items()
              if config_class is not Qwen3Config or "dropout" not in key}
    config = config_class(vocab_size=tokenizer.get_vocab_size(), **shared, **fields)
    model = model_class(config)
    randomise(model, torch.Generator().manual_seed(0))
    # That of padding starts as zeros, and is the decoder's end token too.
    embedding = model.get_input_embeddings().weight.data
    embedding[config.pad_token_id].normal_(0.0, config.initializer_range)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    if pooling is not None:
        write_sentence_files(folder, pooling, transformer, config.hidden_size)

    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    cases, vectors = [], []
    for text in TEXTS:
        asked = text.lower() if (transformer or {}).get("do_lower_case") else text
        tokens = tokenizer.encode(asked).ids
        states = model(torch.tensor([tokens]), attention_mask=torch.ones(1, len(tokens)))
        cases.append({"text": text, "tokens": tokens})
        vector = pooled(states.last_hidden_state[0], pooling)
        vectors.append(torch.nn.functional.normalize(vector, dim=0))
    (folder / "texts.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")
    save_file({"vectors": torch.stack(vectors)}, folder / "golden.safetensors")
    print(name, max(len(case["tokens"]) for case in cases), "tokens at most",
          sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()), "bytes")


if __name__ == "__main__":
    for name in sys.argv[1:] or EMBEDDERS:
        make(name, *EMBEDDERS[name])
