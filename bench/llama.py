"""llama.cpp through its C interface, whichever build of it: see README.md.

The two parameter structs are passed by value and grow from version to version.
We take them whole from their default functions and touch only the context's
n_ctx, the first member (behind a seed in ik_llama.cpp), so that no layout has to be known.
"""
import ctypes as C
import glob
import importlib.util
import os
import sys

import numpy as np


class Params(C.Structure):
    # Larger than the real one is harmless: it is the last argument, on the stack.
    _fields_ = [("words", C.c_uint32 * 128)]


class Batch(C.Structure):
    _fields_ = [("n_tokens", C.c_int32), ("token", C.POINTER(C.c_int32)),
                ("embd", C.POINTER(C.c_float)), ("pos", C.POINTER(C.c_int32)),
                ("n_seq_id", C.POINTER(C.c_int32)),
                ("seq_id", C.POINTER(C.POINTER(C.c_int32))), ("logits", C.POINTER(C.c_int8)),
                ("ik", C.c_int32 * 3)]     # ik_llama.cpp's own; not read by others


def _folder(package):
    spec = importlib.util.find_spec(package)    # does not run the package
    return spec.submodule_search_locations[0] if spec else None


def builds():
    """{name: path of the library} of what this environment has."""
    native = os.path.join(os.environ.get("RAGSTONE_PEERS", ""), "llama.cpp", "libllama.so")
    found = {"llama.cpp": native} if os.path.exists(native) else {}
    for name, package, pattern in (("ik_llama.cpp", "ik_llama_cpp", "lib/libllama.so"),
                                   ("xllamacpp", "xllamacpp", "*.so")):
        folder = _folder(package)
        libs = glob.glob(os.path.join(folder, pattern)) if folder else []
        if libs:
            found[name] = libs[0]
    return found


_quiet = C.CFUNCTYPE(None, C.c_int, C.c_char_p, C.c_void_p)(lambda *a: None)


class Llama:
    def __init__(self, lib, model, threads, n_ctx):
        self.lib = lib = C.CDLL(lib)
        lib.llama_log_set(_quiet, None)
        lib.llama_backend_init()
        lib.llama_model_default_params.restype = Params
        lib.llama_context_default_params.restype = Params
        lib.llama_model_load_from_file.restype = C.c_void_p
        lib.llama_model_load_from_file.argtypes = [C.c_char_p, Params]
        lib.llama_init_from_model.restype = C.c_void_p
        lib.llama_init_from_model.argtypes = [C.c_void_p, Params]
        lib.llama_model_get_vocab.restype = C.c_void_p
        lib.llama_model_get_vocab.argtypes = [C.c_void_p]
        lib.llama_vocab_n_tokens.argtypes = [C.c_void_p]
        lib.llama_vocab_get_add_bos.restype = C.c_bool
        lib.llama_vocab_get_add_bos.argtypes = [C.c_void_p]
        lib.llama_vocab_bos.argtypes = [C.c_void_p]
        self.free_model = getattr(lib, "llama_model_free", None) or lib.llama_free_model
        lib.llama_free.argtypes = self.free_model.argtypes = [C.c_void_p]
        lib.llama_set_n_threads.argtypes = [C.c_void_p, C.c_int32, C.c_int32]
        lib.llama_tokenize.argtypes = [C.c_void_p, C.c_char_p, C.c_int32,
                                       C.POINTER(C.c_int32), C.c_int32, C.c_bool, C.c_bool]
        self.ik = not hasattr(lib, "llama_get_memory")
        if self.ik:
            lib.llama_kv_cache_clear.argtypes = [C.c_void_p]
        else:
            lib.llama_get_memory.restype = C.c_void_p
            lib.llama_get_memory.argtypes = [C.c_void_p]
            lib.llama_memory_clear.argtypes = [C.c_void_p, C.c_bool]
        lib.llama_batch_init.restype = Batch
        lib.llama_decode.argtypes = [C.c_void_p, Batch]
        lib.llama_get_logits.restype = C.POINTER(C.c_float)
        lib.llama_get_logits.argtypes = [C.c_void_p]
        lib.llama_get_logits_ith.restype = C.POINTER(C.c_float)
        lib.llama_get_logits_ith.argtypes = [C.c_void_p, C.c_int32]
        self.model = lib.llama_model_load_from_file(model.encode(),
                                                    lib.llama_model_default_params())
        if not self.model:
            sys.exit("llama.cpp cannot load " + model)
        params = lib.llama_context_default_params()
        params.words[self.ik] = n_ctx
        self.ctx = lib.llama_init_from_model(self.model, params)
        if not self.ctx:
            sys.exit("llama.cpp makes no context for " + model)
        self.threads(threads)
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)
        # what a text begins with, None: nothing
        self.bos = lib.llama_vocab_bos(self.vocab) if lib.llama_vocab_get_add_bos(self.vocab) else None
        self.batch = lib.llama_batch_init(n_ctx, 0, 1)
        self.n_past = 0

    def threads(self, n):
        self.lib.llama_set_n_threads(self.ctx, n, n)

    def close(self):
        self.lib.llama_free(self.ctx)
        self.free_model(self.model)

    def tokenize(self, text):
        raw = text.encode("utf-8")
        ids = (C.c_int32 * (len(raw) + 8))()
        n = self.lib.llama_tokenize(self.vocab, raw, len(raw), ids, len(ids), False, False)
        return list(ids[:n])

    def clear(self):
        if self.ik:
            self.lib.llama_kv_cache_clear(self.ctx)
        else:
            self.lib.llama_memory_clear(self.lib.llama_get_memory(self.ctx), True)
        self.n_past = 0

    def decode(self, ids, every=False):
        """Logits of the last token, or of every one: (n, vocab), valid until the next call."""
        b, n = self.batch, len(ids)
        b.n_tokens = n
        for i, token in enumerate(ids):
            b.token[i] = token
            b.pos[i] = self.n_past + i
            b.n_seq_id[i] = 1
            b.seq_id[i][0] = 0
            b.logits[i] = every or i == n - 1
        if self.lib.llama_decode(self.ctx, b):
            sys.exit("llama_decode failed")
        self.n_past += n
        if every:
            p, shape = self.lib.llama_get_logits(self.ctx), (n, self.n_vocab)
        else:
            p, shape = self.lib.llama_get_logits_ith(self.ctx, n - 1), (self.n_vocab,)
        return np.ctypeslib.as_array(p, shape)
