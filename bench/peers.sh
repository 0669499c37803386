#!/bin/sh
# Makes the Python environment that the comparisons run in, at $RAGSTONE_PEERS.
#
#   RAGSTONE_PEERS=VENV bench/peers.sh [--native]
#
# --native adds a llama.cpp compiled for this machine (llama-cpp-python from
# source: needs cmake and a C++ compiler, minutes of all cores).  Nothing of
# this is needed to build, test or run ragstone.
set -eu
: "${RAGSTONE_PEERS:?set it to the folder that the environment is to be made in}"
native=
case ${1-} in
--native) native=1 ;;
'') ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
[ -x "$RAGSTONE_PEERS/bin/python" ] || python3 -m venv "$RAGSTONE_PEERS"
pip="$RAGSTONE_PEERS/bin/python -m pip --disable-pip-version-check"
$pip install --quiet numpy gguf tokenizers xllamacpp torch sentence-transformers
if [ "$native" ]; then
	CMAKE_ARGS='-DGGML_NATIVE=ON -DLLAMA_BUILD_TOOLS=OFF -DLLAVA_BUILD=OFF' \
		$pip install --no-binary llama-cpp-python llama-cpp-python
fi
$pip list 2>/dev/null | grep -iE '^(numpy|gguf|tokenizers|xllamacpp|torch|sentence-transformers|llama)'
