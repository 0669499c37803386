"""Makes tests/golden/measures.txt: figures of small rankings, by ir-measures (which asks trec_eval).

	pip install ir-measures
	python3 tests/golden/measures.py > tests/golden/measures.txt

A line: the grades of the ranking, best first (-: not judged); the grades of what is
judged and was not found; nDCG@10, recall@10, recall@100, MRR@10, MAP.  A line that begins
with t: a prediction, gold answers, exact match and token F1 as SQuAD's script defines them
(small letters, no punctuation, no articles, tokens as a multiset, the best of the golds).
"""
import collections
import random
import string
import re

import ir_measures
from ir_measures import AP, RR, R, nDCG

MEASURES = [nDCG @ 10, R @ 10, R @ 100, RR @ 10, AP]


def ranking(rng):
	n = rng.choice([0, 1, 2, 9, 10, 11, 30, 100])
	rel = rng.choice([.02, .1, .5])
	top = rng.choice([1, 1, 4])
	def grade():
		return rng.randint(1, top) if rng.random() < rel else rng.choice([0, None, None])
	found = [grade() for _ in range(n)]
	missed = [g for g in (grade() for _ in range(rng.choice([0, 1, 5, 30]))) if g is not None]
	if not any(g for g in found + missed):
		missed.append(top)
	return found, missed


def measured(found, missed):
	grades = {f"f{i}": g for i, g in enumerate(found) if g is not None}
	grades.update({f"m{i}": g for i, g in enumerate(missed)})
	qrels = [ir_measures.Qrel("q", d, g) for d, g in grades.items()]
	run = [ir_measures.ScoredDoc("q", f"f{i}", 1000 - i) for i in range(len(found))]
	values = ir_measures.calc_aggregate(MEASURES, qrels, run or [ir_measures.ScoredDoc("q", "none", 1)])
	return [values[m] for m in MEASURES]


def words(s):
	s = "".join(c for c in s.lower() if c not in string.punctuation)
	return re.sub(r"\b(a|an|the)\b", " ", s).split()


def f1(gold, guess):
	g, p = words(gold), words(guess)
	if not g or not p:
		return float(g == p)
	same = sum((collections.Counter(g) & collections.Counter(p)).values())
	return 2 * same / (len(g) + len(p)) if same else 0.0


TEXTS = [
	("The Norman conquest, of England!", ["norman conquest of England"]),
	("in 1066", ["1066", "October 1066"]),
	("a an the", ["the"]),
	("", ["something"]),
	("a", [""]),
	("Rollo, Rollo and Rollo", ["Rollo", "Rollo and Rollo"]),
	("\u00c9cole des Beaux-Arts", ["\u00e9cole des beauxarts", "Beaux Arts"]),
	("It's $12.50 (nearly)", ["$12.50", "nearly $12.50"]),
	("theatre an_d anthem", ["theatre", "and anthem"]),
	("Die Antwort \u2014 zw\u00f6lf", ["ZW\u00d6LF", "zw\u00f6lf"]),
	("Saint\u2011Denis is the answer the the", ["the answer is Saint\u2011Denis"]),
	("a.b.c", ["abc"]),
]


def main():
	rng = random.Random(5)
	for _ in range(60):
		found, missed = ranking(rng)
		values = measured(found, missed)
		print(" ".join("-" if g is None else str(g) for g in found), " ".join(map(str, missed)),
		      " ".join(f"{v:.6f}" for v in values), sep="\t")
	for guess, golds in TEXTS:
		em = max(words(g) == words(guess) for g in golds)
		print("t", guess, "|".join(golds), f"{int(em)} {max(f1(g, guess) for g in golds):.6f}", sep="\t")


main()
