"""Speed of ours against the peers', in alternation.  Run by speed.sh: see README.md."""
import argparse
import os
import statistics
import time

import peers

PAUSE = 0.3     # seconds: the other side's threads have stopped spinning by then


def tokens(n, vocab):
    """Which tokens they are makes no difference to the time; spread over the vocabulary."""
    return [(i * 7919 + 1000) % min(vocab, 49000) for i in range(n)]


class Ours:
    name = "ragstone"

    def __init__(self, path, threads, n_ctx):
        self.d = peers.Decoder(path, threads, n_ctx)
        self.n_vocab = self.d.n_vocab

    def prefill(self, ids):
        self.d.best(ids, keep=0)

    def decode(self, ids, n):
        for i in range(n):
            self.d.best(ids[i:i + 1])

    def close(self):
        self.d.close()


class Llama:
    def __init__(self, name, lib, path, threads, n_ctx):
        import llama
        self.name, self.d = name, llama.Llama(lib, path, threads, n_ctx)
        self.n_vocab = self.d.n_vocab

    def prefill(self, ids):
        self.d.clear()
        self.d.decode(ids).argmax()

    def decode(self, ids, n):
        for i in range(n):
            self.d.decode(ids[i:i + 1]).argmax()

    def close(self):
        pass


def report(what, unit, sides, rates):
    """A line a side, ours first; the ratios are those of each round."""
    for s, name in enumerate(sides):
        ratios = [o / r for o, r in zip(rates[0], rates[s])]
        print("%s\t%s\t%.1f\t%.1f .. %.1f\t%s" % (
            what, name, statistics.median(rates[s]), min(rates[s]), max(rates[s]),
            "%.2f (%.2f .. %.2f)" % (statistics.median(ratios), min(ratios), max(ratios))
            if s else unit), flush=True)


def measure(what, unit, amount, sides, prepare, run, rounds):
    """prepare and run: a function a side; only run is timed.  The order turns each round."""
    rates = [[] for _ in sides]
    for k in range(rounds + 1):     # the first is not counted: pages and caches fill
        for s in (range(len(sides)) if k % 2 else reversed(range(len(sides)))):
            time.sleep(PAUSE)
            prepare[s]()
            start = time.perf_counter()
            run[s]()
            if k:
                rates[s].append(amount / (time.perf_counter() - start))
    report(what, unit, sides, rates)


def decoders(name, threads, args):
    import llama
    path = peers.model(name, "model.gguf")
    n_ctx = args.prefill + args.decode
    sides = [Ours(path, threads, n_ctx)]
    for peer, lib in llama.builds().items():
        if args.peer and peer not in args.peer:
            continue
        sides.append(Llama(peer, lib, path, threads, n_ctx))
    ids = tokens(args.prefill, sides[0].n_vocab)
    label = "%s, %d thread%s, " % (name, threads, "s" * (threads > 1))
    names = [s.name for s in sides]
    nothing = [lambda: None for s in sides]
    prefill = [lambda s=s: s.prefill(ids) for s in sides]
    measure(label + "prefill %d" % args.prefill, "tokens/s", args.prefill, names,
            nothing, prefill, args.rounds)
    measure(label + "decode %d" % args.decode, "tokens/s", args.decode, names,
            prefill, [lambda s=s: s.decode(ids, args.decode) for s in sides], args.rounds)
    for s in sides:
        s.close()


def embedders(threads, args):
    import torch
    from sentence_transformers import SentenceTransformer
    path = peers.model(args.embedder)
    texts = []
    for file in args.texts:
        texts += peers.texts(file)
    texts = [texts[i * len(texts) // args.chunks] for i in range(args.chunks)]
    torch.set_num_threads(threads)
    reference = SentenceTransformer(path, device="cpu")
    reference.max_seq_length = 256
    ours = peers.Embedder(path, threads)

    def mine():
        for i in range(0, len(texts), 64):
            ours.embed(texts[i:i + 64])

    def theirs():
        with torch.no_grad():
            reference.encode(texts, batch_size=32, normalize_embeddings=True)
    measure("%s, %d thread%s, %d chunks" % (args.embedder, threads, "s" * (threads > 1),
                                            len(texts)),
            "chunks/s", len(texts), ["ragstone", "sentence-transformers"],
            [lambda: None] * 2, [mine, theirs], args.rounds)
    ours.close()


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("texts", nargs="*", help="corpus.jsonl files whose texts are embedded")
    ap.add_argument("--model", action="append", help="decoder's name or file; may be repeated")
    ap.add_argument("--embedder", default="all-minilm-l6-v2")
    ap.add_argument("--threads", type=int, action="append", help="may be repeated (1 and 2)")
    ap.add_argument("--prefill", type=int, default=512)
    ap.add_argument("--decode", type=int, default=128)
    ap.add_argument("--chunks", type=int, default=1000)
    ap.add_argument("--peer", action="append", help="a build of llama.cpp; may be repeated (all)")
    ap.add_argument("--rounds", type=int, default=5)
    args = ap.parse_args()
    print("what\twho\tmedian\tspread\tours / theirs")
    for threads in args.threads or [1, 2]:
        for name in args.model or ["smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct"]:
            decoders(name, threads, args)
        if args.texts:
            embedders(threads, args)


if __name__ == "__main__":
    os.environ.pop("OPENBLAS_CORETYPE", None)
    main()
