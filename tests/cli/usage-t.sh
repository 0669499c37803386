#!/bin/bash
# Exit codes, streams and messages that need no model; the man page against --help.
. "$srcdir/tests/tap.sh"
rag=$builddir/ragstone
export RAGSTONE_STORE=$work/store

run "$rag" --help
is "$code" 0 "--help exits 0"
is "$err" "" "and is silent on stderr"
like "$out" '^usage: ragstone' "and prints the usage"

run "$rag" --version
is "$code" 0 "--version exits 0"
like "$out" '^ragstone [0-9.]+ \(.*faiss' "and names what it was built with"

run "$rag" frobnicate
is "$code" 2 "an unknown command exits 2"
is "$out" "" "with nothing on stdout"
like "$err" "no command 'frobnicate'" "and names it"

run "$rag" search
is "$code" 2 "a missing argument exits 2"
like "$err" 'usage: ragstone search' "and shows the usage"

run "$rag" search --nonsense x
is "$code" 2 "an unknown option exits 2"
like "$err" "unknown option '--nonsense'" "and names it"

run "$rag" search -k
is "$code" 2 "an option without its value exits 2"
like "$err" "wants a value" "and says so"

run "$rag" search -k many x
is "$code" 2 "a value of the wrong kind exits 2"
like "$err" "-k wants a number, not 'many'" "and says what it wants"

run "$rag" search --min-score nan x
is "$code" 2 "not a number is no number"

run "$rag" list extra
is "$code" 2 "an argument too many exits 2"

for c in list status verify "search x" "ask x" "show 1" "forget 1"; do
	# shellcheck disable=SC2086
	run "$rag" $c
	is "$code" 2 "'$c' without a store exits 2"
	like "$err" "no (such )?store|'$work/store'" "and names the store"
done

run "$rag" -s "$work/store" ask ""
is "$code" 2 "an empty question without a store exits 2"

RAGSTONE_KERNELS=warp run "$rag" --help
is "$code" 2 "an unknown kernel level exits 2"

mkdir "$work/notastore"
echo garbage > "$work/notastore/data.mdb"
run "$rag" -s "$work/notastore" status
is "$code" 2 "a folder of garbage is no store"
like "$err" "notastore" "and is named"

: > "$work/file"
run "$rag" -s "$work/file" status
is "$code" 2 "a file is no store"

run "$rag" tokens --model no-such-model
is "$code" 2 "a missing model exits 2"
like "$err" "ragstone model pull no-such-model" "and says how models are got"

head -c 100 /dev/urandom > "$work/bad.gguf"
run "$rag" generate --model "$work/bad.gguf" hello
is "$code" 2 "garbage is no model"
like "$err" "bad.gguf" "and is named"

run bash -c "'$rag' --help > /dev/full"
is "$code" 2 "a full disk behind stdout is a failure"

# Every flag of every command's help is in the man page, and no other.
man=$(sed 's/\\-/-/g; s/\\f[BIR]//g' "$srcdir/doc/ragstone.1")
for c in init ingest search ask chat list show forget status verify embed tokens generate \
	perplexity model eval bench; do
	run "$rag" "$c" --help
	is "$code" 0 "$c --help exits 0"
	missing=
	section=$(printf '%s\n' "$man" | awk -v c="$c" '/^\.SS/ { on = $2 == c || $2 == "\"" c } on')
	ok "$c is in the man page" test -n "$section"
	for flag in $(printf '%s\n' "$out" | sed -n 's/^  \(-\([a-zA-Z]\), \)\?\( *\)\(--[a-z-]*\).*/\4/p;s/^  \(-[a-zA-Z]\) .*/\1/p'); do
		case $flag in
		--store | --json | --quiet | --threads | --models) continue ;;
		esac
		printf '%s\n' "$man" | grep -qe "$flag" || missing+=" $flag"
	done
	is "$missing" "" "the man page has every flag of $c"
done
for flag in $(printf '%s\n' "$man" | grep -o -e '--[a-z][a-z-]*' | sort -u); do
	found=
	for c in "" init ingest search ask chat list show forget embed tokens generate perplexity model eval bench; do
		# shellcheck disable=SC2086
		"$rag" $c --help | grep -qe "$flag" && found=1 && break
	done
	[ -n "$found" ] || case $flag in --cflags | --libs) ;; *) ok "$flag of the man page exists" false ;; esac
done

tap_done
