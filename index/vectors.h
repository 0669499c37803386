/*
 * vectors - scoring rows of fp16 vectors against a query; the place of FAISS.
 *
 * A scan decodes a few hundred rows at a time and has FAISS score them; the
 * best k stay in a heap, ordered by score, then by id.  A row's score depends
 * on the row and the query alone, not on its neighbours.  No OpenMP region is
 * entered, so a process may fork.  One thread at a time per object.
 */
#ifndef RAG_INDEX_VECTORS_H
#define RAG_INDEX_VECTORS_H

#include <stddef.h>
#include <stdint.h>

struct vectors_hit {
	float score;
	uint64_t id;
};

struct vectors_scan;

/* query: (dim) of unit length, borrowed until vectors_free().  The caller owns *out. */
int vectors_new(struct vectors_scan **out, const float *query, size_t dim, size_t k);
void vectors_free(struct vectors_scan *s);	/* NULL is allowed */

/* rows: (n, dim) fp16 at any 2-byte boundary; ids: (n) little-endian, 64 bits. */
int vectors_add(struct vectors_scan *s, const uint8_t *ids, const uint8_t *rows, size_t n);

/* Best first; borrowed until the next call. */
const struct vectors_hit *vectors_best(struct vectors_scan *s, size_t *n);

/* One vector against one: the score that a scan gives it.  (dim) each. */
float vectors_score(const float *query, const float *row, size_t dim);

#endif
