# Built by name only: `make bench/limits`.
if X86_64
EXTRA_PROGRAMS = bench/limits
bench_limits_SOURCES = bench/limits.c
endif
