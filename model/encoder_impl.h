/*
 * encoder_impl - what opening an encoder and its two ways of running share.
 */
#ifndef RAG_MODEL_ENCODER_IMPL_H
#define RAG_MODEL_ENCODER_IMPL_H

#include "model/encoder.h"

#include <stdbool.h>

struct safetensors;

struct encoder_linear {
	const float *w;		/* (n, k) */
	const float *b;		/* (n) */
	size_t n, k;
};

struct encoder_norm {
	const float *gain, *bias;	/* (hidden) */
};

struct encoder_layer {
	struct encoder_linear qkv[3], out, up, down;
	struct encoder_norm after_attention, after_ffn;
};

struct encoder {
	struct encoder_shape shape;
	struct safetensors *file;	/* owned; the weights below point into it, or into own */
	const char *prefix;		/* of the tensors' names: "" or "bert." */
	struct encoder_layer *layers;	/* owned (shape.layers) */
	struct encoder_norm norm;	/* of the embeddings */
	const float *words, *places, *types;	/* (vocab, hidden), (positions, hidden), (types, hidden) */
	void **own;			/* owned (n_own) tensors that the file has in 16 bits, as float */
	size_t n_own;
};

/* First in each way's own struct. */
struct encoder_run {
	const struct encoder *e;
	const struct kern *k;
	struct par *par;
	const size_t *second;	/* (n) of the call in hand: where each sequence's second text begins; NULL: none */
	int (*eval)(const float **out, struct encoder_run *r, const int32_t *ids, const size_t *offset,
		    size_t n);
	void (*free)(struct encoder_run *r);
};

/* (hidden) the type embedding of token t of sequence i. */
static inline const float *encoder_type(const struct encoder_run *r, size_t i, size_t t)
{
	return r->e->types + (r->second && t >= r->second[i] ? r->e->shape.hidden : 0);
}

/* *out: (rows, columns) of the tensor of this full name, as float; a vector has rows 1. */
int encoder_tensor(const float **out, struct encoder *e, const char *dir, const char *name,
		   size_t rows, size_t columns);

int encoder_f32_new(struct encoder_run **out, const struct encoder *e, const struct kern *k,
		    struct par *par);
int encoder_int8_new(struct encoder_run **out, const struct encoder *e, const struct kern *k,
		     struct par *par);

#endif
