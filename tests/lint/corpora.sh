#!/bin/bash
# corpora.sh - the sample is what its manifest says: every file, its bytes, a licence, a source.
. "$srcdir/tests/tap.sh"
cd "$srcdir/corpora" || exit 1

bad=$(cut -f 1 MANIFEST | sha256sum --check --quiet 2>&1)
is "$bad" "" "each file has its checksum"
listed=$(cut -f 1 MANIFEST | cut -c 67- | LC_ALL=C sort)
is "$(find questions.jsonl sample -type f | LC_ALL=C sort)" "$listed" "each file is listed"
is "$(awk -F '\t' 'NF != 3 || $2 !~ /^(CC-BY-SA-4.0|Apache-2.0)$/' MANIFEST)" "" "each has a licence that we know"
missing=$(cut -f 3 MANIFEST | sort -u | while read -r source; do
	grep -q "\`$source\`" README.md || echo "$source"
done)
is "$missing" "" "each source is described"
is "$(grep -c '"start": [0-9]*}$' questions.jsonl)" "$(wc -l < questions.jsonl)" "each question says where its answer begins"
# That the place is right: an ASCII answer is compared byte for byte.
wrong=$(sed -n 's/.*"answers": \["\([A-Za-z0-9 ,.-]*\)"\], "file": "\([^"]*\)", "start": \([0-9]*\)}$/\3\t\2\t\1/p' questions.jsonl |
	awk 'NR % 10 == 1' | while IFS=$'\t' read -r start file answer; do
		[ "$(tail -c +$((start + 1)) "sample/$file" | head -c ${#answer})" = "$answer" ] || echo "$file: $answer"
	done)
is "$wrong" "" "and it does begin there"
tap_done
