#!/bin/bash
# Measuring on judged sets: what is printed, kept and refused.
. "$srcdir/tests/tap.sh"
need_model all-minilm-l6-v2
rag=$builddir/ragstone
export TMPDIR=$work/tmp
mkdir "$TMPDIR" "$work/set" "$work/other"

cat > "$work/set/corpus.jsonl" <<'END'
{"id": "river", "title": "The Danube", "text": "The river flows through ten countries into the Black Sea."}
{"id": "bread", "text": "Sourdough needs flour, water, salt and time."}
{"id": "moon", "title": "Tides", "text": "The moon's gravity moves the oceans."}
END
cat > "$work/set/queries.jsonl" <<'END'
{"id": "1", "text": "where does the Danube end?", "answers": ["the Black Sea"]}
{"id": "2", "text": "how to bake <b>bread</b> & cake"}
{"id": "3", "text": "not judged"}
END
printf 'query\tdocument\tgrade\n1\triver\t1\n2\tbread\t2\n' > "$work/set/qrels.tsv"

# ---- retrieval ------------------------------------------------------------------------
run "$rag" eval retrieval --mode bm25,dense,hybrid --json "$work/set"
is "$code" 0 "three modes are measured"
is "$(printf '%s\n' "$out" | grep -c '^{"set": "set", "mode": "[a-z0-9]*", "documents": 3, "queries": 2, "ndcg@10": ')" 3 "an object each"
like "$out" '"mode": "dense".*"ndcg@10": 1.000000, "recall@10": 1.000000, "recall@100": 1.000000, "mrr@10": 1.000000, "map": 1.000000, "interval": \{"ndcg@10": \[1.000000, 1.000000\].*"ms_p50": [0-9.]+\}$' "with the figures"
is "$(ls "$TMPDIR")" "" "no temporary store is left"
run "$rag" -s "$work/keep" eval retrieval --mode dense --vs bm25 --run "$work/ranking" --html "$work/page.html" "$work/set" "$work/set/"
is "$code" 0 "two sets, compared, with a page"
like "$out" '^mean  ' "a table with means"
like "$out" '^dense against bm25' "and differences"
is "$(ls "$work/keep" | wc -l)" 2 "a store for words, one for vectors"
is "$(cut -d' ' -f2,4,6 "$work/ranking" | head -n 1)" "Q0 1 dense" "a ranking in TREC's form"
like "$(cat "$work/page.html")" '^</main></body></html>$' "the page is whole"
like "$(cat "$work/page.html")" 'bake &lt;b&gt;bread&lt;/b&gt; &amp; cake|The questions that' "what a question says is no markup"
is "$(grep -cE 'bake <b>|https?://|<script' "$work/page.html")" 0 "and nothing is fetched"
before=$(cat "$work/keep"/*/data.mdb | cksum)
run "$rag" -s "$work/keep" eval retrieval --mode dense --json "$work/set"
is "$(cat "$work/keep"/*/data.mdb | cksum)" "$before" "the second run writes nothing"

mkdir "$work/mine"
"$rag" -s "$work/own" ingest "$srcdir/corpora/sample/articles" > "$work/out" 2> "$work/err"
first=$("$rag" -s "$work/own" list --json | sed -n '1s/.*"uri": "\([^"]*\)".*/\1/p')
printf '{"id": "q", "text": "What is this about?"}\n' > "$work/mine/queries.jsonl"
printf 'query\tdocument\tgrade\nq\t%s\t1\n' "$first" > "$work/mine/qrels.tsv"
run "$rag" -s "$work/own" eval retrieval --mode dense --json "$work/mine"
is "$code" 0 "questions about a store's own documents"
like "$out" '"set": "mine", "mode": "dense", "documents": [1-9]' "are measured"
run "$rag" -s "$work/own" eval retrieval --mode dense "$work/mine" "$work/set"
is "$code" 2 "but not beside a set that brings its own"
run "$rag" -s "$work/own" eval retrieval --mode dense "$work/set"
like "$err" "own' is a store" "nor is that put into the store"
run "$rag" -s "$work/nowhere" eval retrieval --mode dense "$work/mine"
like "$err" "'mine' has no corpus.jsonl, its questions are about a store: .*nowhere" "without a store there are no documents"

# ---- what is wrong ----------------------------------------------------------------------
cp "$work/set"/* "$work/other"
# broken FILE TEXT PATTERN
broken() {
	cp "$work/other/$1" "$work/saved"
	printf "$2" > "$work/other/$1"
	run "$rag" eval retrieval --mode bm25 "$work/set" "$work/other"
	is "$code" 2 "$1: exit 2"
	is "$out" "" "before anything is measured"
	like "$err" "^ragstone: .*$3" "says $3"
	cp "$work/saved" "$work/other/$1"
}
broken corpus.jsonl '{"id": "river", "text": "a"}\n{"id": "bread", "text": ' "other/corpus.jsonl', line 2, column"
broken corpus.jsonl '' "no document in '.*other/corpus.jsonl'"
broken corpus.jsonl '{"id": "a", "text": "a"}\n{"id": "a", "text": "b"}\n' "line 2: two documents 'a', the other in line 1"
broken queries.jsonl '{"id": "1", "text": "  "}\n' "line 1: the text is empty of query 1"
broken qrels.tsv 'q\td\tg\n1\tlake\t1\n' "qrels.tsv', line 2: no such document: lake"
broken qrels.tsv 'q\td\tg\n9\triver\t1\n' "qrels.tsv', line 2: no such query: 9"
broken qrels.tsv 'q\td\tg\n1\triver\t0\n' "no query of '.*other' has a relevant document"
for c in "--mode best" "--mode fusion:weight=2" "--chunks lines" "--mode dense --chunks document" "--tune --stages" \
	"--set" "--vs no=1"; do
	# shellcheck disable=SC2086
	run "$rag" eval retrieval $c "$work/set"
	is "$code" 2 "$c: exit 2"
	like "$err" '^ragstone: [^:]*(mode|weight|chunks|tune|setting)' "and says why"
done
run "$rag" eval retrieval --tune "$work/set"
like "$err" "'set' has 2 questions to tune on, 20 are the least" "two questions are too few to tune on"
run "$rag" eval retrieval --html "$work/no/page.html" "$work/set"
is "$code" 2 "a page that cannot be written: exit 2"
run "$rag" eval guesses "$work/set"
like "$err" 'usage: ragstone eval retrieval\|answers DIR' "no such measure"

# ---- Ctrl-C --------------------------------------------------------------------------------
awk 'BEGIN { for (i = 0; i < 3000; i++) printf "{\"id\": \"d%d\", \"text\": \"The river %d flows through %d countries, a long way into the sea, and nobody knows why.\"}\n", i, i, i * 7 }' > "$work/other/corpus.jsonl"
printf 'query\tdocument\tgrade\n1\td7\t1\n' > "$work/other/qrels.tsv"
env --default-signal=INT "$rag" eval retrieval --mode dense "$work/other" > "$work/out" 2> "$work/err" &
pid=$!
for _ in $(seq 200); do
	[ -n "$(ls "$TMPDIR")" ] && break
	sleep 0.05
done
sleep 0.5
kill -INT $pid
code=0
wait $pid || code=$?
is "$code" 130 "Ctrl-C: exit 130"
is "$(cat "$work/err")" "ragstone: interrupted" "it says that alone"
is "$(ls "$TMPDIR")" "" "and removes its store"

# ---- answers -----------------------------------------------------------------------------------
if [ -e "$models/smollm2-135m-instruct" ]; then
	ask=("$rag" -s "$work/keep" eval answers --generator smollm2-135m-instruct --max-tokens 20)
	run "${ask[@]}" --json --html "$work/answers.html" "$work/set"
	is "$code" 0 "answers are measured"
	like "$out" '^\{"set": "set", "mode": "hybrid", "generator": "smollm2-135m-instruct", "questions": 1, "answerable": 1, .*"exact_match": [01].*"abstention_recall": null' "with their figures"
	like "$err" '2 questions left out' "what has no answer is told"
	like "$(cat "$work/answers.html")" 'where does the Danube end' "the page has the questions"
	run "${ask[@]}" "$work/set"
	like "$err" '1 of 1 answers are there from an earlier run' "again, they are taken from the log"
	run "${ask[@]}" --gold --json "$work/set"
	like "$out" '"mode": "gold"' "of the right passages"
fi
printf '{"id": "1", "text": "what?"}\n' > "$work/other/queries.jsonl"
run "$rag" eval answers --mode bm25:chunks=document "$work/other"
is "$code" 2 "no question has answers: exit 2"
like "$err" "no question of 'other' has \"answers\"" "and says so"
tap_done
