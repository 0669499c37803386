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

#define CAND_NO_ROW SIZE_MAX

struct cand {
	uint64_t chunk;
	size_t row;		/* of the vectors that the search keeps; CAND_NO_ROW: it has none */
	float cosine, bm25;	/* NAN: it has no vector, or no words */
	float late;		/* NAN: not asked for, or it has no token vectors */
	float score;		/* by which it is ordered */
	uint32_t at_dense, at_bm25, at_fused;	/* rank in that list, from 1; 0: not in it */
	float gain, near;	/* pool_diversify()'s own */
};

struct pool {
	struct cand *c;		/* owned, (n) */
	size_t n, cap;
};

void pool_release(struct pool *p);	/* zeroed is allowed; leaves it so */
/* c: the chunk, and what its list says of it. */
int pool_add(struct pool *p, struct cand c);
int pool_put(struct pool *p, const struct cand *c);	/* as it is */
/* By chunk id, each once, with the ranks of all its lists. */
void pool_settle(struct pool *p);
/* Best score first. */
void pool_sort(struct pool *p);
/* score = weight * z(cosine) + (1 - weight) * z(bm25), z over the pool's known values;
 * what is not known counts as the mean. */
void pool_fuse(struct pool *p, float weight);
/* No score is above one before it from then on. */
void pool_falling(struct pool *p);

/* part: 0 .. 1, where each of the first n stands between the least and the greatest score among
 * them (1 for all when they are equal).  Any order. */
void pool_parts(float *part, const struct pool *p, size_t n);

#define POOL_DIVERSE 100
/* Orders the first POOL_DIVERSE anew, best first: each next one has the greatest
 * (1 - diversity) times its score, as a part of the spread among them, minus diversity
 * times its greatest similarity to those before it.  Scores then fall with the new order.
 * rows: unit vectors (dim) by cand.row; one without a vector resembles nothing. */
void pool_diversify(struct pool *p, float diversity, const float *rows, size_t dim);

#endif
