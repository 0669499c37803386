"""Perplexity of our decoder and of llama.cpp on a text, and how far apart their next-token
distributions are.  See README.md."""
import argparse
import math
import os
import tempfile
import time

import llama
import numpy as np
import peers

PART = 512      # tokens of one call: what llama.cpp computes at once, whatever it is given
VALUES = 2**19  # logits that are compared at once: they stay in the cache


def distribution(logits):
    """Probabilities and their logarithms, in doubles."""
    log = logits.astype(np.float64)
    log -= log.max(axis=1, keepdims=True)
    p = np.exp(log)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    log -= np.log(total)
    return p, log


def divergence(p, q):
    return (p[0] * (p[1] - q[1])).sum(axis=1)


class Sums:
    """nll as llama-perplexity counts it: over the second half of each context.  f32: the
    sides that compute with the same weights as floats, or none."""
    def __init__(self, context, f32):
        self.half, self.f32 = context // 2, f32
        self.nll_ours = self.nll_peer = 0.0
        self.n_nll = self.n = self.same = 0
        self.worst_logit = self.kl_max = 0.0
        self.kl = np.zeros(4 if f32 else 1)

    def add(self, logits, ids, at):
        """Of the positions at, at + 1, ... of a context, whose tokens are ids."""
        n, vocab = logits[0].shape
        end, rows = min(n, len(ids) - 1 - at), max(1, VALUES // vocab)
        for a in range(0, end, rows):
            b = min(a + rows, end)
            ours, peer, *floats = [distribution(x[a:b]) for x in logits]
            kl = divergence(peer, ours)
            self.kl[0] += kl.sum()
            self.kl_max = max(self.kl_max, kl.max())
            if floats:
                ours32, peer32 = floats
                self.kl[1:] += [divergence(peer32, x).sum() for x in (ours32, ours, peer)]
            self.n += b - a
            self.same += int((peer[0].argmax(axis=1) == ours[0].argmax(axis=1)).sum())
            self.worst_logit = max(self.worst_logit, float(
                np.abs(logits[0][a:b] - logits[1][a:b]).max()))
            for i in range(max(a, self.half - at), b):
                self.nll_ours -= ours[1][i - a, ids[at + i + 1]]
                self.nll_peer -= peer[1][i - a, ids[at + i + 1]]
                self.n_nll += 1


def write_f32(src, dst):
    """The same model with every tensor in F32, one tensor in memory at a time."""
    import gguf
    old = gguf.GGUFReader(src)
    new = gguf.GGUFWriter(dst, old.fields["general.architecture"].contents())
    for key, field in old.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        if key == "general.file_type":
            new.add_file_type(gguf.LlamaFileType.ALL_F32)
        elif field.types[0] == gguf.GGUFValueType.ARRAY:
            new.add_array(key, field.contents())
        else:
            new.add_key_value(key, field.contents(), field.types[0])
    for t in old.tensors:
        shape = [int(n) for n in reversed(t.shape)]
        new.add_tensor_info(t.name, shape, np.dtype(np.float32), 4 * t.n_elements)
    new.write_header_to_file()
    new.write_kv_data_to_file()
    new.write_ti_data_to_file()
    for t in old.tensors:
        new.write_tensor_data(gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32))
    new.close()


class Sides:
    """Ours and llama.cpp's on one file; both are asked for the same tokens."""
    def __init__(self, lib, path, threads, context):
        self.ours = peers.Decoder(path, threads, context)
        self.peer = llama.Llama(lib, path, threads, context)
        self.seconds = [0.0, 0.0]

    def logits(self, ids, first):
        t0 = time.perf_counter()
        ours = self.ours.every(ids, keep=0 if first else -1)
        t1 = time.perf_counter()
        if first:
            self.peer.clear()
        peer = self.peer.decode(ids, every=True)
        self.seconds[0] += t1 - t0
        self.seconds[1] += time.perf_counter() - t1
        return [ours, peer]

    def close(self):
        self.ours.close()
        self.peer.close()


def compare(path, text, args, lib, folder):
    files = [path]
    if folder:
        files.append(os.path.join(folder, "f32.gguf"))
        write_f32(path, files[1])
    sides = [Sides(lib, f, args.threads, args.context) for f in files]
    peer = sides[0].peer
    ids = peer.tokenize(text)[:args.tokens]
    sums = Sums(args.context, len(sides) > 1)
    for at in range(0, len(ids) - args.context + 1, args.context):
        context = ids[at:at + args.context]
        if peer.bos is not None:    # in the first token's place, as llama-perplexity does
            context[0] = peer.bos
        for i in range(0, args.context, PART):
            part = context[i:i + PART]
            sums.add([x for s in sides for x in s.logits(part, not i)], context, i)
    for s in sides:
        s.close()
    return sums, len(ids) // args.context * args.context, sides[0].seconds


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("text", help="corpus.jsonl or a text file, English")
    ap.add_argument("--model", action="append", help="model's name or file; may be repeated")
    ap.add_argument("--tokens", type=int, default=20000)
    ap.add_argument("--context", type=int, default=512)
    ap.add_argument("--f32", action="store_true",
                    help="also both sides on the same weights as floats, in a temporary file")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--peer", help="build of llama.cpp (%s)" % ", ".join(llama.builds()))
    args = ap.parse_args()
    if args.tokens < args.context:
        ap.error("fewer tokens than one context has")
    builds = llama.builds()
    text = "\n\n".join(peers.texts(args.text))
    print("model\ttokens\tppl ours\tppl llama.cpp\tratio\tmean KL\tmax KL\tsame best\t"
          "max |logit difference|\tseconds ours\tseconds llama.cpp" +
          ("\tF32: KL of ours\tKL from F32: ours\tllama.cpp" if args.f32 else ""))
    for name in args.model or ["smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct"]:
        path = peers.model(name, "model.gguf")
        lib = builds[args.peer or next(iter(builds))]
        if args.f32:
            with tempfile.TemporaryDirectory() as folder:
                s, n, seconds = compare(path, text, args, lib, folder)
        else:
            s, n, seconds = compare(path, text, args, lib, None)
        a, b, kl = s.nll_ours / s.n_nll, s.nll_peer / s.n_nll, s.kl / s.n
        print("%s\t%d\t%.4f\t%.4f\t%.5f\t%.3g\t%.3g\t%.4f\t%.3g\t%.0f\t%.0f" % (
            name, n, math.exp(a), math.exp(b), math.exp(a - b), kl[0], s.kl_max,
            s.same / s.n, s.worst_logit, *seconds) + "".join("\t%.3g" % x for x in kl[1:]),
            flush=True)


if __name__ == "__main__":
    main()
