/*
 * sample - from logits to one token id.
 *
 * Greedy at temperature 0 (ties: the lower id).  Otherwise, in this order:
 * top-k, top-p, min-p, temperature, then a draw from a generator that the
 * seed determines alone (PCG32): same logits and seed, same token, on any
 * number of threads.  One thread at a time.
 */
#ifndef RAG_GENERATOR_SAMPLE_H
#define RAG_GENERATOR_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

struct sample_opts {
	double temperature;	/* 0: greedy */
	int top_k;		/* 0: off */
	double top_p, min_p;	/* 0: off */
	uint64_t seed;
};

struct sampler;

/* RAG_EINVAL names the option that is out of range. */
int sampler_new(struct sampler **out, const struct sample_opts *o, size_t vocab);
void sampler_free(struct sampler *s);
int32_t sampler_pick(struct sampler *s, const float *logits);	/* logits: (vocab), read only */

#endif
