/*
 * kern - the inner loops, in one version a CPU level, chosen once at run time.
 *
 * A level is a set of instructions that CPUs have together.  Each level's
 * table starts as the copy of the level below and is then filled by the files
 * compiled for it (kern_*_fill, below), so a kernel needs to be written only
 * where it gains something.  KERN_REF is plain C: every other version is
 * tested against it (tests/kern), and it is all that a foreign CPU has.
 *
 * Results: on one level a kernel's result depends on its arguments alone.
 * In matrix products each output element is one sum over k in rising order,
 * so neither the number of rows in a call nor a row's place changes its bits.
 * Levels may differ from each other in the last bits.
 *
 * Adding one: a pointer here, a version in kern_ref.c (or kern_quant_ref.c),
 * its name in the fill function of each file that has a version.
 */
#ifndef RAG_BASE_KERN_H
#define RAG_BASE_KERN_H

#include "base/kern_int8.h"
#include "base/kern_quant.h"

#include <stddef.h>
#include <stdint.h>

enum kern_level {
	KERN_REF,
	KERN_AVX2,	/* AVX2, FMA, F16C: Haswell and Zen on */
	KERN_AVX512,	/* F, BW, DQ, VL, VNNI: Ice Lake and Zen 4 on */
	KERN_LEVELS
};

#define KERN_PANEL 32	/* outputs of a packed panel: two zmm or four ymm accumulators a row */

struct kern {
	enum kern_level level;
	const char *name;	/* "ref", "avx2", "avx512" */

	float (*dot)(const float *a, const float *b, size_t n);

	/* Rows of 16-bit floats; ties to even, NaN stays NaN. */
	void (*f16_to_f32)(float *out, const uint16_t *in, size_t n);
	void (*f32_to_f16)(uint16_t *out, const float *in, size_t n);
	void (*bf16_to_f32)(float *out, const uint16_t *in, size_t n);

	/* y = x w' + bias, a panel of n <= KERN_PANEL outputs at a time.
	 * pack: w (n, k) with rows ldw apart becomes packed (k, KERN_PANEL), the
	 * missing outputs 0; packed is aligned to 64 bytes.
	 * gemm: x (m, k), y (m, n), rows ldx and ldy apart; bias (n), NULL: 0. */
	void (*pack)(float *packed, const float *w, size_t ldw, size_t n, size_t k);
	void (*gemm)(float *y, size_t ldy, const float *x, size_t ldx, const float *packed,
		     size_t m, size_t n, size_t k, const float *bias);

	/* Rows of n values.  x and y may be the same row. */
	void (*softmax)(float *x, size_t n, float scale);	/* of scale * x, in place */
	void (*gelu)(float *x, size_t n);			/* x/2 (1 + erf(x / sqrt 2)), in place */
	void (*silu_mul)(float *y, const float *gate, const float *up, size_t n);	/* gate / (1 + e^-gate) up */
	/* gate/2 (1 + tanh(sqrt(2/pi) (gate + 0.044715 gate^3))) up: arXiv 1606.08415, section 2 */
	void (*gelu_mul)(float *y, const float *gate, const float *up, size_t n);
	/* y = norm(x + add) gain + bias; add NULL: 0. */
	void (*layer_norm)(float *y, const float *x, const float *add, const float *gain,
			   const float *bias, size_t n, float eps);
	void (*rms_norm)(float *y, const float *x, const float *gain, size_t n, float eps);

	/* 8-bit layers (base/kern_int8.h): the same bits on every level.
	 * pack8: w (n, k) with rows ldw apart, n <= KERN8_PANEL, to a panel; each
	 * column times by[i] first (NULL: 1).
	 * pack16: v (k, n), rows ldv apart: its columns are the outputs.
	 * row8: n values, times by (n) (NULL: 1), to bytes; q has room for kern8_padded(n), the rest is 0.
	 * gemm8: y (m, n) from x (m, k), rows ldy values and ldx bytes apart, ldx a
	 * multiple of KERN8_PAD; row (m); bias (n), NULL: 0.
	 * mix16: the same from 16 bits; row[i].zero is taken as 0, ldx in values.
	 * exp16: p[i] = top 2^(s[i] - the largest), rounded; p as q above; their sum.
	 * norm8: x = norm(x + add) gain + bias, in place; add NULL: 0.
	 * gelu8: in place, off by less than 6e-5 (|x| + 1). */
	void (*pack8)(struct kern8_panel *out, const float *w, size_t ldw, const float *by, size_t n,
		      size_t k);
	void (*pack16)(struct kern8_panel *out, const float *v, size_t ldv, size_t n, size_t k);
	void (*row8)(uint8_t *q, struct kern8_row *row, const float *x, const float *by, size_t n);
	void (*gemm8)(float *y, size_t ldy, const uint8_t *x, size_t ldx, const struct kern8_row *row,
		      const struct kern8_panel *w, size_t m, size_t n, size_t k, const float *bias);
	void (*mix16)(float *y, size_t ldy, const int16_t *x, size_t ldx, const struct kern8_row *row,
		      const struct kern8_panel *v, size_t m, size_t n, size_t k);
	int32_t (*exp16)(int16_t *p, const float *s, size_t n, int32_t top);
	void (*norm8)(float *x, const float *add, const float *gain, const float *bias, size_t n,
		      float eps);
	void (*gelu8)(float *x, size_t n);

	/* Quantised products (base/kern_quant.h): the same bits on every level.
	 * quant: the columns of one group of a, from x (n, k), rows ldx apart.
	 * qmul: y[c * ldy + r] = row r of w times column c, for n rows. */
	void (*quant)(struct kern_acts *a, const float *x, size_t ldx, size_t group);
	void (*qmul)(float *y, size_t ldy, enum kern_q type, const void *w, size_t n,
		     const struct kern_acts *a, void *scratch);

	/* Attention over 16-bit floats.
	 * scores: s[i * lds + j] = q_i k_j for the 16 positions of one block of
	 * keys, kt (dim, 16).
	 * mix: out[i * ldo + d] += sum over j < n, rising, of p[i * ldp + j] v[j * ldv + d];
	 * dim a multiple of 16. */
	void (*attn_scores)(float *s, size_t lds, const float *q, size_t ldq, size_t nq,
			    const uint16_t *kt, size_t dim);
	void (*attn_mix)(float *out, size_t ldo, const float *p, size_t ldp, size_t nq,
			 const uint16_t *v, size_t ldv, size_t n, size_t dim);
};

/* The table in use: the best of this CPU unless kern_select() said otherwise.
 * Fetch it once an object (embed_open, decoder_open), not once a call. */
const struct kern *kern_get(void);
/* Before anything else uses kernels (a program's start).  RAG_EUNSUP names a
 * level that this CPU lacks. */
int kern_select(enum kern_level level);
enum kern_level kern_best(void);
/* A level by name: RAG_EINVAL when there is none such. */
int kern_parse(enum kern_level *out, const char *name);
/* The table of one level, for tests; NULL when this CPU lacks it. */
const struct kern *kern_at(enum kern_level level);

/* What the files add to a table. */
void kern_ref_fill(struct kern *k);
void kern_avx2_fill(struct kern *k);
void kern_avx512_fill(struct kern *k);
void kern_quant_ref_fill(struct kern *k);
void kern_quant_avx2_fill(struct kern *k);
void kern_quant_avx512_fill(struct kern *k);
void kern_int8_ref_fill(struct kern *k);
void kern_int8_avx2_fill(struct kern *k);
void kern_int8_avx512_fill(struct kern *k);

#endif
