#!/bin/bash
# `ragstone ingest` is killed with SIGKILL at random moments, N times (60).  After each death
# the store is whole; an ingest that is let live then ends, and the documents are those of a
# store whose writer was never killed.  Each run kills the writer of the last run's store, until
# that has everything; then a new store is begun.
. "$srcdir/tests/tap.sh"
need_model all-minilm-l6-v2
rag=$builddir/ragstone sample=$srcdir/corpora/sample
kills=${1:-60} seed=${2:-$RANDOM}
RANDOM=$seed
echo "# seed $seed"

# What a reader sees, without what may differ: ids and times.
documents() {
	"$rag" -s "$1" list --json | sed 's/"doc": [0-9]*, //; s/, "added": [0-9]*//' | sort
}

begin=$(date +%s%N)
run "$rag" -s "$work/calm" -q ingest "$sample"
is "$code" 0 "an ingest that nobody kills"
calm_ms=$((($(date +%s%N) - begin) / 1000000))
want=$(documents "$work/calm")
first_hit() { "$rag" -s "$1" search -k 1 --json "Who led the Mongols?" | sed 's/"doc".*"uri"/"uri"/'; }
hit=$(first_hit "$work/calm")

store=$work/store dead=0 whole=0 stores=1 bad=
while [ "$dead" -lt "$kills" ]; do
	"$rag" -s "$store" -q ingest "$sample" 2> "$work/err" &
	pid=$!
	# Half of them die early, where files are looked at and the store is opened.
	ms=$((RANDOM % 2 ? RANDOM * 8 % (calm_ms + 1) : RANDOM % 400))
	sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
	kill -9 $pid 2> /dev/null
	wait $pid 2> /dev/null
	case $? in
	137) dead=$((dead + 1)) ;;
	0) ;;
	*) bad+=" ended by itself: $(cat "$work/err")" && break ;;
	esac
	if [ -e "$store" ]; then
		run "$rag" -s "$store" verify
		# Killed before the store was made: there is none, and it says so.
		[ "$code" = 0 ] || grep -q "no store" "$work/err" || bad+=" verify: $err"
	fi
	[ -z "$bad" ] || break
	if [ "$(documents "$store" 2> /dev/null)" = "$want" ]; then
		whole=$((whole + 1))
		stores=$((stores + 1))
		rm -rf "$store"
	fi
done
is "$bad" "" "whole after each of $dead deaths, $whole times complete, $stores stores"
run "$rag" -s "$store" -q ingest "$sample"
is "$code" 0 "an ingest that is let live ends"
run "$rag" -s "$store" verify
is "$code" 0 "and leaves the store whole"
is "$(documents "$store")" "$want" "with the documents of one that was never killed"
is "$(first_hit "$store")" "$hit" "which are found as there"
run "$rag" -s "$store" ingest "$sample"
like "$err" '^[0-9]+ unchanged in ' "and there is nothing left to do"
tap_done
