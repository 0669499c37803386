#!/usr/bin/env python3
"""Start-up time and memory of the programs: footprint.py start|memory TEXT...

start: a store of about 1,000 chunks is made from the beginning of TEXT, then
`ragstone search` is timed from process start to exit, 21 times (the page cache is warm).
memory: each TEXT is ingested into a store of its own; the largest resident set of
any process of that ingest is printed.  $RAGSTONE is the program (build/ragstone).
"""
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

RAGSTONE = os.environ.get("RAGSTONE", "build/ragstone")
CHUNK_BYTES = 1100      # of English text, about: 200 tokens


def start(text, work):
    part = os.path.join(work, "part.txt")
    with open(text, "rb") as f, open(part, "wb") as out:
        out.write(f.read(1000 * CHUNK_BYTES).decode("utf-8", "ignore").encode())
    store = os.path.join(work, "store")
    subprocess.run([RAGSTONE, "-q", "-s", store, "ingest", part], check=True)
    status = subprocess.run([RAGSTONE, "-s", store, "status"], check=True, capture_output=True, text=True)
    print(*[line for line in status.stdout.splitlines() if line.startswith("chunks")])
    times = []
    for _ in range(21):
        begin = time.perf_counter()
        subprocess.run([RAGSTONE, "-s", store, "search", "when did the normans settle"],
                       check=True, stdout=subprocess.DEVNULL)
        times.append(1e3 * (time.perf_counter() - begin))
    print(f"search_start {statistics.median(times):.1f} ms (min {min(times):.1f}, max {max(times):.1f})")


def memory(text, work):
    begin = time.perf_counter()
    subprocess.run([RAGSTONE, "-q", "-s", os.path.join(work, "store"), "ingest", text], check=True)
    rss = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"ingest_peak {rss:.0f} MB for {os.path.getsize(text) / 1e6:.1f} MB of text "
          f"in {time.perf_counter() - begin:.0f} s")


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("start", "memory"):
        sys.exit(__doc__)
    for text in sys.argv[2:]:
        with tempfile.TemporaryDirectory() as work:
            {"start": start, "memory": memory}[sys.argv[1]](text, work)


if __name__ == "__main__":
    main()
