/*
 * dense - the chunks nearest to a vector, and the vectors of given chunks.
 *
 * Exact: each visible vector of the store's generation is scored.  One pass
 * over the fp16 rows, about 0.1 ms per 1,000 chunks of 384 dimensions.
 * Stateless: any thread, on its own snapshot.
 */
#ifndef RAG_INDEX_DENSE_H
#define RAG_INDEX_DENSE_H

#include "index/ranges.h"
#include "index/store.h"
#include "index/vectors.h"

#include <stdbool.h>
#include <stddef.h>

/* The best k by inner product with query (dim), of unit length; equal scores by
 * chunk id.  allowed: the chunks that may answer, settled; NULL: all.
 * RAG_EMISMATCH: dim is not the store's.  A store without vectors gives none.
 * The caller frees *out with mem_free(). */
int dense_search(struct vectors_hit **out, size_t *n, struct store_snap *v, const float *query,
		 size_t dim, size_t k, const struct ranges *allowed);

/* rows: (n, dim) gets the vectors of chunks, ids ascending; has[i] is false, and the
 * row zeros, where a chunk has none. */
int dense_rows(float *rows, bool *has, struct store_snap *v, size_t dim, const uint64_t *chunks, size_t n);

#endif
