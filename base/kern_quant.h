/*
 * kern_quant - products of block-quantised weights with activations in int8.
 *
 * Weights stay as the model file has them (ggml's block types).  Activations
 * are quantised once a matrix: blocks of 32 values with one scale for the
 * 32-value types, of 256 for the k-quants, each with the sums that turn an
 * unsigned product into a signed one and serve the types with a minimum.
 *
 * The sum of each output is defined to the last bit, so that every kernel
 * level, any number of columns and any tiling give the same float:
 *	32:	acc = fma(isum, dw * da, acc), then where the type has a minimum
 *		acc = fma(mw, da * sum, acc), block after block;
 *	256:	the same, isum and the sum of minima being integers over the whole
 *		block with the sub-blocks' integer scales in them (no rounding).
 * One column streams the weights once (decoding); more of them share a tile
 * of rows that is unpacked to bytes in scratch memory (prefill).
 */
#ifndef RAG_BASE_KERN_QUANT_H
#define RAG_BASE_KERN_QUANT_H

#include <stddef.h>
#include <stdint.h>

enum kern_q {	/* values as in GGUF */
	KERN_Q4_0 = 2, KERN_Q4_1 = 3, KERN_Q5_0 = 6, KERN_Q5_1 = 7, KERN_Q8_0 = 8,
	KERN_Q2_K = 10, KERN_Q3_K = 11, KERN_Q4_K = 12, KERN_Q5_K = 13, KERN_Q6_K = 14,
};

#define KERN_GROUP 16		/* columns that lie interleaved */
#define KERN_TILE_MAX 64	/* rows of one kern->qmul call that share the scratch memory well */

/* Columns are kept in groups of KERN_GROUP (the last one may be narrower: of
 * w columns); inside a group everything goes block after block, and inside a
 * block column after column.  Bytes always in runs of 32. */
struct kern_acts {
	size_t k, n;		/* values a column, columns */
	size_t block;		/* 32 or 256 */
	int8_t *q;		/* (group, k/32, w, 32) */
	float *d;		/* (group, k/block, w); NaN where a value is not finite */
	int32_t *sum;		/* block 32: (group, k/32, w) */
	int16_t *sums;		/* block 256: (group, k/256, w, 24): 16 sums of 16, 8 of 32 */
};

size_t kern_q_block(enum kern_q type);		/* 32 or 256: also the activations' block */
size_t kern_q_bytes(enum kern_q type);		/* of a block */

/* Bytes that a kern_acts of these measures needs; kern_acts_init() lays it
 * out in mem, which is aligned to 64. */
size_t kern_acts_bytes(size_t k, size_t n, size_t block);
void kern_acts_init(struct kern_acts *a, void *mem, size_t k, size_t n, size_t block);
/* Scratch bytes that kern->qmul needs for rows of k values. */
size_t kern_qmul_scratch(size_t k);

static inline size_t kern_acts_groups(const struct kern_acts *a)
{
	return (a->n + KERN_GROUP - 1) / KERN_GROUP;
}

static inline size_t kern_acts_width(const struct kern_acts *a, size_t group)
{
	size_t left = a->n - group * KERN_GROUP;

	return left < KERN_GROUP ? left : KERN_GROUP;
}

#endif
