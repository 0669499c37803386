/*
 * pool - the candidates of a search, and what each stage says of them.
 *
 * The lists of all retrievers are put together; each candidate is there once,
 * whatever listed it, and gets every retriever's exact score.  Orders are
 * total: equal scores by chunk id.  One thread at a time.
 */
#ifndef RAG_INDEX_POOL_H
#define RAG_INDEX_POOL_H

#include <stddef.h>
#include <stdint.h>

struct cand {
	uint64_t chunk;
	size_t row;		/* of the vectors that the search keeps */
	float cosine, bm25;	/* NAN: it has no vector, or no words */
	float late;		/* NAN: not asked for, or it has no token vectors */
	float score;		/* by which it is ordered */
	float gain, near;	/* pool_diversify()'s own */
};

struct pool {
	struct cand *c;		/* owned, (n) */
	size_t n, cap;
};

void pool_release(struct pool *p);	/* zeroed is allowed; leaves it so */
int pool_add(struct pool *p, uint64_t chunk);
/* By chunk id, each once. */
void pool_settle(struct pool *p);
/* Best score first. */
void pool_sort(struct pool *p);
/* score = weight * z(cosine) + (1 - weight) * z(bm25), z over the pool's known values;
 * what is not known counts as the mean. */
void pool_fuse(struct pool *p, float weight);

/* Orders the first n anew, best first: each next one has the greatest (1 - diversity) times
 * its score, as a share of the spread among the n, minus diversity times its greatest
 * similarity to those before it.  Scores then fall with the new order.  rows: (rows, dim) unit
 * vectors by cand.row; one without a vector resembles nothing. */
void pool_diversify(struct pool *p, size_t n, float diversity, const float *rows, size_t dim);

#endif
