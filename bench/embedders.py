"""Our embedder against onnxruntime's and OpenVINO's on the same texts, in alternation, each side
with its own tokenizer and pooling in the time.  A peer runs as it is fastest: one text at a time
or in batches of texts sorted by length, with or without fused operators.  See README.md."""
import argparse
import ctypes
import math
import os
import random
import statistics
import tempfile
import time

import numpy as np
import peers
from tokenizers import Tokenizer

BATCHES = 1, 8, 32
QUESTION = "when did the normans settle in normandy"    # 10 tokens
PAUSE = 0.2     # seconds: the other side's threads have stopped spinning by then


class Opts(ctypes.Structure):   # struct rag_opts
    _fields_ = [("size", ctypes.c_size_t)] + \
        [(n, ctypes.c_char_p) for n in ("store", "embedder", "generator", "models")] + \
        [(n, ctypes.c_int) for n in ("threads", "create", "read_only")] + \
        [("progress", ctypes.c_void_p), ("progress_arg", ctypes.c_void_p),
         ("precision", ctypes.c_char_p)]


class Ours:
    def __init__(self, path, precision, threads):
        self.name = "ragstone " + precision
        self.lib = ctypes.CDLL(os.path.join(peers.BUILD, ".libs", "libragstone.so"))
        self.lib.rag_error.restype = ctypes.c_char_p
        self.r = ctypes.c_void_p()
        self._check(self.lib.rag_open(ctypes.byref(self.r), ctypes.byref(Opts(
            ctypes.sizeof(Opts), b"", path.encode(), None, None, threads, 0, 0, None, None,
            precision.encode()))))

    def _check(self, rc):
        if rc:
            raise SystemExit(self.lib.rag_error().decode())

    def embed(self, texts):
        raw = (ctypes.c_char_p * len(texts))(*[t.encode() for t in texts])
        v, dim = ctypes.POINTER(ctypes.c_float)(), ctypes.c_size_t()
        self._check(self.lib.rag_embed(ctypes.byref(v), ctypes.byref(dim), self.r, raw,
                                       ctypes.c_size_t(len(texts))))
        out = np.ctypeslib.as_array(v, (len(texts), dim.value)).copy()
        self.lib.rag_vectors_free(v)
        return out


class Peer:
    """run(ids, mask): (texts, tokens, hidden)."""
    def __init__(self, name, tok, runs):
        self.name, self.tok, self.runs, self.size = name, tok, runs, 1
        self.run = runs[0]

    def embed(self, texts):
        ids = [e.ids for e in self.tok.encode_batch(texts)]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        out = [None] * len(ids)
        for at in range(0, len(order), self.size):
            some = order[at:at + self.size]
            x = np.zeros((len(some), len(ids[some[-1]])), np.int64)
            mask = np.zeros_like(x)
            for row, i in enumerate(some):
                x[row, :len(ids[i])] = ids[i]
                mask[row, :len(ids[i])] = 1
            h = (self.run(x, mask) * mask[:, :, None]).sum(1)
            for row, v in zip(some, h / np.linalg.norm(h, axis=1, keepdims=True)):
                out[row] = v
        return np.array(out)

    def settle(self, texts):
        """Takes the fastest way to run these."""
        best = math.inf
        for run in self.runs:
            for size in BATCHES if len(texts) > 1 else (1,):
                self.run, self.size = run, size
                times = []
                for _ in range(3):
                    start = time.perf_counter()
                    self.embed(texts)
                    times.append(time.perf_counter() - start)
                if min(times) < best:
                    best, way = min(times), (run, size)
        self.run, self.size = way


def export(path, folder):
    """The model as ONNX, plain and with fused operators, both also in int8: their files."""
    import onnx
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    from transformers import BertModel
    bert = BertModel.from_pretrained(path, attn_implementation="eager").eval()
    heads = bert.config.num_attention_heads

    class Plain(torch.nn.Module):   # transformers' own masks do not trace
        def __init__(self):
            super().__init__()
            self.bert = bert

        def forward(self, ids, mask):
            e = self.bert.embeddings
            x = e.word_embeddings(ids) + e.token_type_embeddings(torch.zeros_like(ids))
            x = e.LayerNorm(x + e.position_embeddings(torch.arange(ids.shape[1]).unsqueeze(0)))
            bias = (1.0 - mask[:, None, None, :].to(torch.float32)) * -10000.0

            def split(t):
                return t.view(t.shape[0], t.shape[1], heads, -1).permute(0, 2, 1, 3)
            for layer in self.bert.encoder.layer:
                a, o = layer.attention.self, layer.attention.output
                q, k, v = split(a.query(x)), split(a.key(x)), split(a.value(x))
                s = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.shape[-1]) + bias
                c = torch.matmul(torch.softmax(s, -1), v).permute(0, 2, 1, 3).contiguous()
                x = o.LayerNorm(o.dense(c.view(c.shape[0], c.shape[1], -1)) + x)
                m = torch.nn.functional.gelu(layer.intermediate.dense(x))
                x = layer.output.LayerNorm(layer.output.dense(m) + x)
            return x
    plain, fused = (os.path.join(folder, n + ".onnx") for n in ("plain", "fused"))
    ids = torch.randint(1000, 2000, (2, 16))
    axes = {0: "texts", 1: "tokens"}
    with torch.no_grad():
        torch.onnx.export(Plain(), (ids, torch.ones_like(ids)), plain, dynamo=False,
                          input_names=["ids", "mask"], output_names=["x"], opset_version=17,
                          dynamic_axes={"ids": axes, "mask": axes, "x": axes})
    optimizer.optimize_model(plain, model_type="bert", num_heads=heads,
                             hidden_size=bert.config.hidden_size,
                             opt_level=1).save_model_to_file(fused)
    for f in plain, fused:
        quantize_dynamic(f, f + "8", per_channel=True, weight_type=QuantType.QInt8,
                         extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
    return plain, fused


def onnx_peer(name, tok, files, threads):
    import onnxruntime as ort
    o = ort.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
    o.log_severity_level = 3
    sessions = [ort.InferenceSession(f, o, providers=["CPUExecutionProvider"]) for f in files]
    return Peer(name, tok, [lambda x, m, s=s: s.run(None, {"ids": x, "mask": m})[0]
                            for s in sessions])


def openvino_peer(name, tok, file, precision, threads):
    import openvino
    m = openvino.Core().compile_model(file, "CPU", {
        "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY"})
    return Peer(name, tok, [lambda x, mask: m({"ids": x, "mask": mask})[0]])


def passages(files, tok, lengths):
    """Beginnings of texts, cut to each length in tokens with the special ones."""
    texts = [" ".join(t.split()) for f in files for t in peers.texts(f)]
    random.Random(1).shuffle(texts)
    out, at = [], 0
    for n in lengths:
        for at in range(at + 1, at + 10 * len(texts)):
            e = tok.encode(texts[at % len(texts)], add_special_tokens=False)
            if len(e.ids) > n:
                cut = texts[at % len(texts)][:e.offsets[n - 3][1]]
                if len(tok.encode(cut).ids) == n:
                    out.append(cut)
                    break
    return out


def compare(what, unit, sides, texts, rounds, repeat):
    """Medians; the ratio is that of ours in int8 and in f32 to each peer, round by round."""
    rates = [[] for _ in sides]
    for s in sides:
        if isinstance(s, Peer):
            s.settle(texts[::max(1, len(texts) // 32)])
        s.embed(texts[:1])
    for k in range(rounds):
        for i in (range(len(sides)) if k % 2 else reversed(range(len(sides)))):
            time.sleep(PAUSE)
            times = []
            for _ in range(repeat):
                start = time.perf_counter()
                sides[i].embed(texts)
                times.append(time.perf_counter() - start)
            t = statistics.median(times)
            rates[i].append(1e3 * t if unit == "ms" else len(texts) / t)
    for i, s in enumerate(sides):
        line = [what, s.name + (" by %d" % s.size if isinstance(s, Peer) and len(texts) > 1 else ""),
                "%.2f (%.2f .. %.2f) %s" % (statistics.median(rates[i]), min(rates[i]),
                                            max(rates[i]), unit)]
        for mine in range(2 if i > 1 else 0):
            r = sorted(a / b for a, b in zip(rates[mine], rates[i]))
            line.append("%.2f (%.2f .. %.2f)" % (statistics.median(r), r[0], r[-1]))
        print("\t".join(line), flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("corpus", nargs="+", help="corpus.jsonl or text files of long texts")
    ap.add_argument("--model", default="all-minilm-l6-v2")
    ap.add_argument("--chunks", type=int, default=400)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--threads", type=int, action="append", help="may be repeated (1 and 2)")
    args = ap.parse_args()
    path = peers.model(args.model)
    tok = Tokenizer.from_file(os.path.join(path, "tokenizer.json"))
    tok.no_padding()
    tok.no_truncation()
    rng = random.Random(2)
    even = passages(args.corpus, tok, [200] * args.chunks)
    mixed = passages(args.corpus, tok, [rng.randint(16, 256) for _ in range(args.chunks)])
    print("what\twho\tmedian\tratio of int8\tratio of f32")
    with tempfile.TemporaryDirectory() as folder:
        plain, fused = export(path, folder)
        for threads in args.threads or [1, 2]:
            sides = [Ours(path, "int8", threads), Ours(path, "f32", threads),
                     onnx_peer("onnxruntime int8", tok, (plain + "8", fused + "8"), threads),
                     onnx_peer("onnxruntime f32", tok, (plain, fused), threads),
                     openvino_peer("openvino bf16", tok, plain, "bf16", threads),
                     openvino_peer("openvino f32", tok, plain, "f32", threads)]
            label = "%d thread%s, " % (threads, "s" * (threads > 1))
            compare(label + "query of 10 tokens", "ms", sides, [QUESTION], args.rounds, 50)
            compare(label + "%d of 200 tokens" % len(even), "chunks/s", sides, even, args.rounds, 1)
            compare(label + "%d of 16 to 256 tokens" % len(mixed), "chunks/s", sides, mixed,
                    args.rounds, 1)


if __name__ == "__main__":
    main()
