#!/bin/bash
# Every example of the man page, as it stands there.
. "$srcdir/tests/tap.sh"
need_model all-minilm-l6-v2 qwen2.5-coder-0.5b-instruct
export RAGSTONE_STORE=$work/store
here=$PWD
PATH=$(cd "$builddir" && pwd):$PATH
cd "$srcdir" || exit 1
while IFS= read -r line; do
	run bash -c "$line"
	is "$code" 0 "$line"
	[ "$code" = 0 ] || printf '%s\n' "$err" | sed 's/^/# /'
done < <(sed -n '/^\.SH EXAMPLES/,/^\.fi/p' doc/ragstone.1 | sed 's/\\\\-/-/g' | grep '^ragstone ')
cd "$here" || exit 1
tap_done
