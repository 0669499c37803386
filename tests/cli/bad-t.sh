#!/bin/bash
# Bad input, as a user meets it: what is said, the exit code, and that nothing is lost by it.
. "$srcdir/tests/tap.sh"
need_model all-minilm-l6-v2 smollm2-135m-instruct
rag=$builddir/ragstone
export RAGSTONE_STORE=$work/store RAGSTONE_MODEL=smollm2-135m-instruct
minilm=$models/all-minilm-l6-v2 smollm=$models/smollm2-135m-instruct/model.gguf
esc=$'\033'

# put FILE OFFSET BYTES (as printf has them)
put() {
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2> "$work/dd"
}

# ---- models -------------------------------------------------------------------------
bad=$work/models
mkdir "$bad"
for f in keys version tensors; do
	head -c 3000000 "$smollm" > "$bad/$f.gguf"
done
put "$bad/version.gguf" 4 '\143'
put "$bad/tensors.gguf" 8 '\377\377\377\377\377\377\377\377'
put "$bad/keys.gguf" 16 '\377\377\377\377\377\377\377\377'
head -c 3000000 "$smollm" > "$bad/cut.gguf"
: > "$bad/empty.gguf"
for f in cut:'larger than the file' version:'GGUF version 99' tensors:'18446744073709551615 tensors' \
	keys:'18446744073709551615 keys' empty:'no magic'; do
	for c in "generate -n 1 -m $bad/${f%%:*}.gguf hi" "tokens -m $bad/${f%%:*}.gguf" \
		"model inspect $bad/${f%%:*}.gguf"; do
		# shellcheck disable=SC2086
		run "$rag" $c
		is "$code" 2 "${f%%:*}.gguf: ${c%% *} exits 2"
		like "$err" "^ragstone: '$bad/${f%%:*}.gguf': .*${f#*:}" "and says what and where"
	done
done
for f in cut lie empty; do
	mkdir "$bad/$f"
	cp "$minilm"/*.json "$minilm/vocab.txt" "$bad/$f"
	head -c 100000 "$minilm/model.safetensors" > "$bad/$f/model.safetensors"
done
put "$bad/lie/model.safetensors" 0 '\377\377\377\377\377\377\377\177'
: > "$bad/empty/model.safetensors"
echo hello > "$work/in"
for f in cut:'beyond the file' lie:'9223372036854775807 bytes' empty:'file ends'; do
	run "$rag" embed --model "$bad/${f%%:*}" "$work/in"
	is "$code" 2 "${f%%:*}/model.safetensors: embed exits 2"
	like "$err" "^ragstone: '$bad/${f%%:*}/model.safetensors': .*${f#*:}" "and says what and where"
done

onnx=$srcdir/tests/fuzz/onnx
for f in "$onnx/cut"$'\t''damaged at byte [0-9]+: a field goes beyond' "$onnx/none"$'\t''damaged at byte 0' \
	"$smollm"$'\t''architecture .llama' "$onnx/sdpa"$'\t''pools is not known' "$bad/none.onnx"$'\t''No such file'; do
	run "$rag" model convert "${f%%$'\t'*}" "$work/converted"
	is "$code" 2 "convert ${f%%$'\t'*}: exit 2"
	like "$err" "^ragstone: .*'${f%%$'\t'*}'.*${f#*$'\t'}" "and says what and where"
done
run "$rag" model convert --pooling cls "$onnx/sdpa" "$work/converted"
like "$err" "no tokenizer beside '$onnx/sdpa'" "a tokenizer is asked for"
run "$rag" model convert --pooling cls --tokenizer "$minilm/vocab.txt" "$onnx/sdpa" "$work/converted"
like "$err" "the tokenizer has 30522 ids, the encoder 12" "and must be the model's own"
ok "nothing is left of them" test ! -e "$work/converted" -a -z "$(ls -d "$work"/converted* 2> /dev/null)"
run "$rag" model convert "$onnx/sdpa"
is "$code" 2 "convert without a folder is a usage error"

# ---- documents ----------------------------------------------------------------------
docs=$work/docs
mkdir -p "$docs/sub"
echo 'Walruses sleep on the ice.' > "$docs/good.txt"
: > "$docs/empty.txt"
printf 'nul \0 and more\n' > "$docs/nul.txt"
printf 'caf\303\251 \377\376 \300\200 words of bad UTF-8, walruses among them\n' > "$docs/utf8.txt"
truncate -s 2G "$docs/sparse.txt"
printf '%%PDF-1.4\nnothing\n' > "$docs/cut.pdf"
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "<div>"; print "deep walruses" }' > "$docs/deep.html"
echo 'Seals.' > "$docs/${esc}[31mred.txt"
ln -s .. "$docs/sub/up"
ln -s nothing "$docs/dangling"
mkfifo "$docs/pipe"
run "$rag" ingest -v "$docs"
is "$code" 1 "a folder with bad files: exit 1"
like "$err" '^4 added, .*failed' "the good ones go in"
like "$err" 'utf8.txt: [0-9]+ invalid bytes replaced' "invalid UTF-8 is told"
like "$err" 'sparse.txt. has 2147483648 bytes, more than' "a huge file is not read"
like "$err" 'cut.pdf: damaged PDF' "a cut PDF is named"
like "$err" 'sub/up: directory loop' "a directory loop ends"
like "$err" 'nul.txt: not text' "binary is no text"
like "$err" 'pipe: not a regular file' "a pipe is not waited for"
run "$rag" ingest "$docs/empty.txt" "$docs/missing${esc}[31m" "$docs/good.txt"
is "$code" 1 "an empty and a missing file: exit 1"
like "$err" 'empty.txt: empty: 0 bytes' "the empty one is named"
like "$err" 'no such file' "and the missing one"
like "$err" '1 unchanged, 2 failed' "the good one is looked at"
# FILTER:COLUMN:MESSAGE
for f in 'lang == :9:a value is missing' 'has lang lang:10:.and. or .or. is missing' 'size > big:8:size is a number' \
	'uri ~ "(x":7:bad pattern' 'title == "open:10:a quote that is not closed' 'a in [b c]:9:. or .\]. is missing'; do
	run "$rag" search --filter "${f%%:*}" walruses
	is "$code" 2 "filter ${f%%:*}: exit 2"
	like "$err" "${f##*:}.* at column $(cut -d: -f 2 <<< "$f")\$" "and says what and where"
done
run "$rag" search --filter 'uri ~ "^(.|[^ ]|\\S)+[ !]$"' walruses
is "$code" 2 "a pattern that backtracks without end: exit 2"
like "$err" "filter on 'file:.*gave up" "and says on which document"
run "$rag" search --json "deep walruses"
like "$out" 'deep.html' "a page nested 100,000 deep is found"
run "$rag" ingest --embedder "$bad/cut" "$docs/good.txt"
is "$code" 2 "a broken embedder for a store: exit 2"
if [ "$(id -u)" != 0 ]; then
	chmod 000 "$docs/good.txt"
	run "$rag" ingest "$docs/good.txt"
	like "$err" 'good.txt.: Permission denied' "an unreadable file is named"
	chmod 600 "$docs/good.txt"
fi

# ---- an embedder that is not the store's ---------------------------------------------
mkdir "$bad/other"
cp "$minilm"/* "$bad/other"
size=$(stat -c %s "$bad/other/model.safetensors")
put "$bad/other/model.safetensors" $((size - 2)) '\001'
run "$rag" ingest --embedder "$bad/other" "$docs/good.txt"
is "$code" 2 "another embedder than the store's: exit 2"
like "$err" "the store's vectors were made by another" "and says so"

# ---- addresses ------------------------------------------------------------------------
run "$rag" ingest http://127.0.0.1:9/ "http://[::1]/" http://10.0.0.1/ http://2130706433/ ftp://x.example/ "$docs/good.txt"
is "$code" 1 "private addresses: exit 1"
is "$(printf '%s\n' "$err" | grep -c 'a private address$')" 4 "none is reached"
like "$err" "only http and https are fetched, not 'ftp'" "no other scheme"
like "$err" '1 unchanged, 5 failed' "the file beside them is looked at"

# ---- questions -------------------------------------------------------------------------
for c in ask search generate; do
	run "$rag" $c ""
	is "$code" 2 "$c of nothing: exit 2"
	like "$err" 'empty' "and says so"
done
long=$(awk 'BEGIN { for (i = 0; i < 4000; i++) printf "Where do walruses sleep? " }')
run "$rag" ask "$long"
is "$code" 2 "a question longer than the context: exit 2"
like "$err" 'question has [0-9]+ tokens, the context holds [0-9]+' "and says how long"
run "$rag" ask $'\377\376 what'
ok "a question of invalid UTF-8 is answered or refused" test "$code" -le 2

# ---- the store --------------------------------------------------------------------------
cp -r "$work/store" "$work/newer"
at=$(grep -abo RAGSTORE "$work/newer/data.mdb" | cut -d: -f1)
ok "the format's number is where it was" test -n "$at"
for i in $at; do
	put "$work/newer/data.mdb" $((i + 8)) '\142'
done
for c in status "search x" "ingest $docs/good.txt" verify; do
	# shellcheck disable=SC2086
	run "$rag" -s "$work/newer" $c
	is "$code" 2 "a store of a later version: ${c%% *} exits 2"
	like "$err" "has format 98, this ragstone knows" "and says so"
done

run "$rag" -s "$work/words" init --language klingon
is "$code" 2 "a language without a stemmer exits 2"
like "$err" "no stemmer for language 'klingon'; there are .*german" "and those with one are named"
run "$rag" -s "$work/words" init --bm25 1.2
is "$code" 2 "half of a setting exits 2"
run "$rag" -s "$work/words" init --bm25 1,2
like "$err" 'k1 1 and b 2: 0 to 1000 and 0 to 1 are possible' "a setting out of range"
run "$rag" -s "$work/words" init --stop-words no
is "$code" 2 "stop words are dropped or kept"

"$rag" -s "$work/two" init 2> "$work/err"
env --default-signal=INT "$rag" -s "$work/two" ingest "$srcdir/corpora/sample" > "$work/first" 2>&1 &
pid=$!
for _ in $(seq 200); do
	[ "$(cat "$work/two/writer.lock" 2> /dev/null)" = $pid ] && break
	sleep 0.05
done
run "$rag" -s "$work/two" ingest "$docs/good.txt"
is "$code" 2 "a second writer: exit 2"
like "$err" "store in use, '$work/two' is being written by process $pid" "and says by whom it is held"
run "$rag" -s "$work/two" list
ok "readers don't wait" test "$code" -le 1
kill -INT $pid
code=0
wait $pid || code=$?
is "$code" 130 "Ctrl-C on an ingest: exit 130"
like "$(cat "$work/first")" 'ragstone: interrupted' "and says so"
run "$rag" -s "$work/two" verify
is "$code" 0 "its store is whole"

(
	ulimit -f 120
	trap '' XFSZ
	"$rag" -s "$work/full" ingest "$srcdir/corpora/sample/articles"
) > "$work/out" 2> "$work/err"
is "$?" 2 "no room left: exit 2"
like "$(cat "$work/err")" "no room left for store '$work/full'|cannot open store" "and says so"
run "$rag" -s "$work/full" verify
is "$code" 0 "the store is whole"
run "$rag" -s "$work/full" ingest "$docs/good.txt"
is "$code" 0 "with room again it goes on"

"$rag" -s "$work/stub" init 2> "$work/err"
rm "$work/stub/data.mdb"
(
	ulimit -f 4
	trap '' XFSZ
	"$rag" -s "$work/stub" init
) > "$work/out" 2> "$work/err"
is "$?" 2 "no room for a store's first pages: exit 2"
run "$rag" -s "$work/stub" ingest "$docs/good.txt"
is "$code" 0 "with room again it is made"

# ---- Ctrl-C where input is awaited ---------------------------------------------------------
# interrupt WHAT INPUT COMMAND...: with INPUT standing in a pipe that stays open.
interrupt() {
	local what=$1 input=$2 pid
	shift 2
	rm -f "$work/pipe"
	mkfifo "$work/pipe"
	exec 9<> "$work/pipe"
	printf '%s' "$input" >&9
	# A job of a script ignores SIGINT; env gives it back.
	env --default-signal=INT "$@" < "$work/pipe" > "$work/out" 2> "$work/err" &
	pid=$!
	sleep 0.7
	kill -INT $pid
	code=0
	wait $pid || code=$?
	exec 9>&-
	is "$code" 130 "Ctrl-C $what: exit 130"
}
interrupt "on ingest -" "" "$rag" ingest -
like "$(cat "$work/err")" '^ragstone: interrupted$' "it says that alone"
interrupt "on embed -" "" "$rag" embed
interrupt "on a piped conversation that waits" "" "$rag"
interrupt "on a piped conversation that answers" "Where do walruses sleep?
What do they eat?
" "$rag"

# ---- where output goes -----------------------------------------------------------------
run bash -c "'$rag' list --json | head -n 1; exit \${PIPESTATUS[0]}"
is "$err" "" "a closed pipe is no news"
ok "and ends it" test "$code" = 0 -o "$code" = 141
run bash -c "'$rag' list > /dev/full"
is "$code" 2 "a full disk behind stdout: exit 2"
if command -v script > /dev/null; then
	run script -qec "'$rag' ingest '$docs/missing${esc}]0;owned'" /dev/null
	is "$(printf '%s' "$out" | grep -c "$esc]0")" 0 "a file's name cannot speak to the terminal"
	like "$out" 'no such file' "its error is told all the same"
	run script -qec "'$rag' list" /dev/null
	like "$out" '%1B%5B31mred.txt' "nor one that is listed"
	is "$(printf '%s' "$out" | grep -c "$esc\[31m")" 0 "with its title"
fi
tap_done
