/* The quantised kernels: every level gives the bits of the reference, for odd
 * sizes and any number of columns; the reference is near the product of the
 * dequantised row with the unquantised activations. */
#include "config.h"
#include "base/kern.h"
#include "base/mem.h"
#include "model/tensor.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>

static const enum kern_q types[] = {
	KERN_Q4_0, KERN_Q4_1, KERN_Q5_0, KERN_Q5_1, KERN_Q8_0,
	KERN_Q2_K, KERN_Q3_K, KERN_Q4_K, KERN_Q5_K, KERN_Q6_K,
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

static uint32_t seed = 1;

static uint32_t random32(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8 ^ seed << 13;
}

static float uniform(void)
{
	return (float)(random32() >> 8) * 0x1p-23f - 1;
}

/* Where the halves of a block are; -1: none. */
static int half_place(enum kern_q type, int which)
{
	switch (type) {
	case KERN_Q4_0: case KERN_Q5_0: case KERN_Q8_0: return which ? -1 : 0;
	case KERN_Q2_K: return 80 + 2 * which;
	case KERN_Q3_K: return which ? -1 : 108;
	case KERN_Q6_K: return which ? -1 : 208;
	default: return 2 * which;
	}
}

/* Random bytes, or all ones, but halves between 2^-7 and 2^-5 with either sign. */
static void make_rows(uint8_t *w, enum kern_q type, size_t n_blocks, bool ones)
{
	size_t bytes = kern_q_bytes(type);

	for (size_t i = 0; i < n_blocks * bytes; i++)
		w[i] = ones ? 0xFF : (uint8_t)(random32() >> 7);
	for (size_t b = 0; b < n_blocks; b++) {
		for (int h = 0; h < 2; h++) {
			int at = half_place(type, h);
			uint16_t v = (uint16_t)(0x2000 + random32() % 0x800 + (random32() & 0x8000));

			if (at >= 0)
				memcpy(w + b * bytes + at, &v, sizeof(v));
		}
	}
}

struct shape {
	size_t rows, k256, k32, cols;
};

static const struct shape shapes[] = {
	{ 1, 256, 32, 1 }, { 7, 512, 96, 1 }, { 8, 256, 160, 2 }, { 9, 768, 64, 3 },
	{ 16, 512, 288, 5 }, { 33, 256, 32, 16 }, { 65, 512, 96, 17 }, { 70, 1024, 224, 31 },
	{ 130, 256, 896, 1 }, { 15, 256, 32, 40 }, { 70, 1024, 224, 8 }, { 64, 512, 64, 9 },
	{ 31, 768, 96, 7 }, { 17, 256, 32, 4 }, { 33, 2304, 544, 1 }, { 16, 1536, 1536, 1 },
	{ 20, 2560, 512, 1 },
};
#define N_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void *take(size_t n)
{
	void *p = mem_aligned(64, n);

	if (!p)
		abort();
	return p;
}

static void multiply(float *y, const struct kern *k, enum kern_q type, const uint8_t *w,
		     const struct shape *s, size_t width, const float *x)
{
	size_t block = kern_q_block(type);
	void *mem = take(kern_acts_bytes(width, s->cols, block));
	void *scratch = take(kern_qmul_scratch(width));
	struct kern_acts a;

	kern_acts_init(&a, mem, width, s->cols, block);
	for (size_t g = 0; g < kern_acts_groups(&a); g++)
		k->quant(&a, x, width, g);
	k->qmul(y, s->rows, type, w, s->rows, &a, scratch);
	mem_free(scratch);
	mem_free(mem);
}

static void check_reference(enum kern_q type)
{
	const struct shape s = { 11, 1024, 1024, 3 };
	size_t block = kern_q_block(type), row = 1024 / block * kern_q_bytes(type);
	uint8_t *w = take(s.rows * row);
	float *x = take(s.cols * 1024 * sizeof(*x)), *y = take(s.rows * s.cols * sizeof(*y));
	float *v = take(1024 * sizeof(*v));
	double worst = 0;

	make_rows(w, type, s.rows * 1024 / block, false);
	for (size_t i = 0; i < s.cols * 1024; i++)
		x[i] = uniform();
	multiply(y, kern_at(KERN_REF), type, w, &s, 1024, x);
	for (size_t r = 0; r < s.rows; r++) {
		dequant_row(v, (enum dtype)type, w + r * row, 1024);
		for (size_t c = 0; c < s.cols; c++) {
			double sum = 0, size = 0;

			for (size_t i = 0; i < 1024; i++) {
				sum += (double)v[i] * (double)x[c * 1024 + i];
				size += (double)v[i] * (double)v[i];
			}
			/* An activation is off by 1/254 of the largest at most: by 1/440 in the mean. */
			worst = fmax(worst, fabs(sum - (double)y[c * s.rows + r]) / sqrt(size));
		}
	}
	ok(worst < 0.015, "%s: the reference is the product with the dequantised row (%.4f)",
	   dtype_name((int)type), worst);
	mem_free(w);
	mem_free(x);
	mem_free(y);
	mem_free(v);
}

static void check_levels(enum kern_q type)
{
	size_t block = kern_q_block(type);

	for (int level = KERN_AVX2; level < KERN_LEVELS; level++) {
		const struct kern *fast = kern_at((enum kern_level)level);
		size_t wrong = 0, first = 0;

		if (!fast) {
			tap_skip(1, "this processor lacks the level");
			continue;
		}
		for (size_t i = 0; i < N_SHAPES; i++) {
			const struct shape *s = &shapes[i];
			size_t width = block == 32 ? s->k32 : s->k256;
			size_t out = s->rows * s->cols * sizeof(float);
			uint8_t *w = take(s->rows * width / block * kern_q_bytes(type));
			float *x = take(s->cols * width * sizeof(*x)), *y = take(out), *z = take(out);

			/* Some at the limits: the largest integers, all of one sign. */
			make_rows(w, type, s->rows * width / block, i % 4 == 0);
			for (size_t j = 0; j < s->cols * width; j++)
				x[j] = i % 4 == 0 ? (i % 8 ? 1 : -1) : uniform() * (j % 5 ? 1 : 9);
			if (i % 3 == 0)		/* a block of zeros has no scale */
				memset(x, 0, block * sizeof(*x));
			multiply(y, kern_at(KERN_REF), type, w, s, width, x);
			multiply(z, fast, type, w, s, width, x);
			if (memcmp(y, z, out) && !wrong++)
				first = i;
			mem_free(w);
			mem_free(x);
			mem_free(y);
			mem_free(z);
		}
		ok(!wrong, "%s: %s gives the reference's bits", dtype_name((int)type), fast->name);
		if (wrong)
			printf("# %zu of %zu shapes differ, first %zu\n", wrong, N_SHAPES, first);
	}
}

/* Weights of -128 and activations at both ends: no sum on the way saturates. */
static void check_extremes(enum kern_q type)
{
	size_t block = kern_q_block(type);
	const struct shape s = { 9, 512, 64, 3 };
	size_t width = block == 32 ? s.k32 : s.k256, bytes = kern_q_bytes(type);
	size_t out = s.rows * s.cols * sizeof(float), n_blocks = s.rows * width / block;
	uint8_t *w = take(n_blocks * bytes);
	float *x = take(s.cols * width * sizeof(*x)), *y = take(out), *z = take(out);
	static const uint8_t fills[] = { 0x00, 0xFF, 0x80, 0x7F };
	bool same = true;

	for (size_t f = 0; f < sizeof(fills); f++) {
		make_rows(w, type, n_blocks, false);
		for (size_t b = 0; b < n_blocks; b++)
			for (size_t i = 0; i < bytes; i++)
				if ((int)i != half_place(type, 0) && (int)i != half_place(type, 0) + 1 &&
				    (int)i != half_place(type, 1) && (int)i != half_place(type, 1) + 1)
					w[b * bytes + i] = fills[f];
		for (size_t i = 0; i < s.cols * width; i++)
			x[i] = i / width == 0 ? 1 : i / width == 1 ? -1 : i % 2 ? 1 : -1;
		multiply(y, kern_at(KERN_REF), type, w, &s, width, x);
		for (int level = KERN_AVX2; level <= (int)kern_best(); level++) {
			multiply(z, kern_at((enum kern_level)level), type, w, &s, width, x);
			same &= !memcmp(y, z, out);
		}
	}
	ok(same, "%s: nothing saturates", dtype_name((int)type));
	mem_free(w);
	mem_free(x);
	mem_free(y);
	mem_free(z);
}

static void check_attention(void)
{
	static const size_t dims[] = { 16, 64, 80, 128 }, queries[] = { 1, 3, 7, 8, 14 };
	const struct kern *ref = kern_at(KERN_REF);

	for (int level = KERN_AVX2; level < KERN_LEVELS; level++) {
		const struct kern *fast = kern_at((enum kern_level)level);
		bool scores = true, mixes = true;

		if (!fast) {
			tap_skip(2, "this processor lacks the level");
			continue;
		}
		for (size_t d = 0; d < 4; d++) {
			for (size_t n = 0; n < 5; n++) {
				size_t dim = dims[d], nq = queries[n], n_pos = 5 + 13 * n;
				float *q = take(nq * dim * 4), *s = take(nq * 20 * 4), *t = take(nq * 20 * 4);
				float *p = take(nq * n_pos * 4), *o = take(nq * dim * 4);
				float *u = take(nq * dim * 4), *f = take((n_pos + 16) * dim * 4);
				uint16_t *kv = take((n_pos + 16) * dim * 2);

				for (size_t i = 0; i < nq * dim; i++)
					q[i] = uniform();
				for (size_t i = 0; i < nq * n_pos; i++)
					p[i] = uniform();
				for (size_t i = 0; i < (n_pos + 16) * dim; i++)
					f[i] = uniform();
				ref->f32_to_f16(kv, f, (n_pos + 16) * dim);
				memset(s, 0, nq * 20 * 4);
				memset(t, 0, nq * 20 * 4);
				ref->attn_scores(s, 20, q, dim, nq, kv, dim);
				fast->attn_scores(t, 20, q, dim, nq, kv, dim);
				scores &= !memcmp(s, t, nq * 20 * 4);
				memcpy(o, q, nq * dim * 4);
				memcpy(u, q, nq * dim * 4);
				ref->attn_mix(o, dim, p, n_pos, nq, kv, dim, n_pos, dim);
				fast->attn_mix(u, dim, p, n_pos, nq, kv, dim, n_pos, dim);
				mixes &= !memcmp(o, u, nq * dim * 4);
				mem_free(q);
				mem_free(s);
				mem_free(t);
				mem_free(p);
				mem_free(o);
				mem_free(u);
				mem_free(f);
				mem_free(kv);
			}
		}
		ok(scores, "attention scores: %s gives the reference's bits", fast->name);
		ok(mixes, "attention mix: %s gives the reference's bits", fast->name);
	}
}

int main(void)
{
	for (size_t i = 0; i < N_TYPES; i++) {
		check_reference(types[i]);
		check_levels(types[i]);
		check_extremes(types[i]);
	}
	check_attention();
	return tap_done();
}
