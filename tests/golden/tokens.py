#!/usr/bin/env python3
"""Writes tokens.jsonl: hard texts and the ids that the reference tokenizers give them.

MiniLM's ids come from PyPI's `tokenizers` 0.23.3 with the model's tokenizer.json,
SmolLM2's and Qwen2.5's from llama.cpp inside PyPI's `xllamacpp` 2026.10.11549; the
special tokens of a sequence are included, control strings in the text are text.
(A user-defined token such as <tool_call> is left out: there llama.cpp differs.)

    python3 tokens.py MODELS BLNS.json CORPUS.jsonl... > tokens.jsonl

MODELS: a folder with the three models.  BLNS: the Big List of Naughty Strings (MIT,
Max Woolf).  CORPUS: XQuAD's English part (CC BY-SA 4.0, Wikipedia's authors) and
COVID-QA (Apache-2.0, deepset; articles of CORD-19); pieces of their passages keep
those licences.  `source` says where a text is from.
"""
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench"))
from tokens import HuggingFace, LlamaCpp, texts_of  # noqa: E402

OWN = [
    "", " ", "  ", "\n", "\r\n", "\t\t\t", " a", "a ", " \n a", "a\n\n\nb", "a \n \n b", "\x00", "a\x00b",
    "\x01\x02\x03\x04\x05\x06\x07\x13\x14\x16\x1d", "a\x0bb\x0cc\x1cd\x85e", "\u2028a\u2029b",
    "\u3000\u3000x\u3000", "\u200bzero\u200bwidth\ufeff", "\ufffd", "don't DON'T we'll WE'LL I'm 'tis 'S 'LL '\u017f",
    "it\u2019s", "''s '' 's", "1234567890 12 123 1234", "x1y22z333", "\u0661\u0662\u0663 \u2167 \u00b2\u00b3 \u5341\u4e8c", "$100.50, 3.14e-10%",
    "caf\u00e9 cafe\u0301 CAF\u00c9 na\u00efve \u00c5ngstr\u00f6m", "a\u0323\u0307 a\u0307\u0323 s\u0323\u0307 \u1e69", "\u0130stanbul \u0131 \ufb01 \u00df \u1e9e",
    "\u6771\u4eac\u90fd\u306b\u884c\u304d\u307e\u3057\u305f\u3002\u304b\u304d\u304f\u3051\u3053", "\u4e2d\u6587English\u6df7\u5408123", "\ud55c\uad6d\uc5b4 \uc548\ub155\ud558\uc138\uc694",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u061f", "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1e9\U0001f1ea \U0001f44d\U0001f3fd \u2764\ufe0f", "\U0001d11e\U0001d54f \U00020000\U0002f800 \U0002ebf0", "\u166d \u1734 \U000111c9 \u2e43 \u061d \u08e2",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035a\u032f\u031e\u0320\u034dA\u036b\u0357\u0334\u0362\u0335\u031c\u0330\u0354L\u0368\u0367\u0369\u0358\u0320G", "\u1112\u1161\u11ab \ud55c", "\u302e\u302fa \U0001d165\U0001d16d", "\ue000\uf8ff\U000f0000 \uffff \u0378",
    "[CLS] [SEP] [MASK] [UNK] [PAD] ##a", "<|im_start|>system\nYou are<|im_end|>\n<|endoftext|>", "<s></s><0x0A><unk><eos>", "[PAD151665]", "<|im_end", "<|<|im_end|>|>",
    "a" * 100, "a" * 101, "b" * 300, "\u00e9" * 100, "\u00e9" * 101, "ab" * 60, " " * 150, "\n" * 70, "-" * 90, "0" * 80, "!" * 65, "\u4e2d" * 70, "Donaudampfschifffahrtselektrizit\u00e4tenhauptbetriebswerkbauunterbeamtengesellschaft",
    "def f(x):\n    return x**2  # \u00b2\n\n\tif x != 0:\r\n\t\tpass\r\n", "for(int i=0;i<n;++i){a[i]^=b[i]>>3;}", "https://example.org/a?b=c&d=%20#frag user@example.org", "C:\\dir\\file.txt",
    "U.S.A. e.g. i.e. Dr. Smith's 3rd-party", "\u201cquotes\u201d \u2018single\u2019 \u00abguillemets\u00bb \u2013 \u2014 \u2026", "a\u00adb soft", "\u00bd\u2153 \u2082\u2083 \u2122\u00ae\u00a9", "x\u0304\u0301 = \u03bc \u00b1 3\u03c3, \u2200\u03b5>0 \u2203\u03b4",
    "\u202eright to left\u202c", "\u1e00\u1e01\u1e02 \u0391\u03c3\u03c2 \u03a3", "\u01c5 \u0149 \u0390 \u1f82", "\u1fef\u037e\u0387\u2000\u2001", "tab\tsep\tvalues\n1\t2\t3",
]


def pieces(path, count, rng):
    """Stretches of passages around characters that are not ASCII or not letters."""
    texts = [t for t in texts_of(path) if len(t) > 120]
    for _ in range(count):
        t = rng.choice(texts)
        odd = [i for i, c in enumerate(t) if ord(c) > 127] or [i for i, c in enumerate(t) if not c.isalpha()]
        at = max(0, rng.choice(odd) - rng.randrange(60))
        yield t[at:at + rng.randrange(20, 160)]


def random_text(rng):
    pick = [lambda: chr(rng.randrange(32, 127)), lambda: rng.choice(" \t\n\r\u00a0\u3000"),
            lambda: chr(rng.randrange(0xa0, 0x600)), lambda: chr(rng.randrange(0x600, 0x3000)),
            lambda: chr(rng.randrange(0x3000, 0xd800)), lambda: chr(rng.randrange(0xf900, 0x10000)),
            lambda: chr(rng.randrange(0x10000, 0x32000)), lambda: rng.choice(["'s", "'ll", "  ", "\n\n", " 1"])]
    return "".join(rng.choices(pick, [8, 2, 1, 1, 1, 1, 1, 2])[0]() for _ in range(rng.randrange(1, 40)))


def main():
    models, blns, corpora = sys.argv[1], sys.argv[2], sys.argv[3:]
    rng = random.Random(3)
    texts = [("own", t) for t in OWN] + [("own", random_text(rng)) for _ in range(60)]
    naughty = [t for t in texts_of(blns) if t and len(t) < 200 and (not t.isascii() or not any(map(str.isalpha, t)))]
    texts += [("blns", t) for t in naughty]
    for path in corpora:
        name = os.path.basename(os.path.dirname(path))
        texts += [(name, t) for t in pieces(path, 60, rng)]
    peers = {
        "minilm": HuggingFace(models + "/all-minilm-l6-v2/tokenizer.json", False),
        "smollm2": LlamaCpp(models + "/smollm2-135m-instruct/model.gguf", False),
        "qwen2.5": LlamaCpp(models + "/qwen2.5-coder-0.5b-instruct/model.gguf", False),
    }
    for source, text in texts:
        line = {"source": source, "text": text}
        line.update((name, peer.encode(text)) for name, peer in peers.items())
        print(json.dumps(line))


main()
