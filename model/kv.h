/*
 * kv - the keys and values of the tokens so far, and attention over them.
 *
 * 16-bit floats.  Keys lie in blocks of 16 positions, dimension after
 * dimension, so that a query meets 16 keys at once without horizontal sums;
 * values lie position after position.  A query's softmax runs over the whole
 * row of scores that it may see, and every sum goes up in positions or
 * dimensions: the result depends on the query's position and the cache, not on
 * what is computed beside it.  All positions are kept, whatever a window hides:
 * so any rewind is right.  Memory is touched only as positions are filled.
 * One thread at a time, but for kv_store() of different positions.
 */
#ifndef RAG_MODEL_KV_H
#define RAG_MODEL_KV_H

#include "base/kern.h"
#include "base/par.h"

struct kv {
	const struct kern *kern;
	size_t n_layer, n_head, n_kv, dim;	/* query heads, key heads, of a head */
	size_t n_ctx;			/* rounded up to 16 */
	size_t v_dim;			/* dim rounded up to 16 */
	uint16_t *k;			/* (layer, n_kv, n_ctx/16, dim, 16) owned */
	uint16_t *v;			/* (layer, n_kv, n_ctx, v_dim) owned */
	char *scratch;			/* (threads, scratch_bytes) owned */
	size_t scratch_bytes, n_scores;	/* a thread's; floats for scores in it */
};

int kv_init(struct kv *out, const struct kern *kern, size_t n_layer, size_t n_head, size_t n_kv,
	    size_t dim, size_t n_ctx, int n_threads);
void kv_release(struct kv *kv);		/* zeroed is allowed */

/* k, v: (n_kv, dim) of the token at pos. */
void kv_store(struct kv *kv, size_t layer, size_t pos, const float *k, const float *v);

/* out, q: (n, n_head, dim) for the tokens at pos, pos + 1, ... which are
 * stored, as all before them.  Each sees the `window` positions that end with
 * its own; n_ctx: all.  out may not be q. */
void kv_attend(float *out, struct kv *kv, size_t layer, const float *q, size_t n, size_t pos,
	       size_t window, struct par *par);

#endif
