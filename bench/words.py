"""BM25 in the store against bm25s (Lucene's formula, PyStemmer, its English stop words), a
document one unit: nDCG@10 by ir-measures, questions a second on one thread, analysis included,
and the time to open an index and find the first answer.  Sides take turns.  Exit code 1 where
nDCG@10 is more than .005 below.  See README.md."""
import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import bm25s
import ir_measures
import Stemmer
from ir_measures import nDCG

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("RAGSTONE_BUILD", os.path.join(HERE, "..", "build"))


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


class Peer:
    def __init__(self, folder, k1, b, backend, path):
        self.docs = lines(os.path.join(folder, "corpus.jsonl"))
        self.queries = lines(os.path.join(folder, "queries.jsonl"))
        self.stemmer = Stemmer.Stemmer("english")
        self.backend = backend
        self.path = path
        index = bm25s.BM25(method="lucene", k1=k1, b=b, backend=backend)
        index.index(self.tokens([d["title"] + " " + d["text"] for d in self.docs]), show_progress=False)
        index.save(path)
        self.index = index
        self.answer([q["text"] for q in self.queries])      # compiled, where the backend does that

    def tokens(self, texts):
        return bm25s.tokenize(texts, stopwords="en", stemmer=self.stemmer, show_progress=False)

    def answer(self, texts):
        return self.index.retrieve(self.tokens(texts), k=min(10, len(self.docs)), show_progress=False,
                                   n_threads=1)

    def speed(self):
        start = time.perf_counter()
        self.answer([q["text"] for q in self.queries])
        return len(self.queries) / (time.perf_counter() - start)

    def open(self):
        """Microseconds to open, and from there to the first answer."""
        start = time.perf_counter()
        index = bm25s.BM25.load(self.path, mmap=True)
        loaded = time.perf_counter()
        index.retrieve(self.tokens([self.queries[0]["text"]]), k=min(10, len(self.docs)),
                       show_progress=False)
        return (loaded - start) * 1e6, (time.perf_counter() - loaded) * 1e6

    def run(self):
        ids, scores = self.answer([q["text"] for q in self.queries])
        return [ir_measures.ScoredDoc(q["id"], self.docs[i]["id"], float(s))
                for q, row, score in zip(self.queries, ids, scores) for i, s in zip(row, score) if s > 0]


def ours(folder, store, run, k1, b, rounds):
    command = [os.path.join(BUILD, "bench", "words"), folder, store, run, str(k1), str(b), str(rounds)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def read_run(path):
    with open(path, encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    return [ir_measures.ScoredDoc(query, doc, float(score)) for query, doc, score in rows]


def untied(run):
    """Equal scores in an order that no list of documents favours."""
    by_query = {}
    for d in run:
        by_query.setdefault(d.query_id, []).append(d)
    for query, docs in by_query.items():
        docs.sort(key=lambda d: (-d.score, hashlib.sha256(d.doc_id.encode()).digest()))
        for rank, d in enumerate(docs):
            yield ir_measures.ScoredDoc(query, d.doc_id, float(-rank))


def quality(folder, run):
    judged = []
    with open(os.path.join(folder, "qrels.tsv"), encoding="utf-8") as f:
        next(f)
        for line in f:
            query, doc, grade = line.split("\t")
            judged.append(ir_measures.Qrel(query, doc, int(grade)))
    return ir_measures.calc_aggregate([nDCG @ 10], judged, untied(run))[nDCG @ 10]


def spread(values):
    return f"{statistics.median(values):.0f} ({min(values):.0f} .. {max(values):.0f})"


def pair(more, less, turned=False):
    """Ours, theirs, and the ratio round by round of what is larger where ours is better."""
    ratio = statistics.median(a / b for a, b in zip(more, less))
    sides = (less, more) if turned else (more, less)
    return f"{spread(sides[0])} | {spread(sides[1])} | {ratio:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", metavar="SET", help="folder with corpus.jsonl, queries.jsonl, qrels.tsv")
    parser.add_argument("--k1", type=float, default=1.2)
    parser.add_argument("--b", type=float, default=.75)
    parser.add_argument("--backend", default="numpy", choices=["numpy", "numba"])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    low = 0
    print("| set | nDCG@10 | bm25s | questions/s | bm25s | ratio | open, us | bm25s | ratio | "
          "with the first answer, us | bm25s | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for folder in args.sets:
        with tempfile.TemporaryDirectory() as tmp:
            peer = Peer(folder, args.k1, args.b, args.backend, os.path.join(tmp, "peer"))
            store, run = os.path.join(tmp, "store"), os.path.join(tmp, "run")
            rows = []
            for i in range(args.rounds + 1):
                first = i % 2 and (peer.speed(), *peer.open())
                mine = ours(folder, store, run, args.k1, args.b, 1)
                theirs = first or (peer.speed(), *peer.open())
                rows.append((mine["qps"], theirs[0], mine["open_us"], theirs[1],
                             mine["open_us"] + mine["first_us"], theirs[1] + theirs[2]))
            rows = rows[1:]         # the first made the store, and nothing was in the cache
            good = quality(folder, read_run(run))
            known = quality(folder, peer.run())
        low += good < known - .005
        column = list(zip(*rows))
        print(f"| {os.path.basename(os.path.normpath(folder))} | {good:.4f} | {known:.4f} | "
              f"{pair(column[0], column[1])} | {pair(column[3], column[2], True)} | "
              f"{pair(column[5], column[4], True)} |", flush=True)
    return low > 0


if __name__ == "__main__":
    sys.exit(main())
