"""Our vectors against those of sentence-transformers (or, with --onnx, of the ONNX file that a
model was converted from, in onnxruntime), and against themselves for other batch
sizes and threads.  Exit code 1 if any bits differ or the least cosine is below --least.  See
README.md."""
import argparse
import json
import os
import sys

import numpy as np
import peers


def chunks(paths, n):
    found = []
    for path in paths:
        found += peers.texts(path)
    # evenly over all files, in their order: short and long texts, every kind
    return [found[i * len(found) // n] for i in range(n)] if len(found) > n else found


def in_batches(ours, texts, size):
    return np.concatenate([ours.embed(texts[i:i + size]) for i in range(0, len(texts), size)])


def sentence_transformers(path, texts, max_tokens):
    import torch
    from sentence_transformers import SentenceTransformer
    reference = SentenceTransformer(path, device="cpu")
    reference.max_seq_length = max_tokens
    with torch.no_grad():
        return reference.encode(texts, batch_size=32, normalize_embeddings=True)


def onnxruntime(onnx, path, texts, max_tokens):
    """Each text alone, so without padding."""
    import onnxruntime as ort
    from tokenizers import Tokenizer
    session = ort.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    names = {i.name for i in session.get_inputs()}
    tok = Tokenizer.from_file(os.path.join(path, "tokenizer.json"))
    tok.enable_truncation(max_tokens)
    with open(os.path.join(path, "1_Pooling", "config.json")) as f:
        cls = json.load(f)["pooling_mode_cls_token"]
    out = []
    for text in texts:
        ids = np.array([tok.encode(text).ids], np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids),
                "token_type_ids": np.zeros_like(ids)}
        x = session.run(None, {k: v for k, v in feed.items() if k in names})[0][0]
        v = (x[0] if cls else x.mean(axis=0)).astype(np.float64)
        out.append(v / np.sqrt((v ** 2).sum()))
    return np.array(out)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("texts", nargs="+", help="corpus.jsonl or text files")
    ap.add_argument("--model", default="all-minilm-l6-v2")
    ap.add_argument("--onnx", help="the reference: this file in onnxruntime")
    ap.add_argument("--chunks", type=int, default=1000)
    ap.add_argument("--max-tokens", type=int, default=256, help="where longer texts are cut")
    ap.add_argument("--precision", default="f32", help="int8 or f32 (f32)")
    ap.add_argument("--least", type=float, help="cosine (.9999, .997 in int8)")
    args = ap.parse_args()
    least = args.least or (0.9999 if args.precision == "f32" else 0.997)
    path = peers.model(args.model)
    texts = chunks(args.texts, args.chunks)

    if args.onnx:
        theirs = onnxruntime(args.onnx, path, texts, args.max_tokens)
    else:
        theirs = sentence_transformers(path, texts, args.max_tokens)

    first, same = None, True
    for threads in (1, 2):
        ours = peers.Embedder(path, threads, args.precision)
        for size in (1, 7, 64):
            v = in_batches(ours, texts, size)
            if first is None:
                first = v
            elif v.tobytes() != first.tobytes():
                same = False
                rows = (v != first).any(axis=1)
                print("%d of %d vectors differ with %d threads in batches of %d" % (
                    rows.sum(), len(texts), threads, size))
        ours.close()
    cosine = (first.astype(np.float64) * theirs).sum(axis=1)
    length = np.sqrt((first.astype(np.float64) ** 2).sum(axis=1))
    print("chunks %d\ncosine min %.7f\ncosine mean %.7f\nlength min %.7f max %.7f\nsame bits %s" % (
        len(texts), cosine.min(), cosine.mean(), length.min(), length.max(),
        "yes" if same else "no"))
    sys.exit(0 if same and cosine.min() >= least else 1)


if __name__ == "__main__":
    main()
