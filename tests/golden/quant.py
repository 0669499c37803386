#!/usr/bin/env python3
"""Writes quant.txt: blocks of every type and the values that they stand for.

The values come from PyPI's `gguf` (quants.dequantize), not from us.  Blocks
are random bytes with finite scales, so that every bit of a block matters.
A line: type, the blocks' bytes, the values as bits of float32; both in hex,
values most significant digit first.

	pip install gguf && python3 quant.py > quant.txt
"""
import numpy as np
from gguf import GGMLQuantizationType as T, GGML_QUANT_SIZES
from gguf.quants import dequantize

# where the halves of a block are: they must be finite
HALVES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
}
SCALES = [0.0123, -1.75, 3.1e-5, -6.0e-8, 250.0, 0.333]  # 3.1e-5, 6e-8: subnormal halves

rng = np.random.default_rng(20)


def line(kind, raw, values):
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).ravel()
    print(kind.name, raw.tobytes().hex(), "".join("%08x" % b for b in bits))


n = 0
for kind, places in HALVES.items():
    block, size = GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (2 if block == 256 else 5, size), dtype=np.uint8)
    for row in raw:
        for at in places:
            row[at:at + 2] = np.array([SCALES[n % len(SCALES)]], np.float16).view(np.uint8)
            n += 1
    line(kind, raw, dequantize(raw, kind))
halves = np.array([0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, 0x3c00, 0xbc01, 0x7bff, 0xfbff,
                   0x7c00, 0xfc00, 0x7e00, 0x3555, 0x0200, 0xc248], np.uint16)
line(T.F16, halves, dequantize(halves.view(np.float16), T.F16))
line(T.BF16, halves, dequantize(halves.view(np.uint8)[None, :], T.BF16))
floats = rng.standard_normal(8).astype(np.float32)
line(T.F32, floats, dequantize(floats, T.F32))
