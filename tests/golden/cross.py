#!/usr/bin/env python3
"""Writes cross.jsonl: pairs of texts and the scores that transformers gives them.

The model is tests/tiny_bert.h's, with a classifier of one label, its weights
computed here anew; the reference run is BertForSequenceClassification in
float32.  With a directory, a model of MiniLM's size and random weights is
written there as transformers does it, with lines for that one.

	pip install torch transformers && python3 cross.py > cross.jsonl
	python3 cross.py DIR VOCAB.TXT
"""
import json
import os
import sys
import tempfile

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = "store late token passage best cosine query reader page answer".split()
MASK = 0xFFFFFFFF


def value(name, i):
    h = 2166136261
    for c in name.encode():
        h = ((h ^ c) * 16777619) & MASK
    h = ((h ^ i) * 2654435761) & MASK
    h = ((h ^ h >> 15) * 2246822519) & MASK
    v = (h >> 16) % 61 - 30
    return (96 + v if "LayerNorm.weight" in name else v) / 128


def tiny(folder):
    config = BertConfig(vocab_size=57, hidden_size=44, num_hidden_layers=2, num_attention_heads=4,
                        intermediate_size=75, max_position_embeddings=48, num_labels=1)
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            bare = name.removeprefix("bert.")
            p.copy_(torch.tensor([value(bare, i) for i in range(p.numel())]).view(p.shape))
    path = os.path.join(folder, "vocab.txt")
    with open(path, "w") as f:
        f.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS,
                           *("##" + c for c in LETTERS)]) + "\n")
    return model, BertTokenizer(path), 48


def large(folder, vocab):
    torch.manual_seed(5)
    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
                        intermediate_size=1536, num_labels=1, initializer_range=.1)
    model = BertForSequenceClassification(config)
    tokenizer = BertTokenizer(vocab)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer, 512


def lines(model, tokenizer, limit, factor):
    rng = np.random.default_rng(11)
    model.eval()
    for sizes in [(1, 1), (2, 5), (3, 0), (0, 2), (1, 40), (40, 1), (30, 30), (4, 9)]:
        q, p = (" ".join(rng.choice(WORDS, n * (factor if n > 9 else 1))) for n in sizes)
        x = tokenizer([q], [p], truncation="longest_first", max_length=limit, return_tensors="pt")
        with torch.no_grad():
            score = model(**x).logits.item()
        print(json.dumps({"query": q, "passage": p, "score": score}))


if len(sys.argv) > 1:
    lines(*large(sys.argv[1], sys.argv[2]), 12)
else:
    with tempfile.TemporaryDirectory() as folder:
        lines(*tiny(folder), 1)
