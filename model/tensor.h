/*
 * tensor - a named array of numbers in a model file, in the file's own type.
 *
 * ne[0] is the fastest dimension, as in GGUF: a weight matrix of a linear
 * layer has ne[0] = inputs, ne[1] = outputs, each output's row contiguous.
 * data is borrowed from the file's mapping.  Block types: ggml's
 * ggml-quants (blocks of 32 or 256 values along ne[0]).
 */
#ifndef RAG_MODEL_TENSOR_H
#define RAG_MODEL_TENSOR_H

#include <stddef.h>
#include <stdint.h>

enum dtype {	/* values as in GGUF */
	DT_F32 = 0, DT_F16 = 1, DT_Q4_0 = 2, DT_Q4_1 = 3, DT_Q5_0 = 6, DT_Q5_1 = 7,
	DT_Q8_0 = 8, DT_Q2_K = 10, DT_Q3_K = 11, DT_Q4_K = 12, DT_Q5_K = 13,
	DT_Q6_K = 14, DT_BF16 = 30,
};

struct tensor {
	const char *name;	/* NUL-terminated, owned by the file object */
	enum dtype type;
	int n_dims;		/* 1 .. 4 */
	uint64_t ne[4];		/* unused: 1 */
	const void *data;
	size_t bytes;		/* of data */
};

const char *dtype_name(int type);		/* "Q4_K"; NULL for a type that we don't know */
size_t dtype_block(enum dtype type);		/* values a block: 1, 32 or 256 */
size_t dtype_block_bytes(enum dtype type);
/* Bytes of a row of n values; n must be a multiple of the block. */
size_t dtype_row_bytes(enum dtype type, size_t n);

/* Dequantises n values (a multiple of the block) to float: the reference for every fast kernel. */
void dequant_row(float *out, enum dtype type, const void *row, size_t n);

#endif
