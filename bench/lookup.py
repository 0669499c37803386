#!/usr/bin/env python3
"""What drafts from the passages gain: lookup.py DATASET [options]

DATASET holds corpus.jsonl (id, title, text) and queries.jsonl (text, answerable, written_for: the
passage's id), as squad2_dev does.  Each of --questions answerable questions gets its own passage
and four of the same title, and is answered with and without drafts, in turns: the short answers
of `ragstone ask` and, as plain prompts, answers that quote the passages.  Ids must be the same:
exit code 1 when a text differs.
"""
import argparse
import collections
import json
import os
import statistics
import subprocess
import sys

import peers

QUOTE = ("Answer the question in a full sentence, then quote the sentences of the passages "
         "that support it.")


def requests(folder, n):
    docs, by_title = {}, collections.defaultdict(list)
    with open(os.path.join(folder, "corpus.jsonl"), encoding="utf-8") as f:
        for d in map(json.loads, f):
            docs[d["id"]] = d
            by_title[d["title"]].append(d["id"])
    with open(os.path.join(folder, "queries.jsonl"), encoding="utf-8") as f:
        asked = [q for q in map(json.loads, f) if q.get("answerable")]
    for q in asked[::max(1, len(asked) // n)][:n]:
        gold = q["written_for"]
        ids = [i for i in by_title[docs[gold]["title"]] if i != gold][:4]
        ids.insert(2, gold)
        yield q["text"], [docs[i]["text"] for i in ids]


def run(model, threads, tokens, temperature, lines):
    tool = os.path.join(peers.BUILD, "tests", "tools", "answers")
    p = subprocess.run([tool, model, str(threads), str(tokens), str(temperature)], check=True,
                       input="".join(json.dumps(line) + "\n" for line in lines), text=True,
                       stdout=subprocess.PIPE)
    return [json.loads(line) for line in p.stdout.splitlines()]


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("dataset")
    ap.add_argument("--model", default="qwen2.5-coder-0.5b-instruct")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--questions", type=int, default=30)
    ap.add_argument("--tokens", type=int, default=150)
    ap.add_argument("--temperature", type=float, default=0)
    args = ap.parse_args()
    path = peers.model(args.model, "model.gguf")
    asked = list(requests(args.dataset, args.questions))
    kinds = {
        "short answers": [{"question": q, "passages": p} for q, p in asked],
        "quoting": [{"question": "Passages:\n\n%s\n\nQuestion: %s\n%s" % ("\n\n".join(p), q, QUOTE)}
                    for q, p in asked],
    }
    differ = 0
    print("what\ttokens\twithout\twith\tratio\tof each answer\tdrafted\tright")
    for kind, lines in kinds.items():
        rows = run(path, args.threads, args.tokens, args.temperature, lines)
        differ += sum(not r["same"] for r in rows)
        tokens, plain, with_ = (sum(r[k] for r in rows) for k in ("tokens", "plain", "lookup"))
        each = sorted(r["plain"] / r["lookup"] for r in rows if r["tokens"] > 1)
        print("%s\t%d\t%.1f tokens/s\t%.1f tokens/s\t%.2f\t%.2f (%.2f .. %.2f)\t%d\t%d" % (
            kind, tokens, tokens / plain, tokens / with_, plain / with_, statistics.median(each),
            each[0], each[-1], sum(r["drafted"] for r in rows),
            sum(r["accepted"] for r in rows)))
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
