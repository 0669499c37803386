"""Perplexity of our decoder and of llama.cpp on a text, and how far apart their next-token
distributions are.  See README.md."""
import argparse
import math
import time

import llama
import numpy as np
import peers

CHUNK = 512     # tokens of one context, as llama-perplexity -c 512
ROWS = 64       # rows that are compared at once: bounds memory


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


class Sums:
    """nll as llama-perplexity counts it: over the second half of each chunk."""
    def __init__(self):
        self.nll_ours = self.nll_peer = self.kl = self.kl_max = 0.0
        self.n_nll = self.n = self.same = 0
        self.worst_logit = 0.0

    def add(self, ours, peer, ids):
        for a in range(0, len(ids) - 1, ROWS):
            b = min(a + ROWS, len(ids) - 1)
            p, q = log_softmax(peer[a:b]), log_softmax(ours[a:b])
            kl = (np.exp(p) * (p - q)).sum(axis=1)
            self.kl += kl.sum()
            self.kl_max = max(self.kl_max, kl.max())
            self.n += b - a
            self.same += int((p.argmax(axis=1) == q.argmax(axis=1)).sum())
            self.worst_logit = max(self.worst_logit, float(np.abs(ours[a:b] - peer[a:b]).max()))
            for i in range(max(a, CHUNK // 2), b):
                self.nll_ours -= q[i - a, ids[i + 1]]
                self.nll_peer -= p[i - a, ids[i + 1]]
                self.n_nll += 1


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("text", help="corpus.jsonl or a text file, English")
    ap.add_argument("--model", action="append", help="model's name or file; may be repeated")
    ap.add_argument("--tokens", type=int, default=20000)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--peer", help="build of llama.cpp (%s)" % ", ".join(llama.builds()))
    args = ap.parse_args()
    builds = llama.builds()
    peer_lib = builds[args.peer or next(iter(builds))]
    text = "\n\n".join(peers.texts(args.text))
    print("model\ttokens\tppl ours\tppl llama.cpp\tratio\tmean KL\tmax KL\tsame best\t"
          "max |logit difference|\tseconds ours\tseconds llama.cpp")
    for name in args.model or ["smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct"]:
        path = peers.model(name, "model.gguf")
        peer = llama.Llama(peer_lib, path, args.threads, CHUNK)
        ours = peers.Decoder(path, args.threads, CHUNK)
        ids = peer.tokenize(text)[:args.tokens]
        sums, t_ours, t_peer = Sums(), 0.0, 0.0
        for at in range(0, len(ids) - CHUNK + 1, CHUNK):
            chunk = ids[at:at + CHUNK]
            peer.clear()
            t0 = time.perf_counter()
            theirs = peer.decode(chunk, every=True)
            t1 = time.perf_counter()
            mine = ours.every(chunk, keep=0)
            t2 = time.perf_counter()
            t_peer += t1 - t0
            t_ours += t2 - t1
            sums.add(mine, theirs, chunk)
        ours.close()
        a, b = sums.nll_ours / sums.n_nll, sums.nll_peer / sums.n_nll
        print("%s\t%d\t%.4f\t%.4f\t%.5f\t%.3g\t%.3g\t%.4f\t%.3g\t%.0f\t%.0f" % (
            name, sums.n + len(ids) // CHUNK, math.exp(a), math.exp(b), math.exp(a - b),
            sums.kl / sums.n, sums.kl_max, sums.same / sums.n, sums.worst_logit, t_ours, t_peer),
            flush=True)


if __name__ == "__main__":
    main()
