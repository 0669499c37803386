/*
 * file - bytes as a file, for readers that map their input by name.
 */
#ifndef RAG_TESTS_FUZZ_FILE_H
#define RAG_TESTS_FUZZ_FILE_H

#include <stddef.h>
#include <stdint.h>

/* The path of a file with these bytes, the same for each call; gone at exit. */
const char *fuzz_file(const uint8_t *data, size_t size);

#endif
