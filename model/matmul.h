/*
 * matmul - linear layers of a micro-batch, shared out over the threads.
 *
 * The input is prepared once in the forms that its matrices' types need
 * (floats; int8 in blocks of 32 or 256), then any number of matrices take it
 * in one parallel call, in pieces of at most KERN_TILE_MAX rows.  Each output
 * is one sum in a fixed order (base/kern_quant.h, kern->gemm), so neither the
 * number of columns nor of threads nor the pieces change its bits.
 * A struct matmul is scratch memory: one thread at a time.
 */
#ifndef RAG_MODEL_MATMUL_H
#define RAG_MODEL_MATMUL_H

#include "base/kern.h"
#include "base/par.h"
#include "model/weights.h"

struct matmul {
	const struct kern *kern;
	struct par *par;		/* borrowed, may be NULL */
	size_t max_k, max_n;
	void *acts[2];			/* memory of the quantised forms; owned */
	char *scratch;			/* (threads, scratch_bytes) owned */
	size_t scratch_bytes;

	/* the input at hand */
	const float *x;			/* (n, k), rows k apart; must live until the last product */
	size_t n, k;
	struct kern_acts a32, a256;
};

/* max_k: of every input; max_n: columns. */
int matmul_init(struct matmul *m, const struct kern *kern, struct par *par, size_t max_k,
		size_t max_n);
void matmul_release(struct matmul *m);	/* zeroed is allowed */

/* Sets the input: x (n, k), or where gain is given its RMS norm, written to
 * normed (n, k).  layers: those that will be applied to it. */
void matmul_input(struct matmul *m, const float *x, size_t n, size_t k, float *normed,
		  const float *gain, float eps, const struct linear *const *layers, size_t n_layers);

struct matmul_out {
	const struct linear *layer;
	float *y;		/* (n, ldy) */
	size_t ldy;
	bool add;		/* to what y holds */
};

/* At most 4 layers of the input's width. */
void matmul_apply(struct matmul *m, const struct matmul_out *out, size_t n_out);
/* y (n, outputs) = act(gate x) * (up x); two layers of equal shape.  act: kern's silu_mul, gelu_mul. */
void matmul_gated(float *y, struct matmul *m, const struct linear *gate, const struct linear *up,
		  void (*act)(float *y, const float *gate, const float *up, size_t n));

#endif
