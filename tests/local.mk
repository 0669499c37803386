# Each test is a program of its own that prints TAP; `make check TESTS=tests/unit/par-t` runs one.
TEST_EXTENSIONS = .sh
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = bash
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)'; builddir='$(builddir)'; export srcdir builddir; \
	OPENBLAS_NUM_THREADS=1; export OPENBLAS_NUM_THREADS; \
	EXAMPLE_FLAGS='$(RAG_SAN)'; export EXAMPLE_FLAGS;
LDADD = libcore.la

unit_tests = tests/unit/base-t tests/unit/json-t
unit_tests += tests/kern/float-t tests/kern/int8-t tests/kern/quant-t tests/unit/decoder-t tests/unit/logits-t
unit_tests += tests/unit/sample-t tests/unit/evidence-t tests/unit/template-t tests/unit/prompt-t tests/unit/lookup-t tests/unit/answer-t
unit_tests += tests/unit/utf8-t tests/unit/regex-t tests/unit/text-t tests/unit/tok-t \
	tests/unit/tokfile-t
unit_tests += tests/unit/chunk-t tests/unit/confine-t tests/unit/extract-t tests/unit/file-t tests/unit/http-t tests/unit/pipeline-t tests/unit/source-t
unit_tests += tests/unit/gguf-t tests/unit/quant-t tests/unit/safetensors-t
unit_tests += tests/unit/embedding-t tests/unit/cross-t tests/unit/tokens-t tests/unit/embed-t tests/unit/convert-t tests/unit/convert-gguf-t
unit_tests += tests/unit/answers-t tests/unit/judged-t tests/unit/metrics-t tests/unit/retrieval-t
unit_tests += tests/unit/about-t tests/unit/codec-t tests/unit/late-t tests/unit/filter-t tests/unit/fusion-t tests/unit/pool-t tests/unit/search-t tests/unit/store-t tests/unit/vectors-t tests/unit/words-t tests/unit/analyze-t
unit_tests += tests/crash/store-t tests/fault/store-t tests/fault/ragstone-t
unit_tests += tests/unit/ragstone-t tests/unit/ask-t
EXTRA_DIST += tests/rag_util.h tests/tiny_words.h
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
EXTRA_DIST += tests/tap.h tests/tiny.h tests/tiny_bert.h tests/tiny_onnx.h tests/tiny_decoder.h
EXTRA_DIST += tests/embed_util.h tests/store_util.h tests/crash/ingest-kill.sh

# Hundreds of killed writers, where `make check` has some dozens.
check-crash: all tests/crash/store-t
	$(AM_V_at)./tests/crash/store-t 600
	$(AM_V_at)srcdir='$(srcdir)' builddir='$(builddir)' bash $(srcdir)/tests/crash/ingest-kill.sh 200
.PHONY: check-crash
EXTRA_DIST += tests/golden/measures.py tests/golden/measures.txt
EXTRA_DIST += tests/golden/quant.py tests/golden/quant.txt
EXTRA_DIST += tests/golden/logits.py tests/golden/logits.txt
EXTRA_DIST += tests/golden/cross.py tests/golden/cross.jsonl
EXTRA_DIST += tests/golden/embeddings.py tests/golden/embeddings.jsonl

shell_tests = tests/lint/lint.sh tests/lint/corpora.sh \
	tests/cli/usage-t.sh tests/cli/complete-t.sh tests/cli/session-t.sh tests/cli/bad-t.sh tests/cli/eval-t.sh tests/cli/man-t.sh tests/cli/install-t.sh
TESTS += $(shell_tests)
EXTRA_DIST += $(shell_tests) tests/tap.sh tests/coverage.awk
# Entries of libFuzzer.  In `make check` a plain main replays their corpora; `make check-fuzz`
# (clang) looks for more, FUZZ_SECONDS for each, and keeps what it finds in fuzz/NAME; the kernels
# stay as the compiler of the build made them.
fuzz_tests = tests/fuzz/gguf-fuzz tests/fuzz/safetensors-fuzz
tests_unit_confine_t_SOURCES = tests/unit/confine-t.c src/extract/confine.c src/extract/confine.h
tests_unit_confine_t_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS)
tests_unit_confine_t_LDADD = libcore.la $(SECCOMP_LIBS)
fuzz_tests += tests/fuzz/words-fuzz tests/fuzz/chunk-fuzz tests/fuzz/extract-fuzz tests/fuzz/record-fuzz
fuzz_tests += tests/fuzz/filter-fuzz tests/fuzz/onnx-fuzz
fuzz_common = tests/fuzz/file.c tests/fuzz/file.h tests/fuzz/fuzz.h
tests_fuzz_gguf_fuzz_SOURCES = tests/fuzz/gguf-fuzz.c tests/fuzz/replay.c $(fuzz_common)
tests_fuzz_safetensors_fuzz_SOURCES = tests/fuzz/safetensors-fuzz.c tests/fuzz/replay.c $(fuzz_common)
tests_fuzz_onnx_fuzz_SOURCES = tests/fuzz/onnx-fuzz.c tests/fuzz/replay.c $(fuzz_common)
tests_fuzz_filter_fuzz_SOURCES = tests/fuzz/filter-fuzz.c tests/fuzz/replay.c $(fuzz_common)
tests_fuzz_chunk_fuzz_SOURCES = tests/fuzz/chunk-fuzz.c tests/fuzz/replay.c $(fuzz_common)
tests_fuzz_words_fuzz_SOURCES = tests/fuzz/words-fuzz.c tests/fuzz/replay.c $(fuzz_common)
tests_fuzz_record_fuzz_SOURCES = tests/fuzz/record-fuzz.c tests/fuzz/replay.c $(fuzz_common)
tests_fuzz_extract_fuzz_SOURCES = tests/fuzz/extract-fuzz.c tests/fuzz/replay.c $(fuzz_common)
tests_fuzz_extract_fuzz_CFLAGS = $(AM_CFLAGS) $(XML2_CFLAGS) $(YAML_CFLAGS)
tests_fuzz_extract_fuzz_LDADD = libcore.la $(XML2_LIBS) $(CMARK_LIBS) $(YAML_LIBS)
check_PROGRAMS += $(fuzz_tests)
TESTS += $(fuzz_tests)
EXTRA_DIST += tests/fuzz/gguf tests/fuzz/safetensors
EXTRA_DIST += tests/fuzz/chunk tests/fuzz/extract tests/fuzz/filter tests/fuzz/onnx tests/fuzz/record \
	tests/fuzz/words

FUZZ_SECONDS = 60
FUZZ_SAN = address,undefined -fno-sanitize-recover=undefined
FUZZ_CC = clang -std=gnu11 -g -O1 -DHAVE_CONFIG_H -I. $(AM_CPPFLAGS) $(filter-out -fsanitize%,$(AM_CFLAGS)) $(XML2_CFLAGS) $(YAML_CFLAGS) -Wno-error
check-fuzz: libcore.la
	$(AM_V_at)rm -rf fuzz/obj && mkdir -p fuzz/obj
	$(AM_V_at)for f in $(filter-out base/kern%,$(filter %.c,$(libcore_la_SOURCES))); do \
		$(FUZZ_CC) -w -fsanitize=fuzzer-no-link,$(FUZZ_SAN) -c $(srcdir)/$$f \
			-o fuzz/obj/`echo $$f | tr / _`.o || exit 1; done
	$(AM_V_at)rm -f fuzz/core.a && $(AR) cr fuzz/core.a fuzz/obj/*.o
	$(AM_V_at)for t in $(fuzz_tests); do n=`basename $$t -fuzz`; \
		mkdir -p fuzz/$$n && \
		$(FUZZ_CC) -fsanitize=fuzzer,$(FUZZ_SAN) $(srcdir)/$$t.c $(srcdir)/tests/fuzz/file.c \
			fuzz/core.a .libs/libcore.a $(filter-out %.la,$(libcore_la_LIBADD)) $(XML2_LIBS) $(CMARK_LIBS) $(YAML_LIBS) -o $$t-libfuzzer && \
		./$$t-libfuzzer -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=fuzz/ \
			fuzz/$$n $(srcdir)/tests/fuzz/$$n || exit 1; done
.PHONY: check-fuzz
clean-local: clean-fuzz
clean-fuzz:
	rm -rf fuzz tests/fuzz/*-libfuzzer
check_PROGRAMS += tests/tools/tokens tests/tools/logits tests/tools/embed tests/tools/answers
EXTRA_DIST += bench/tokens.sh bench/tokens.py
check_PROGRAMS += tests/tools/tokens
EXTRA_DIST += bench/README.md bench/measures.py bench/embedders.py bench/embeddings.py bench/words.py bench/llama.py bench/peers.py bench/peers.sh \
	bench/perplexity.py bench/speed.py bench/speed.sh bench/footprint.py bench/lookup.py bench/start.c bench/start.py
EXTRA_DIST += bench/tokens.sh bench/tokens.py tests/golden/tokens.py tests/golden/tokens.jsonl
