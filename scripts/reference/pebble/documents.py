"""Conversations as token documents, and rows of whole documents."""

import math
import os
import queue
import random

import numpy as np
from tokenizers import Tokenizer

import chat_format
from corpus import open_vocabulary, skills
from lexicon import Lexicon

SHORT, LONG = 2048, 8192
LONG_SKILLS = [("qa_context", 34), ("qa_chat", 22), ("summary", 22), ("table_qa", 4),
               ("update_qa", 4), ("lookup", 5), ("tool_use", 6), ("json_answer", 3)]
BY_NAME = {skill.__name__: skill for skill, _ in skills.SKILLS}

# Weights of tokens in a document: padding, context, what the assistant must produce.
PADDING, CONTEXT, TARGET = 0, 1, 2


def encode(tokenizer, messages, tools):
    """Token ids of a conversation and the weight class of each."""
    segments = chat_format.render(messages, tools)
    ids, weights = [], []
    for (_, trained), encoding in zip(segments, tokenizer.encode_batch([s for s, _ in segments])):
        ids += encoding.ids
        weights += [TARGET if trained else CONTEXT] * len(encoding.ids)
    return ids, weights


def pick(rng, table):
    """One of the names in a table of (name, weight)."""
    left = rng.random() * sum(weight for _, weight in table)
    for name, weight in table:
        left -= weight
        if left < 0:
            return name
    return table[-1][0]


def draw_document(rng, lex, tokenizer, kind, skill=None):
    """A conversation of at most SHORT or LONG tokens: ids and weights."""
    while True:
        if kind == "short":
            num_chars = int(math.exp(rng.uniform(math.log(120), math.log(5600))))
            generator = BY_NAME[skill] if skill else None
        else:
            num_chars = int(math.exp(rng.uniform(math.log(4000), math.log(29500))))
            generator = BY_NAME[skill or pick(rng, LONG_SKILLS)]
        messages, tools, _ = skills.sample(rng, lex, num_chars, generator)
        ids, weights = encode(tokenizer, messages, tools)
        if len(ids) <= (SHORT if kind == "short" else LONG):
            return ids, weights


def work(index, stage, queues, progress, long_from, tokenizer_path, seed, shard_tokens):
    """A process that fills the queues with shards of documents until `progress` reaches 1."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    open_vocabulary.switch(stage == 2)
    tokenizer, lex, shard = Tokenizer.from_file(tokenizer_path), Lexicon("train"), 0
    while progress.value < 1:
        rng = random.Random(f"{seed}-{index}-{shard}")
        shard += 1
        short = progress.value < long_from - 0.06 or rng.random() < 0.35
        kind = "short" if short else "long"
        ids, weights, lengths = [], [], []
        while len(ids) < shard_tokens:
            document, document_weights = draw_document(rng, lex, tokenizer, kind)
            ids += document
            weights += document_weights
            lengths.append(len(document))
        item = (np.array(ids, np.uint16), np.array(weights, np.uint8), np.array(lengths, np.int32))
        offer(queues[kind], item, lambda: progress.value < 1)


def offer(target, item, wanted):
    """Puts the item into a bounded queue unless it stops being wanted before there is room."""
    while wanted():
        try:
            target.put(item, timeout=1)
            return
        except queue.Full:
            pass


def pack(documents, num_tokens, max_documents, max_len):
    """One row of `num_tokens` tokens from whole documents.

    Returns ids, targets, weights and positions, each (num_tokens,), and the documents' ends,
    (max_documents + 1,), which keep attention inside a document.
    """
    left = num_tokens - sum(len(ids) for ids, _ in documents)
    while left > 0:
        k = min(left, max_len)
        documents = documents + [(np.zeros(k, np.uint16), np.zeros(k, np.uint8))]
        left -= k
    lengths = np.array([len(ids) for ids, _ in documents])
    ids = np.concatenate([ids for ids, _ in documents]).astype(np.int64)
    weights = np.concatenate([weights for _, weights in documents])
    ends = np.cumsum(lengths)
    bounds = np.full(max_documents + 1, num_tokens, np.int32)
    bounds[0] = 0
    bounds[1:len(lengths) + 1] = ends
    targets, weights = np.roll(ids, -1), np.roll(weights, -1)
    weights[ends - 1] = PADDING
    positions = np.arange(num_tokens) - np.repeat(ends - lengths, lengths)
    return ids, targets, weights, positions.astype(np.int64), bounds


class Packer:
    """Fills rows from the workers' shards; shards are reused when the workers fall behind."""

    def __init__(self, shards, num_tokens, max_documents, max_len):
        self.shards, self.num_tokens = shards, num_tokens
        self.max_documents, self.max_len = max_documents, max_len
        self.carried, self.documents, self.old = [], [], []

    def next_document(self):
        """The next document of the current shard."""
        if not self.documents:
            try:
                item = self.shards.get(timeout=0.02 if len(self.old) > 20 else 120)
                self.old = (self.old + [item])[-400:]
            except queue.Empty:
                item = random.choice(self.old)
            ids, weights, lengths = item
            ends = np.cumsum(lengths)
            self.documents = [(ids[end - n:end], weights[end - n:end])
                              for end, n in zip(ends, lengths)]
            random.shuffle(self.documents)
        return self.documents.pop()

    def room(self):
        """Documents that a row may have besides padding."""
        return self.max_documents - 80

    def batch(self):
        """A row; documents that do not fit are carried to the next one."""
        parts, left, tries = [], self.num_tokens, 0
        waiting, self.carried = self.carried, []
        while left > 32 and tries < 24 and len(parts) < self.room():
            document = waiting.pop() if waiting else self.next_document()
            if len(document[0]) <= left:
                parts.append(document)
                left -= len(document[0])
            else:
                tries += 1
                self.carried.append(document)
        self.carried += waiting
        return self.pack(parts)

    def pack(self, parts):
        """A row of these documents."""
        return pack(parts, self.num_tokens, self.max_documents, self.max_len)
