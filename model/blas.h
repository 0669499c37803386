/*
 * blas - matrix products by OpenBLAS, the reference twin of kern's own.
 *
 * Not used in inference: OpenBLAS picks its blocking by the matrix's size and
 * the number of threads, so the same row would not keep its bits.  One thread
 * a call, set for the process at the first one.  Threads: safe.
 */
#ifndef RAG_MODEL_BLAS_H
#define RAG_MODEL_BLAS_H

#include <stddef.h>

/* As struct kern's gemm, so that a table can be made whose products are OpenBLAS's. */
void blas_panel(float *y, size_t ldy, const float *x, size_t ldx, const float *packed,
		size_t m, size_t n, size_t k, const float *bias);

#endif
