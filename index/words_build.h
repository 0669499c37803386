/*
 * words_build - the words of chunks, turned into a block.
 *
 * Chunks go in one after the other; each occurrence of a term is noted, then
 * all are sorted by term.  Memory: about 20 bytes an occurrence until the
 * block is written, so give it a few MB of text at a time.  One thread at a time.
 */
#ifndef RAG_INDEX_WORDS_BUILD_H
#define RAG_INDEX_WORDS_BUILD_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORDS_GAP 8u		/* places between title, headings and text: no phrase spans them */

struct words_build;

/* As analyze_new(). */
int words_build_new(struct words_build **out, const char *language, bool stop);
void words_build_free(struct words_build *b);	/* NULL is allowed */

struct words_field {
	const char *s;
	size_t n;
};
/* The words of a chunk: title, heading path and text, or any fields in this order.  Ids ascend. */
int words_build_add(struct words_build *b, uint64_t id, const struct words_field *f, size_t n);
/* Appends the block of all chunks added, nothing if there are none; b begins anew. */
int words_build_end(struct buf *out, struct words_build *b);
void words_build_clear(struct words_build *b);	/* what was added is dropped */

#endif
