"""Our vectors against those of sentence-transformers, and against themselves for other batch
sizes and threads.  Exit code 1 if any bits differ or the least cosine is below --least.  See
README.md."""
import argparse
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


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("texts", nargs="+", help="corpus.jsonl or text files")
    ap.add_argument("--model", default="all-minilm-l6-v2")
    ap.add_argument("--chunks", type=int, default=1000)
    ap.add_argument("--max-tokens", type=int, default=256, help="where longer texts are cut")
    ap.add_argument("--precision", default="f32", help="int8 or f32 (f32)")
    ap.add_argument("--least", type=float, help="cosine (.9999, .997 in int8)")
    args = ap.parse_args()
    least = args.least or (0.9999 if args.precision == "f32" else 0.997)
    path = peers.model(args.model)
    texts = chunks(args.texts, args.chunks)

    import torch
    from sentence_transformers import SentenceTransformer
    reference = SentenceTransformer(path, device="cpu")
    reference.max_seq_length = args.max_tokens
    with torch.no_grad():
        theirs = reference.encode(texts, batch_size=32, normalize_embeddings=True)

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
