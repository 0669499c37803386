# Built by name only: `make bench/limits`.
EXTRA_PROGRAMS = bench/limits
bench_limits_SOURCES = bench/limits.c
