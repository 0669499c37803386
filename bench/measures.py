"""Asks ir-measures (trec_eval's figures) what `ragstone eval retrieval` says of its own rankings.

	pip install ir-measures
	python3 bench/measures.py build/ragstone STORES MODE DIR...

STORES: a folder for the sets' stores (-s).  Prints the greatest difference of each set and
ends with 1 if one is not equal to four digits.
"""
import csv
import json
import os
import subprocess
import sys
import tempfile
from urllib.parse import quote

import ir_measures
from ir_measures import AP, RR, R, nDCG

MEASURES = {"ndcg@10": nDCG @ 10, "recall@10": R @ 10, "recall@100": R @ 100, "mrr@10": RR @ 10, "map": AP}


def name(s):	# as a field of a ranking is written
	return s.replace("%", "%25").replace(" ", "%20")


def judgements(folder):
	with open(os.path.join(folder, "qrels.tsv"), newline="") as f:
		rows = list(csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
	relevant = {q for q, _, g in rows if int(g) > 0}
	return [ir_measures.Qrel(name(q), name(d), int(g)) for q, d, g in rows if q in relevant]


def check(program, stores, mode, folder):
	with tempfile.NamedTemporaryFile("r", suffix=".run") as f:
		command = [program, "-q", "-s", stores, "eval", "retrieval", "--json", "--mode", mode, "--run", f.name, folder]
		ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
		run = list(ir_measures.read_trec_run(f.name))
	qrels = judgements(folder)
	# a query for which nothing was found is no line of the run, and counts as 0
	queries = {q.query_id for q in qrels}
	sums = dict.fromkeys(MEASURES.values(), 0.0)
	for m in ir_measures.iter_calc(list(MEASURES.values()), qrels, run):
		sums[m.measure] += m.value
	theirs = {key: sums[m] / len(queries) for key, m in MEASURES.items()}
	print(ours["set"], mode, *(f"{key} {ours[key]:.4f} {theirs[key]:.4f}" for key in MEASURES), sep="\t", flush=True)
	return max(abs(ours[key] - theirs[key]) for key in MEASURES)


def main():
	program, stores, mode, *folders = sys.argv[1:]
	worst = max(check(program, stores, mode, folder) for folder in folders)
	print(f"greatest difference {worst:.6f}")
	sys.exit(worst > 0.00005000001)


main()
