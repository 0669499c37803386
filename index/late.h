/*
 * late - late interaction: a passage by its tokens that fit a question's best.
 *
 * As in ColBERT (Khattab and Zaharia 2020, arXiv 2004.12832), with the token
 * vectors that the embedder makes anyway: the mean over the question's tokens,
 * by weight (the idf of its word), of the largest cosine with one of the
 * passage's, squared, as what fits says more than what fits not (.003 of nDCG
 * over 13 sets).  It reorders the best of a list, and never finds alone.
 *
 * What is kept of a token are LATE_DIM numbers of 4 bits, 34 bytes in all: its
 * unit vector less the mean, on the principal axes of the tokens that the
 * space was learnt from.  The space is the generation's: learnt once, from the
 * first tokens that come and from text of the embedder's own vocabulary, which
 * stands in where those are few; then it stays, as the stored vectors have
 * lost what another one would need.  By our measurements (index/README.md) 4
 * bits lose nothing against 8, nor 64 axes against 384, nor does leaving out
 * stop words.
 *
 * Everything is computed in 8-bit integers and in sums of fixed order: the
 * same bits on every kernel level.  A passage of 115 tokens is 3.9 kB; thirty
 * of them are scored in a tenth of a millisecond.
 */
#ifndef RAG_INDEX_LATE_H
#define RAG_INDEX_LATE_H

#include "base/buf.h"
#include "index/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LATE_DIM 64u
#define LATE_TOKEN (2 + LATE_DIM / 2)	/* bytes of one in the store */

/* ---- learning a space: one thread at a time */

struct late_learn;

int late_learn_new(struct late_learn **out, size_t dim);
void late_learn_free(struct late_learn *l);	/* NULL is allowed */
/* x: (n, dim) token vectors of any length.  RAG_EINVAL: one is not finite. */
int late_learn_add(struct late_learn *l, const float *x, size_t n);
/* Appends the space's bytes, for store_set_space().  RAG_EINVAL when nothing was added. */
int late_learn_end(struct buf *out, const struct late_learn *l);

/* ---- a space: immutable, share it */

struct late_space;

/* From its bytes, which are copied.  RAG_EFORMAT: they are none of vectors of dim. */
int late_space_new(struct late_space **out, const void *p, size_t n, size_t dim);
void late_space_free(struct late_space *s);	/* NULL is allowed */
bool late_space_valid(const void *p, size_t n, size_t dim);
/* Appends what is stored of a passage, of its n >= 1 token vectors x (n, dim):
 * n * LATE_TOKEN bytes.  RAG_EINVAL as late_learn_add(). */
int late_tokens(struct buf *out, const struct late_space *s, const float *x, size_t n);
bool late_tokens_valid(const void *p, size_t n);

/* ---- a question: one thread at a time */

struct late_query;

/* x: (n, dim) its tokens, weight: (n) not negative.  *out is NULL where the store has
 * no token vectors or n is 0.  RAG_EINVAL as late_learn_add(). */
int late_query_new(struct late_query **out, struct store_snap *v, const float *x, const float *weight,
		   size_t n);
void late_query_free(struct late_query *q);	/* NULL is allowed */
/* out: (n), each 0 .. 1; NAN for a chunk without token vectors, and for all if q is NULL. */
int late_scores(float *out, struct store_snap *v, const struct late_query *q, const uint64_t *chunks,
		size_t n);

#endif
