#!/bin/sh
# Speed against llama.cpp and sentence-transformers, in alternation, with the
# machine and its load written above the figures.
#
#   RAGSTONE_PEERS=VENV bench/speed.sh [--rounds N] [--threads N]... [--model M]... [CORPUS.jsonl]...
#
# VENV: see peers.sh.  Models come from ${RAGSTONE_CACHE:-~/.cache/ragstone}/models,
# programs from ${RAGSTONE_BUILD:-build}.  With a corpus, its texts are embedded as well.
set -eu
: "${RAGSTONE_PEERS:?set it to the Python environment that peers.sh made}"
here=$(dirname "$0")
unset OPENBLAS_CORETYPE || :
echo "# $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) processors," \
	"load $(cut -d ' ' -f 1-3 /proc/loadavg)"
exec "$RAGSTONE_PEERS/bin/python" "$here/speed.py" "$@"
