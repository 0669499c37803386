#!/bin/sh
# Compares our token ids with those of the models' reference tokenizers.
#
#   RAGSTONE_PEERS=VENV bench/tokens.sh [--special] [--only MODEL] FILE...
#
# VENV is a Python environment with the packages tokenizers and xllamacpp
# (llama.cpp).  FILE: corpus.jsonl as `ragstone eval` reads it (title and text
# are two texts), a .json list of strings, or anything else, a line a text.
# Models come from ${RAGSTONE_CACHE:-~/.cache/ragstone}/models; programs from
# ${RAGSTONE_BUILD:-build}.  Exit code 1 if any text differs.
set -eu
: "${RAGSTONE_PEERS:?set it to a Python environment with tokenizers and xllamacpp}"
here=$(dirname "$0")
build=${RAGSTONE_BUILD:-$here/../build}
models=${RAGSTONE_CACHE:-$HOME/.cache/ragstone}/models
exec "$RAGSTONE_PEERS/bin/python" "$here/tokens.py" "$build/tests/tools/tokens" "$models" "$@"
