#!/usr/bin/env python3
"""Writes embeddings.jsonl: texts and what sentence-transformers makes of them.

A line: a text and the first values of its unit vector; all of them for some.
Texts beyond 256 tokens are cut, as the model's own settings say.

	pip install sentence-transformers && python3 embeddings.py MODEL > embeddings.jsonl
"""
import json
import sys

from sentence_transformers import SentenceTransformer, models

TEXTS = [
    "When did the Normans settle in northern France?",
    "The quick brown fox jumps over the lazy dog.",
    "",
    " ",
    "a",
    "Zürich naïve façade Ångström ÇA VA",
    "日本語のテキストと English words",
    "Привет, мир! Ελληνικά γράμματα",
    "int main(void) { return printf(\"%d\\n\", 42) < 0; }",
    "!!! ??? ... --- ,,, ;;;",
    "3.14159 2,718,281 0x1F600 1e-12",
    "tab\tand\nnewline\r\nand \u00a0 spaces",
    "emoji \U0001f600 and \U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "Sum of sines. " * 12,
    "Chunk and passage, embedding and retrieval: words of the field. " * 25,
    "word " * 254,
    "word " * 255,
    "x" * 3000,
    "Heat flows from the warmer body to the colder one, and entropy never falls in a closed system.",
]
WHOLE = (0, 2, 15)
FIRST = 12

path = sys.argv[1]
transformer = models.Transformer(path, max_seq_length=256)
pooling = models.Pooling(transformer.get_word_embedding_dimension(), "mean")
model = SentenceTransformer(modules=[transformer, pooling, models.Normalize()], device="cpu")
for i, text in enumerate(TEXTS):
    v = model.encode([text])[0]     # alone: no padding
    values = v if i in WHOLE else v[:FIRST]
    print(json.dumps({"text": text, "values": [round(float(x), 8) for x in values]}))
