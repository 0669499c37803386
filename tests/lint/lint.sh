#!/bin/sh
# lint.sh - what a compiler doesn't see: the floors, the fences, banned calls, sizes, left-overs.
#
# A rule is a function that prints a line for each violation in the tree given to it.  Each is
# run three times: on this tree and on a small clean one, where it must find nothing, and on one
# with a planted violation, where it must find exactly that.

root=${srcdir:-.}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# May include: a folder, then the folders whose headers it may take.
floors='base: base
model: base model
index: base index
ingest: base model index ingest
generator: base model generator
src/extract: base ingest src/extract
src: base model index ingest generator src'

# A foreign header, then the files that may take it.
fences='lmdb\.h: index/store
faiss/: index/vectors.c index/lists.cc
Index.*_c\.h: index/vectors.c
curl/: base/http.c
pcre2\.h: base/regex.c
utf8proc\.h: base/utf8.c
libstemmer\.h: base/text.c
jansson\.h: base/json.c
sodium\.h: base/hash.c
cblas\.h: model/blas.c
histedit\.h: src/cli/line.c
libxml/: src/extract/
poppler: src/extract/
cmark\.h: src/extract/
seccomp\.h: src/extract/'

# The allocator, and where memory that libc gave goes back to it: file, call.
alloc_ok='base/mem\.c:[0-9]*:.*
base/file\.c:[0-9]*:.*free(real).*'

# Longer than 800 lines, each with its reason.
long_ok=''

c_files() {	# the sources of the floors, relative to $1
	(cd "$1" && find base model index ingest generator src -name '*.c' -o -name '*.h' -o -name '*.cc') |
		LC_ALL=C sort
}

test_files() {
	(cd "$1" && find tests bench doc -name '*.c' -o -name '*.h' -o -name '*.cc') 2> /dev/null |
		LC_ALL=C sort
}

text_files() {	# what people wrote, apart from the sample and what tests feed in
	(cd "$1" && find . -type d \( -name .git -o -name 'build*' -o -name m4 -o -name '*.cache' -o \
		-path ./corpora/sample -o -path ./tests/data -o -path ./tests/fuzz -o -path ./shared -o \
		-name _build -o -name _inst \) -prune -o -type f \
		! -name configure ! -name 'configure~' ! -name aclocal.m4 ! -name Makefile.in \
		! -name 'config.h.in*' ! -name questions.jsonl -print)
}

# Code without comments, and strings without their text: "file:line:code".
code_of() {
	(
		cd "$1" && shift && [ $# -gt 0 ] && awk '
		FNR == 1 { inside = 0 }
		{
			line = $0
			gsub(/\\\\/, "", line)
			gsub(/\\"/, "", line)
			gsub(/\047.\047/, "0", line)
			gsub(/"[^"]*"/, "\"\"", line)
			out = ""
			while (line != "") {
				at = index(line, inside ? "*/" : "/*")
				if (!inside)
					out = out (at ? substr(line, 1, at - 1) : line)
				if (!at)
					break
				line = substr(line, at + 2)
				inside = !inside
			}
			sub(/\/\/.*/, "", out)
			if (out ~ /[^ \t]/)
				print FILENAME ":" FNR ":" out
		}' "$@"
	)
}

calls() {	# NAMES ROOT FILES...: where one of them is called, other than as a member
	names=$1
	shift
	code_of "$@" | grep -E "^[^:]*:[0-9]*:(.*[^A-Za-z0-9_>.])?($names)[[:space:]]*\("
}

includes() {	# "file header" for each include "header"
	(cd "$1" && grep -H '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' $(c_files .) |
		sed 's/:[^"]*"/ /; s/".*//')
}

rule_floors() {
	includes "$1" | awk -v floors="$floors" '
		BEGIN {
			n = split(floors, line, "\n")
			for (i = 1; i <= n; i++) {
				m = split(line[i], word, /:? /)
				folder[i] = word[1]
				for (j = 2; j <= m; j++)
					may[word[1], word[j]] = 1
			}
		}
		$2 == "config.h" { next }
		{
			for (i = 1; i <= n && index($1, folder[i] "/") != 1; i++)
				;
			good = 0
			for (top = $2; sub(/\/[^\/]*$/, "", top); )
				good = good || ((folder[i], top) in may)
			if (!good)
				print $1 ": includes " $2
		}'
}

# The programs do their users' work through ragstone.h; only what looks inside may go further.
rule_programs() {
	includes "$1" | grep '^src/cli/' |
		grep -vE '^src/cli/cmd_(bench|embed|eval|eval_[a-z]+|generate|model|perplexity|tokens|verify)\.[ch] ' |
		grep -vE ' (config\.h|src/ragstone\.h|src/cli/.*|base/.*)$'
}

rule_fences() {
	echo "$fences" | while IFS=: read -r header files; do
		(cd "$1" && grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]$header" $(c_files .) /dev/null) |
			while IFS= read -r hit; do
				good=
				for f in $files; do
					case $hit in "$f"*) good=1 ;; esac
				done
				[ -n "$good" ] || echo "$hit"
			done
	done
}

library_files() {
	c_files "$1" | grep -vE '^src/(cli|daemon|extract)/'
}

rule_library_calls() {
	calls 'exit|_exit|_Exit|abort|printf|vprintf|puts|putchar|perror|system|popen' \
		"$1" $(library_files "$1")
}

rule_getenv() {
	calls 'getenv|secure_getenv|setenv|putenv' "$1" $(c_files "$1" | grep -vx 'base/conf\.c')
}

rule_alloc() {
	calls 'malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf|aligned_alloc|posix_memalign' \
		"$1" $(library_files "$1") | grep -vx "$alloc_ok"
}

rule_unsafe() {
	calls 'strcpy|stpcpy|strcat|sprintf|vsprintf|gets|strtok|alloca|atoi|atol|atof|mktemp|tmpnam' \
		"$1" $(c_files "$1")
}

rule_size() {
	for f in $(c_files "$1") $(test_files "$1"); do
		lines=$(wc -l < "$1/$f")
		[ "$lines" -le 800 ] || echo "$long_ok" | grep -qxF "$f" || echo "$f: $lines lines"
	done
}

rule_tabs() {
	(cd "$1" && grep -nE '^ {4}|^ +	|[ 	]$' $(c_files .) $(test_files .) /dev/null)
}

rule_first_lines() {
	for f in $(c_files "$1") $(test_files "$1"); do
		case $f in
		doc/* | bench/*) ;;	# what users compile, what is no part of us
		*.h) head -n 1 "$1/$f" | grep -q '^/\*' || echo "$f: begins with no comment" ;;
		*) [ "$(grep -m 1 '^#include' "$1/$f")" = '#include "config.h"' ] ||
			echo "$f: config.h is not first" ;;
		esac
	done
}

# The patterns are in pieces, or this file would break its own rules.
rule_places() {
	hosts='py''pi\.org|python''hosted\.org|crates''\.io|npm''js\.(org|com)|maven''\.(org|apache)|proxy\.go''lang'
	(cd "$1" && text_files . | xargs grep -InE "(^|[^A-Za-z0-9_.}*-])/(wo""rk|ro""ot|fa""rm)/|/tm""p/w/|$hosts" /dev/null)
}

rule_left_overs() {
	(cd "$1" && text_files . | xargs grep -InE '(^|[^A-Za-z])(TO''DO|FIX''ME|XX''X)([^A-Za-z]|$)|not (yet )?implement''ed' /dev/null)
}

# A source that no local.mk names is dead.
rule_listed() {
	cat "$1"/Makefile.am "$1"/*/local.mk "$1"/*/*/local.mk 2> /dev/null | tr -s ' \t\\' '\n\n\n' > "$work/named"
	for f in $(c_files "$1") $(test_files "$1"); do
		grep -qxF -e "$f" -e "${f%.*}" "$work/named" || echo "$f: no local.mk names it"
	done
}

rules='floors programs fences library_calls getenv alloc unsafe size tabs first_lines places left_overs listed'

# A tree that breaks no rule, and one more file: plant FILE TEXT.
plant() {
	rm -rf "$work/tree"
	for f in base model index ingest generator src/cli src/extract tests; do
		mkdir -p "$work/tree/$f"
	done
	echo "libcore_la_SOURCES += base/x.c base/x.h ${1-}" > "$work/tree/base/local.mk"
	printf '/*\n * x: a header.\n */\nint x(void);\n' > "$work/tree/base/x.h"
	printf '#include "config.h"\n#include "base/x.h"\n\nint x(void)\n{\n\treturn 0; /* exit(1) */\n}\n' \
		> "$work/tree/base/x.c"
	[ $# = 0 ] || printf '#include "config.h"\n%s\n' "$2" > "$work/tree/$1"
}

planted() {
	case $1 in
	floors) plant model/y.c '#include "index/store.h"' ;;
	programs) plant src/cli/cmd_ask.c '#include "index/store.h"' ;;
	fences) plant base/y.c '#include <lmdb.h>' ;;
	library_calls) plant base/y.c '	exit(1);' ;;
	getenv) plant src/cli/y.c '	p = getenv("HOME");' ;;
	alloc) plant index/y.c '	p = malloc(3);' ;;
	unsafe) plant src/cli/y.c '	strcpy(a, b);' ;;
	size) plant base/y.c "$(yes 'int x;' | head -n 800)" ;;
	tabs) plant base/y.c '    int x;' ;;
	first_lines) plant base/y.c; echo '#include <stdio.h>' > "$work/tree/base/y.c" ;;
	places) plant base/y.c "/* /ro""ot/x */" ;;
	left_overs) plant base/y.c "/* TO""DO: more */" ;;
	listed) plant; echo '#include "config.h"' > "$work/tree/base/y.c" ;;
	esac
}

n=0 status=0
found() {	# RULE TREE HOW_MANY TEXT
	"rule_$1" "$2" > "$work/found"
	n=$((n + 1))
	if [ "$(wc -l < "$work/found")" = "$3" ]; then
		echo "ok $n - $1: $4"
		return
	fi
	echo "not ok $n - $1: $4"
	head -n 30 "$work/found" | sed 's/^/# /'
	status=1
}

for rule in $rules; do
	found "$rule" "$root" 0 "nothing to find"
	plant
	found "$rule" "$work/tree" 0 "nothing in a clean tree"
	planted "$rule"
	found "$rule" "$work/tree" 1 "what was planted"
done
echo "1..$n"
exit $status
