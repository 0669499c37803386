# tap.sh - TAP for shell tests: sourced, then ok/is/like/run, then tap_done.
tap_n=0 tap_bad=0
work=$(mktemp -d "${TMPDIR:-/tmp}/ragstone-test-XXXXXX")
trap 'rm -rf "$work"' EXIT

# ok NAME COMMAND...: passes if the command does.
ok() {
	local name=$1
	shift
	tap_n=$((tap_n + 1))
	if "$@"; then
		echo "ok $tap_n - $name"
	else
		echo "not ok $tap_n - $name"
		tap_bad=$((tap_bad + 1))
	fi
}

# is GOT WANT NAME
is() {
	ok "$3" test "$1" = "$2"
	[ "$1" = "$2" ] || printf '%s\n' "got:  $1" "want: $2" | sed 's/^/# /'
}

# like TEXT PATTERN NAME: an extended regular expression.
like() {
	tap_n=$((tap_n + 1))
	if printf '%s\n' "$1" | grep -Eq -- "$2"; then
		echo "ok $tap_n - $3"
	else
		echo "not ok $tap_n - $3"
		tap_bad=$((tap_bad + 1))
		printf '%s\n' "$1" | head -n 20 | sed 's/^/# /'
		echo "# does not match: $2"
	fi
}

# run COMMAND...: sets $out, $err and $code.
run() {
	code=0
	"$@" > "$work/out" 2> "$work/err" < "${stdin:-/dev/null}" || code=$?
	out=$(cat "$work/out")
	err=$(cat "$work/err")
}

tap_skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

tap_done() {
	echo "1..$tap_n"
	exit $((tap_bad > 0))
}

models=${RAGSTONE_CACHE:-$HOME/.cache/ragstone}/models
need_model() {
	local m
	for m; do
		[ -e "$models/$m" ] || tap_skip_all "no model $m in $models"
	done
}
