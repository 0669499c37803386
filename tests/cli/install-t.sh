#!/bin/bash
# The example program, built against the installed library as a user would.
. "$srcdir/tests/tap.sh"
need_model all-minilm-l6-v2 qwen2.5-coder-0.5b-instruct
root=$work/root
run make -C "$builddir" install DESTDIR="$root"
is "$code" 0 "make install"
pc=$(find "$root" -name ragstone.pc)
ok "installs a pkg-config file" test -n "$pc"
prefix=$(sed -n 's/^prefix=//p' "$pc")
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$root
flags=$(pkg-config --cflags --libs ragstone)
# shellcheck disable=SC2086
run ${CC:-cc} -std=c11 -Wall -Wextra -pedantic -Werror -o "$work/example" "$srcdir/doc/example.c" $flags -Wl,-rpath,"$root$prefix/lib" ${EXAMPLE_FLAGS-}
is "$code" 0 "the example builds"
[ "$code" = 0 ] || sed 's/^/# /' "$work/err"
# shellcheck disable=SC2086
run ${CXX:-c++} -x c++ -std=c++11 -Wall -Wextra -pedantic -Werror -c -o "$work/example.o" "$srcdir/doc/example.c" $flags
is "$code" 0 "as C++, too"
echo "Normandy is a region in France. The Normans settled there in the 10th century." > "$work/doc.txt"
export RAGSTONE_EXTRACT=$(find "$root" -name ragstone-extract)
run "$work/example" "$work/store" "$work/doc.txt" "In what country is Normandy?"
is "$code" 0 "and runs"
like "$out" 'France' "and answers"
like "$out" '^\[1\] file://.*doc.txt, bytes [0-9]+ to [0-9]+: ' "with its evidence"
exported=$(nm -D --defined-only "$(find "$root" -name 'libragstone.so.*' | head -n 1)" | awk '{ print $3 }' | grep -v '^rag_' | grep -v '^_' | head -n 3)
is "$exported" "" "the library exports rag_* alone"
tap_done
