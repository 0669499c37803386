#!/usr/bin/env python3
"""Writes logits.txt: what llama.cpp predicts behind a few prompts.

A line: the model's name, the prompt's ids, then the five most probable next
ids with the natural logarithm of their probability.

	pip install xllamacpp numpy && python3 logits.py MODELS > logits.txt

MODELS is the folder that holds smollm2-135m-instruct/model.gguf and gemma-3-270m/model.gguf.
"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench"))
from llama import Llama, builds

PROMPTS = [
    "The capital of France is",
    "Water boils at a temperature of",
    "1, 2, 3, 4, 5,",
    "Once upon a time, in a small village by the sea, there lived an old fisherman who",
    "#include <stdio.h>\n\nint main(void)\n{\n\tprintf(\"",
    "A retrieval system first finds passages that may hold the answer to a question. "
    "Then a language model reads them and writes an answer, and each sentence of it is",
]

for name in ("smollm2-135m-instruct", "gemma-3-270m"):
    model = Llama(builds()["xllamacpp"], os.path.join(sys.argv[1], name, "model.gguf"), 1, 512)
    for text in PROMPTS:
        ids = ([] if model.bos is None else [model.bos]) + model.tokenize(text)
        model.clear()
        row = model.decode(ids).astype(np.float64)
        row -= row.max() + np.log(np.exp(row - row.max()).sum())
        best = np.argsort(-row)[:5]
        print(name, ",".join(map(str, ids)), " ".join("%d:%.4f" % (i, row[i]) for i in best))
