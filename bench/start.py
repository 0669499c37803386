#!/usr/bin/env python3
"""Process start to first token, and peak memory, against llama.cpp.

    start.py LLAMA [--model NAME] [--threads N]... [--rounds N] [--tokens N]

LLAMA is llama.cpp's source folder, or one with include/ and lib/, with libllama.so
under it (build/bin).  Its side is start.c: no server and no warm-up.  Ours is
`ragstone generate --raw -n 1`.  Both take the same prompt of about --tokens
tokens and a context of 4,096, in turns, the page cache warm; a run ends with
the first byte on stdout, and memory is read when the process has ended: the
largest resident set (the mapped weights included) and, polled, what of it is
the process's own.
"""
import argparse
import glob
import os
import statistics
import subprocess
import sys
import tempfile
import time

import peers

WORDS = ("the ingest pipeline turns each document into passages of about two hundred tokens "
         "and the generator answers from those that were found ").split()


def build(llama, out):
    libs = (glob.glob(os.path.join(llama, "**", "libllama.so"), recursive=True))
    heads = (glob.glob(os.path.join(llama, "**", "include", "llama.h"), recursive=True))
    ggml = (glob.glob(os.path.join(llama, "**", "include", "ggml.h"), recursive=True))
    if not libs or not heads or not ggml:
        sys.exit("no libllama.so, llama.h and ggml.h below " + llama)
    lib = os.path.dirname(os.path.abspath(libs[0]))
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "start.c")
    subprocess.run(["cc", "-O2", "-o", out, source, "-I", os.path.dirname(heads[0]),
                    "-I", os.path.dirname(ggml[0]), "-L", lib, "-lllama", "-lggml", "-lggml-base",
                    "-Wl,-rpath," + lib], check=True)


def own(pid):
    """MB of the resident set that are no file's."""
    try:
        with open("/proc/%d/status" % pid) as f:
            return sum(int(line.split()[1]) for line in f if line.startswith("RssAnon")) / 1024
    except (OSError, IndexError):
        return 0


def once(command, watch):
    """Seconds to the first byte; peak MB, and the own part of it when watched."""
    begin = time.perf_counter()
    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    anon = 0
    if watch:
        os.set_blocking(p.stdout.fileno(), False)
        while p.stdout.read(1) is None:
            anon = max(anon, own(p.pid))
            time.sleep(.002)
    elif not p.stdout.read(1):
        sys.exit("%s says nothing" % command[0])
    took = time.perf_counter() - begin
    p.stdout.close()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = status
    return took, usage.ru_maxrss / 1024, anon


def show(what, unit, values):
    med = {who: statistics.median(v) for who, v in values.items()}
    for who, v in values.items():
        ratios = [a / b for a, b in zip(values["ragstone"], v)]
        print("%s\t%s\t%.1f %s\t%.1f .. %.1f%s" % (
            what, who, med[who], unit, min(v), max(v), "" if who == "ragstone" else
            "\t%.2f (%.2f .. %.2f)" % (statistics.median(ratios), min(ratios), max(ratios))))


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("llama")
    ap.add_argument("--model", default="qwen2.5-coder-0.5b-instruct")
    ap.add_argument("--threads", type=int, action="append", help="may be repeated (1 and 2)")
    ap.add_argument("--rounds", type=int, default=7)
    ap.add_argument("--tokens", type=int, default=100)
    args = ap.parse_args()
    path = peers.model(args.model, "model.gguf")
    prompt = " ".join(WORDS[i % len(WORDS)] for i in range(args.tokens))
    print("what\twho\tmedian\tspread\tours / theirs")
    with tempfile.TemporaryDirectory() as work:
        theirs = os.path.join(work, "start")
        build(args.llama, theirs)
        for threads in args.threads or [1, 2]:
            sides = {
                "ragstone": [os.path.join(peers.BUILD, "ragstone"), "-q", "--threads", str(threads),
                             "generate", "--raw", "-n", "1", "-m", path, prompt],
                "llama.cpp": [theirs, path, str(threads), "4096", prompt],
            }
            start, peak, anon = ({who: [] for who in sides} for _ in range(3))
            for k in range(args.rounds + 1):    # the first is not counted: the page cache fills
                for who in sorted(sides, reverse=k % 2):
                    took, most, _ = once(sides[who], False)
                    _, _, mine = once(sides[who], True)
                    if k:
                        start[who].append(1e3 * took)
                        peak[who].append(most)
                        anon[who].append(mine)
            label = "%s, %d thread%s, " % (args.model, threads, "s" * (threads > 1))
            show(label + "start to first token", "ms", start)
            show(label + "peak memory", "MB", peak)
            show(label + "of it its own", "MB", anon)


if __name__ == "__main__":
    main()
