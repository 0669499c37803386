/*
 * fuzz - what the entries of libFuzzer share.
 *
 * tests/fuzz/NAME-fuzz.c defines LLVMFuzzerTestOneInput().  `make check-fuzz`
 * links it with libFuzzer; in `make check` replay.c gives it each file of
 * tests/fuzz/NAME once.  What a run finds goes into that directory.
 */
#ifndef RAG_TESTS_FUZZ_H
#define RAG_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
