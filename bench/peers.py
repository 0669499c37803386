"""Our own programs as the comparisons see them, and what these share."""
import json
import os
import struct
import subprocess
import sys

import numpy as np

BUILD = os.environ.get("RAGSTONE_BUILD",
                       os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build"))
MODELS = os.path.join(os.environ.get("RAGSTONE_CACHE",
                                     os.path.expanduser("~/.cache/ragstone")), "models")


def model(name, file=""):
    path = name if os.path.exists(name) else os.path.join(MODELS, name)
    path = os.path.join(path, file) if os.path.isdir(path) and file else path
    if not os.path.exists(path):
        sys.exit("no model %s: RAGSTONE_CACHE names the folder that holds models/" % path)
    return path


def texts(path):
    """Passages of a corpus.jsonl ({title, text} a line), or the paragraphs of a text file."""
    with open(path, encoding="utf-8") as f:
        if not path.endswith(".jsonl"):
            return [p.strip() for p in f.read().split("\n\n") if p.strip()]
        docs = [json.loads(line) for line in f if line.strip()]
    return [((d.get("title") or "") + " " + d["text"]).strip() for d in docs]


class _Tool:
    def __init__(self, name, *args):
        tool = os.path.join(BUILD, "tests", "tools", name)
        if not os.path.exists(tool):
            sys.exit("no program %s: RAGSTONE_BUILD names the build's folder" % tool)
        self.p = subprocess.Popen([tool, *map(str, args)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)

    def read(self, dtype, n):
        raw = self.p.stdout.read(4 * n)
        if len(raw) != 4 * n:
            sys.exit("%s ended: %s" % (self.p.args[0], self.p.wait()))
        return np.frombuffer(raw, dtype)

    def write(self, raw):
        self.p.stdin.write(raw)
        self.p.stdin.flush()

    def close(self):
        self.p.stdin.close()
        self.p.wait()


class Decoder(_Tool):
    def __init__(self, path, threads, n_ctx):
        super().__init__("logits", path, threads, n_ctx)
        self.n_vocab = int(self.read(np.int32, 1)[0])

    def _ask(self, ids, keep, mode, dtype, n):
        self.write(struct.pack("3i", len(ids), keep, mode) + np.array(ids, np.int32).tobytes())
        return self.read(dtype, n)

    def every(self, ids, keep=-1):
        """Logits (n, vocab); keep: tokens of the cache that stay, -1: all."""
        return self._ask(ids, keep, 2, np.float32, len(ids) * self.n_vocab).reshape(
            len(ids), self.n_vocab)

    def best(self, ids, keep=-1):
        return int(self._ask(ids, keep, 0, np.int32, 1)[0])


class Embedder(_Tool):
    def __init__(self, path, threads, precision="int8"):
        super().__init__("embed", path, threads, precision)
        self.dim = int(self.read(np.int32, 1)[0])

    def embed(self, batch):
        raw = [t.encode("utf-8") for t in batch]
        self.write(struct.pack("I", len(raw)) + b"".join(struct.pack("I", len(r)) + r
                                                         for r in raw))
        return self.read(np.float32, len(raw) * self.dim).reshape(len(raw), self.dim)
