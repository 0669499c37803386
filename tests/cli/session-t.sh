#!/bin/bash
# A user's session on the sample corpus, with the real models; and what goes wrong in one.
. "$srcdir/tests/tap.sh"
need_model all-minilm-l6-v2 smollm2-135m-instruct
rag=$builddir/ragstone
export RAGSTONE_STORE=$work/deep/er/store RAGSTONE_MODEL=smollm2-135m-instruct
docs=$work/docs
mkdir "$docs"
cat > "$docs/normans.md" <<'END'
---
author: "Doe, J. = me"
tags: [history, europe]
---
# Normans

## Origin
The Normans were the people who in the 10th and 11th centuries gave their name to Normandy, a region in France. They were
descended from Norse raiders and pirates from Denmark, Iceland and Norway.

## Culture
Norman architecture is known for its rounded arches.
END
echo 'The Amazon rainforest covers most of the Amazon basin of South America.' > "$docs/amazon.txt"
echo '<html><head><title>Tea</title><meta name=keywords content="drink, green"></head><body><h1>Tea</h1><p>Green tea is steeped at seventy degrees.</p></body></html>' > "$docs/tea.html"

run "$rag" ingest "$docs"
is "$code" 0 "a folder goes in"
is "$out" "" "nothing on stdout"
like "$err" '^3 added: [0-9]+ chunks' "the summary counts it"

run "$rag" ingest "$docs"
is "$code" 0 "again: nothing to do"
like "$err" '^3 unchanged' "and says so"

run "$rag" list --json
is "$(printf '%s\n' "$out" | wc -l)" 3 "three documents are listed"
like "$out" '"uri": "file://.*normans.md", "title": "Normans"' "with URI and title"

like "$out" '"labels": "", "metadata": \{"author": "Doe, J. = me", "tags": \["history", "europe"\]\}' "and metadata"
run "$rag" show --json "$docs/tea.html"
like "$out" '"metadata": \{"keywords": \["drink", "green"\]\}' "as show has it"
run "$rag" search --json --filter 'keywords == green or author ~ "^Doe,"' "the Amazon"
is "$(printf '%s\n' "$out" | grep -c amazon.txt)" 0 "filters see metadata"
like "$out" 'normans.md' "of each kind"

run "$rag" search --json -k 1 "where do the Normans come from"
is "$code" 0 "a search finds"
like "$out" '"rank": 1, .*normans.md.*"heading": "[^"]*Origin"' "the right passage under its heading"
start=$(printf '%s' "$out" | sed 's/.*"start": \([0-9]*\).*/\1/')
end=$(printf '%s' "$out" | sed 's/.*"end": \([0-9]*\).*/\1/')
run "$rag" show --start "$start" --end "$end" "$docs/normans.md"
like "$out" 'descended from Norse' "its offsets point into the text that show prints"

run "$rag" search --in '*.html' --json "Normans"
is "$(printf '%s\n' "$out" | grep -c normans.md)" 0 "--in keeps the others out"
run "$rag" search --filter 'type=text/html' --json tea
like "$out" 'tea.html' "--filter by type"
run "$rag" search --filter 'path ~ "^docs/" && type == "text/html" && size > 1 && !has nothing' --json tea
ok "a filter with operators leaves what fits" test "$(printf '%s\n' "$out" | grep -c .)" -ge 1
is "$(printf '%s\n' "$out" | grep -vc tea.html)" 0 "and that alone"
run "$rag" search --filter 'type == text/html and (size >' tea
is "$code" 2 "a filter that breaks off exits 2"
like "$err" 'a value is missing at column 30' "and the message says where"
run "$rag" search --filter 'type=' tea
run "$rag" search --filter 'nonsense' tea
is "$code" 2 "a filter that is none exits 2"
run "$rag" search --in 'nothing*' tea
is "$code" 1 "nothing found exits 1"
run "$rag" search ""
is "$code" 2 "an empty query exits 2"
like "$err" 'empty' "and says so"

run "$rag" ask --json "In what country is Normandy?"
ok "ask answers or says that it doesn't know" test "$code" -le 1
like "$out" '^\{"answer": .*"citations": \[.*"passages": \[' "as one object"
first=$out
RAGSTONE_KERNELS= run "$rag" --threads 1 ask --json "In what country is Normandy?"
is "$(printf '%s' "$out" | sed 's/"timings.*//')" "$(printf '%s' "$first" | sed 's/"timings.*//')" \
	"the same answer on one thread"

run "$rag" ask "What is the boiling point of tungsten hexafluoride in the upper mantle of Neptune's moon?"
is "$code" 1 "off the corpus: exits 1"
like "$out" "I don't know" "and says that it doesn't know"

printf '%s\n' "In what country is Normandy?" /sources /set "/show 9" /nonsense /quit > "$work/talk"
stdin=$work/talk run "$rag"
ok "a piped conversation ends well" test "$code" -le 1
like "$out" 'normans.md' "with its sources"
like "$err" "no command '/nonsense'" "and an unknown command is named"

echo 'The Normans never went to Normandy.' > "$docs/normans.md"
rm "$docs/tea.html"
run "$rag" ingest "$docs"
like "$err" '1 replaced, 1 unchanged, 1 removed' "changed is replaced, gone is removed"
run "$rag" search --json "descended from Norse raiders"
is "$(printf '%s\n' "$out" | grep -c 'Denmark')" 0 "the old text is gone"

echo text > "$work/in"
stdin=$work/in run "$rag" ingest --uri note:1 -
is "$code" 0 "standard input goes in"
run "$rag" show note:1
is "$out" "text" "and comes out"

: > "$docs/empty.txt"
head -c 5000 /dev/urandom > "$docs/garbage.bin.txt"
printf 'caf\351 au lait\n' > "$docs/latin1.txt"
run "$rag" ingest "$docs/empty.txt" "$docs/garbage.bin.txt" "$docs/latin1.txt" "$docs/missing.txt" "$docs/amazon.txt"
is "$code" 1 "bad files: exit 1"
like "$err" "missing.txt" "the missing one is named"
like "$err" "garbage.bin.txt" "and the garbage"
like "$err" '1 added' "the good one went in all the same"

run "$rag" forget "$docs/amazon.txt" nothing-like-this
is "$code" 1 "one of two forgotten: exit 1"
run "$rag" search --json "Amazon"
is "$(printf '%s\n' "$out" | grep -c amazon.txt)" 0 "it is gone from search"

run "$rag" verify
is "$code" 0 "the store is whole"
run "$rag" status --json
like "$out" '"embedder": "all-minilm-l6-v2", "dim": 384, "documents": 3' "status counts"
like "$out" '"language": "english", "stop_words": true, "k1": 1.2, "b": 0.75' "and says how words are scored"
run "$rag" init --language french --stop-words keep --bm25 .9,.4
is "$code" 0 "another language"
run "$rag" status
like "$out" 'words      french, with stop words, k1 0.9, b 0.4' "is the store's from then on"
run "$rag" verify
is "$code" 0 "all words are indexed anew"
run "$rag" init --language english --stop-words drop --bm25 1.2,0.75
is "$code" 0 "and back"

echo "hello world" > "$work/in"
stdin=$work/in run "$rag" embed -
like "$out" '^\[-?[0-9][0-9.e-]*(, -?[0-9][0-9.e-]*){383}\]$' "embed prints 384 numbers"
echo "hello world" > "$work/in"
stdin=$work/in run "$rag" tokens
is "$out" "[101, 7592, 2088, 102]" "tokens are the model's own"
echo '"hello <|im_end|>"' > "$work/in"
stdin=$work/in run "$rag" tokens --model smollm2-135m-instruct --jsonl
is "$(printf '%s' "$out" | grep -cw 2)" 0 "control strings are text"
run "$rag" generate -n 8 --raw "The capital of France is"
is "$code" 0 "generate goes on"
like "$out" 'Paris' "sensibly"
run "$rag" generate --model all-minilm-l6-v2 hello
is "$code" 2 "an embedder is no generator"
run "$rag" embed --model smollm2-135m-instruct "$docs/amazon.txt"
is "$code" 2 "a generator is no embedder"

# A store keeps to its precision; the environment speaks for new ones alone.
exact=$work/exact
run "$rag" -s "$exact" ingest --precision f32 "$docs/normans.md"
is "$code" 0 "a store in f32"
run "$rag" -s "$exact" search --json -k 1 "where do the Normans come from"
first=$out
RAGSTONE_PRECISION=int8 run "$rag" -s "$exact" search --json -k 1 "where do the Normans come from"
is "$out" "$first" "is searched in f32 whatever new ones would be"
run "$rag" -s "$exact" ingest --precision int8 "$docs/amazon.txt"
is "$code" 2 "and takes nothing else"
like "$err" "the store's vectors are f32, not int8" "which is said"
run "$rag" -s "$work/other" init --precision half
is "$code" 2 "an unknown precision exits 2"
like "$err" "unknown precision 'half'" "and is named"
ok "and leaves no store" test ! -e "$work/other"
stdin=$work/in run "$rag" embed --precision f32 -
first=$out
stdin=$work/in run "$rag" embed -
is "$out" "$first" "embed is exact"
stdin=$work/in run "$rag" embed --precision int8 -
ok "unless told otherwise" test "$out" != "$first"

tap_done
