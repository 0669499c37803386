# Built by name only: `make bench/words`.
EXTRA_PROGRAMS = bench/words
bench_words_SOURCES = bench/words.c
if X86_64
EXTRA_PROGRAMS += bench/limits
bench_limits_SOURCES = bench/limits.c
endif
