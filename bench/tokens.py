"""The comparison behind tokens.sh: see there."""
import argparse
import ctypes
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

MODELS = {
    "all-minilm-l6-v2": "tokenizer.json",
    "smollm2-135m-instruct": "model.gguf",
    "qwen2.5-coder-0.5b-instruct": "model.gguf",
    "qwen2.5-coder-1.5b-instruct": "model.gguf",
    "gemma-3-270m": "model.gguf",
}


class HuggingFace:
    """Control strings in a text are text unless special: then no added tokens are known."""
    name = "tokenizers"

    def __init__(self, path, special):
        from tokenizers import Tokenizer
        with open(path, encoding="utf-8") as f:
            settings = json.load(f)
        settings["truncation"] = settings["padding"] = None
        if not special:
            settings["added_tokens"] = []
        self.tok = Tokenizer.from_str(json.dumps(settings))

    def encode(self, text):
        return self.tok.encode(text).ids


class LlamaCpp:
    """llama.cpp's C interface inside xllamacpp, which wraps no tokenizer itself."""
    name = "llama.cpp"
    lib = None

    class Params(ctypes.Structure):
        # Passed by value in memory: larger than the real struct is harmless.
        _fields_ = [("bytes", ctypes.c_ubyte * 512)]

    def __init__(self, path, special):
        self.special = special
        cls = LlamaCpp
        if cls.lib is None:
            import xllamacpp
            cls.lib = ctypes.CDLL(glob.glob(xllamacpp.__path__[0] + "/*.so")[0])
            cls.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p,
                                         ctypes.c_void_p)(lambda *a: None)
            cls.lib.llama_log_set(cls.quiet, None)
            cls.lib.ggml_backend_load_all()
            cls.lib.llama_backend_init()
        lib = cls.lib
        lib.llama_model_default_params.restype = cls.Params
        lib.llama_model_load_from_file.restype = ctypes.c_void_p
        lib.llama_model_load_from_file.argtypes = [ctypes.c_char_p, cls.Params]
        lib.llama_model_get_vocab.restype = ctypes.c_void_p
        lib.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
        lib.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int,
                                       ctypes.c_void_p, ctypes.c_int, ctypes.c_bool,
                                       ctypes.c_bool]
        model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        if not model:
            sys.exit("llama.cpp cannot load " + path)
        self.vocab = lib.llama_model_get_vocab(model)

    def encode(self, text):
        raw = text.encode("utf-8")
        room = 3 * len(raw) + 16
        ids = (ctypes.c_int * room)()
        n = self.lib.llama_tokenize(self.vocab, raw, len(raw), ids, room, True, self.special)
        assert n >= 0
        return ids[:n]


def texts_of(path):
    with open(path, encoding="utf-8") as f:
        if path.endswith(".jsonl"):
            for line in f:
                d = json.loads(line)
                if isinstance(d, str):
                    yield d
                else:
                    yield from (d[k] for k in ("title", "text") if d.get(k))
        elif path.endswith(".json"):
            yield from json.load(f)
        else:
            yield from (line.rstrip("\n") for line in f)


def ours(program, model, texts, special):
    with tempfile.TemporaryFile("w+") as f:
        for t in texts:
            f.write(json.dumps(t) + "\n")
        f.seek(0)
        run = subprocess.run([program, model] + (["--special"] if special else []), stdin=f,
                             stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("models")
    p.add_argument("--special", action="store_true")
    p.add_argument("--only", choices=sorted(MODELS))
    p.add_argument("files", nargs="+")
    a = p.parse_args()
    texts = [t for f in a.files for t in texts_of(f)]
    size = sum(len(t.encode("utf-8")) for t in texts)
    failed = False
    for model, file in MODELS.items():
        path = os.path.join(a.models, model, file)
        if a.only not in (None, model):
            continue
        if not os.path.exists(path):
            print(f"{model}: not there, left out")
            continue
        peer = (LlamaCpp if file.endswith(".gguf") else HuggingFace)(path, a.special)
        got = ours(a.program, path if file.endswith(".gguf") else os.path.dirname(path), texts,
                   a.special)
        start = time.monotonic()
        want = [peer.encode(t) for t in texts]
        took = time.monotonic() - start
        wrong = [i for i, (g, w) in enumerate(zip(got, want)) if g != w]
        if len(got) != len(texts):
            sys.exit(f"{model}: {len(got)} answers for {len(texts)} texts")
        print(f"{model}: {len(texts)} texts, {sum(map(len, want))} tokens, "
              f"{len(wrong)} texts differ from {peer.name} ({size / took / 1e6:.1f} MB/s there)")
        for i in wrong[:5]:
            k = next((k for k, (g, w) in enumerate(zip(got[i], want[i])) if g != w),
                     min(len(got[i]), len(want[i])))
            print(f"  text {i} {texts[i][:60]!r}: token {k}: {got[i][k:k + 8]} is not "
                  f"{want[i][k:k + 8]}")
        failed |= bool(wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()
