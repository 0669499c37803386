#!/bin/bash
# The shell's completion offers what there is.
. "$srcdir/tests/tap.sh"
PATH=$(cd "$builddir" && pwd):$PATH
. "$srcdir/doc/ragstone.bash"
try() {
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_ragstone ragstone
	echo "${COMPREPLY[*]}"
}
is "$(try ragstone se)" "search" "a command"
is "$(try ragstone -s /tmp se)" "search" "behind a store"
like "$(try ragstone search --mi)" '^--min-score$' "an option of the command"
like "$(try ragstone ask --max)" '^--max-tokens$' "of another"
is "$(try ragstone search --max)" "" "that this one lacks"
like "$(try ragstone --st)" '^--store$' "a global option"
is "$(try ragstone model p)" "pull" "a subcommand"
tap_done
