# Each test is a program of its own that prints TAP; `make check TESTS=tests/unit/par-t` runs one.
TEST_EXTENSIONS = .sh
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = bash
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)'; builddir='$(builddir)'; export srcdir builddir; \
	OPENBLAS_NUM_THREADS=1; export OPENBLAS_NUM_THREADS;
LDADD = libcore.la

unit_tests = tests/unit/base-t
unit_tests += tests/kern/float-t tests/kern/quant-t
unit_tests += tests/unit/utf8-t tests/unit/regex-t tests/unit/text-t
unit_tests += tests/unit/sample-t tests/unit/evidence-t
unit_tests += tests/unit/file-t tests/unit/http-t
unit_tests += tests/unit/gguf-t tests/unit/quant-t tests/unit/safetensors-t
unit_tests += tests/unit/judged-t tests/unit/metrics-t
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
EXTRA_DIST += tests/tap.h
EXTRA_DIST += tests/golden/quant.py tests/golden/quant.txt

shell_tests = tests/lint/lint.sh tests/lint/corpora.sh
TESTS += $(shell_tests)
EXTRA_DIST += $(shell_tests) tests/tap.sh tests/coverage.awk
