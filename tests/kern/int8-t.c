/* The 8-bit kernels: every level gives the plain twin's bits, and these are what plain loops in
 * double precision make of the same numbers.  Odd sizes, extremes, guards behind the output. */
#include "config.h"
#include "tests/tap.h"

#include "base/kern.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define K_MAX 1600
#define M_MAX 29
#define GUARD 12345.0f

static const size_t sizes[] = { 1, 2, 3, 4, 5, 11, 15, 16, 17, 31, 32, 33, 44, 75, 129, 384, 1536 };
static const size_t widths[] = { 1, 2, 7, 8, 9, 15, 16, 17, 31, 32 };
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))
#define N_WIDTHS (sizeof(widths) / sizeof(widths[0]))

static uint32_t state = 1;

static uint32_t bits(void)
{
	state = state * 1664525u + 1013904223u;
	return state >> 8;
}

static float noise(void)	/* -1 .. 1, the same on every run */
{
	return (float)bits() / (float)(1 << 23) - 1;
}

static void fill(float *x, size_t n, float scale)
{
	for (size_t i = 0; i < n; i++)
		x[i] = scale * noise();
}

static struct kern8_panel *panel_new(size_t k)
{
	struct kern8_panel *p = mem_aligned(64, kern8_mix_bytes(k));

	if (!p) {
		printf("Bail out! no memory\n");
		exit(1);
	}
	memset(p, 0x55, kern8_mix_bytes(k));
	return p;
}

/* ---- to integers ---- */

static bool row_is_sound(const uint8_t *q, const struct kern8_row *row, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fabs((double)row->scale * (q[i] - row->zero) - x[i]) > .5001 * (double)row->scale + 1e-30)
			return false;
	for (size_t i = n; i < kern8_padded(n); i++)
		if (q[i])
			return false;
	return true;
}

static void test_row8(const struct kern *k, const struct kern *ref)
{
	static const float shift[] = { 0, .7f, -3, 100 };
	static uint8_t q[K_MAX + 64], want[K_MAX + 64];
	static float x[K_MAX], by[K_MAX];
	bool same = true, sound = true, seen = true;

	fill(by, K_MAX, 2);

	for (size_t s = 0; s < N_SIZES; s++) {
		size_t n = sizes[s];
		struct kern8_row row, wanted;

		for (size_t t = 0; t < 4; t++) {
			fill(x, n, t == 3 ? 1e-20f : 2);
			for (size_t i = 0; i < n; i++)
				x[i] += shift[t];
			memset(q, 0x55, sizeof(q));
			k->row8(q, &row, x, t & 1 ? by : NULL, n);
			ref->row8(want, &wanted, x, t & 1 ? by : NULL, n);
			for (size_t i = 0; t & 1 && i < n; i++)
				x[i] *= by[i];
			same = same && !memcmp(q, want, kern8_padded(n)) && row.scale == wanted.scale &&
			       row.zero == wanted.zero && q[kern8_padded(n)] == 0x55;
			sound = sound && row_is_sound(q, &row, x, n);
		}
		memset(x, 0, n * sizeof(*x));
		k->row8(q, &row, x, NULL, n);
		sound = sound && row.scale == 0 && row.zero == 0;
		for (size_t bad = 0; bad < 3; bad++) {
			fill(x, n, 1);
			x[bits() % n] = bad == 0 ? NAN : bad == 1 ? INFINITY : -INFINITY;
			k->row8(q, &row, x, NULL, n);
			seen = seen && isnan(row.scale);
		}
	}
	ok(same, "%s: row8 gives the plain twin's bits", k->name);
	ok(sound, "%s: row8 is off by half a step at most", k->name);
	ok(seen, "%s: row8 sees what is no number", k->name);
}

static void test_pack(const struct kern *k, const struct kern *ref)
{
	struct kern8_panel *p = panel_new(K_MAX), *want = panel_new(K_MAX);
	static float w[(KERN8_PANEL + 2) * (K_MAX + 3)];
	static float by[K_MAX];
	bool same = true, same16 = true, sound = true, seen = true;

	fill(by, K_MAX, 2);

	for (size_t s = 0; s < N_SIZES; s++) {
		for (size_t t = 0; t < N_WIDTHS; t++) {
			size_t n = widths[t], size = sizes[s], ldw = size + 3;

			fill(w, n * ldw, 3);
			k->pack8(p, w, ldw, by, n, size);
			ref->pack8(want, w, ldw, by, n, size);
			same = same && !memcmp(p, want, kern8_panel_bytes(size));
			k->pack8(p, w, ldw, NULL, n, size);
			ref->pack8(want, w, ldw, NULL, n, size);
			same = same && !memcmp(p, want, kern8_panel_bytes(size));
			for (size_t i = 0; i < size; i++)
				sound = sound && fabsf(p->scale[n - 1] *
					p->q[(i / 4 * KERN8_PANEL + n - 1) * 4 + i % 4] - w[(n - 1) * ldw + i])
					<= .5001f * p->scale[n - 1];
			fill(w, size * (n + 2), 3);
			k->pack16(p, w, n + 2, n, size);
			ref->pack16(want, w, n + 2, n, size);
			same16 = same16 && !memcmp(p, want, kern8_mix_bytes(size));
			w[(size - 1) * (n + 2) + n - 1] = NAN;
			k->pack16(p, w, n + 2, n, size);
			seen = seen && isnan(p->scale[n - 1]) && (n == 1 || !isnan(p->scale[0]));
			w[(n - 1) * size + size - 1] = INFINITY;
			k->pack8(p, w, size, NULL, n, size);
			seen = seen && isnan(p->scale[n - 1]);
		}
	}
	ok(same, "%s: pack8 gives the plain twin's bits", k->name);
	ok(same16, "%s: pack16 too", k->name);
	ok(sound, "%s: they are off by half a step at most", k->name);
	ok(seen, "%s: they see what is no number", k->name);
	mem_free(p);
	mem_free(want);
}

/* ---- products ---- */

struct product {
	uint8_t x[M_MAX * (K_MAX + 16)];
	int16_t x16[M_MAX * (K_MAX + 16)];
	struct kern8_row row[M_MAX];
	float bias[KERN8_PANEL], y[M_MAX * 40];
	struct kern8_panel *w, *v;	/* bytes; words */
};

/* mode 0: anything; 1: all extremes of one sign, 2: of alternating signs. */
static void draw(struct product *p, size_t k, int mode)
{
	int16_t *v = (int16_t *)(void *)p->v->q;
	int32_t top = kern8_top(k);

	memset(p->w, 0, kern8_panel_bytes(k));
	memset(p->v, 0, kern8_mix_bytes(k));
	for (size_t i = 0; i < sizeof(p->x); i++) {
		p->x[i] = (uint8_t)(mode == 0 ? bits() : 255);
		p->x16[i] = (int16_t)(mode == 0 ? (int32_t)(bits() % (uint32_t)(top + 1)) : top);
	}
	for (size_t j = 0; j < KERN8_PANEL; j++) {
		p->w->scale[j] = p->v->scale[j] = .01f + fabsf(noise());
		p->bias[j] = noise();
		for (size_t i = 0; i < k; i++) {
			int q = mode == 0 ? (int)(bits() % 255) - 127
			      : mode == 1 ? -128 + (int)(j % 2) * 255 : i % 2 ? 127 : -128;

			p->w->q[(i / 4 * KERN8_PANEL + j) * 4 + i % 4] = (int8_t)q;
			p->w->sum[j] += q;
			v[(i / 2 * KERN8_PANEL + j) * 2 + i % 2] = (int16_t)(q < -127 ? -127 : q);
		}
	}
	for (size_t r = 0; r < M_MAX; r++) {
		p->row[r].scale = .01f + fabsf(noise());
		p->row[r].zero = mode == 0 ? (int32_t)(bits() % 256) : mode == 1 ? 255 : 0;
	}
}

/* The integers in 64 bits, then as kern_int8.h says. */
static float wanted(const struct product *p, size_t r, size_t j, size_t k, bool wide, bool biased)
{
	const int16_t *v = (const int16_t *)(const void *)p->v->q;
	size_t ldx = kern8_padded(k);
	int64_t sum = 0;

	for (size_t i = 0; i < k; i++)
		sum += wide ? p->x16[r * ldx + i] * v[(i / 2 * KERN8_PANEL + j) * 2 + i % 2]
			    : (p->x[r * ldx + i] - p->row[r].zero) *
			      p->w->q[(i / 4 * KERN8_PANEL + j) * 4 + i % 4];
	return fmaf((float)sum, p->row[r].scale * (wide ? p->v : p->w)->scale[j],
		    biased ? p->bias[j] : 0);
}

static bool product_is_right(const struct kern *kern, struct product *p, size_t m, size_t n, size_t k,
			     bool wide, bool biased)
{
	size_t ldx = kern8_padded(k), ldy = n + 3;

	for (size_t i = 0; i < M_MAX * 40; i++)
		p->y[i] = GUARD;
	if (wide)
		kern->mix16(p->y, ldy, p->x16, ldx, p->row, p->v, m, n, k);
	else
		kern->gemm8(p->y, ldy, p->x, ldx, p->row, p->w, m, n, k, biased ? p->bias : NULL);
	for (size_t i = 0; i < M_MAX * ldy; i++) {
		size_t r = i / ldy, j = i % ldy;

		if (p->y[i] != (r < m && j < n ? wanted(p, r, j, k, wide, biased) : GUARD)) {
			printf("# %zu x %zu x %zu: output %zu, %zu is %.9g\n", m, n, k, r, j, (double)p->y[i]);
			return false;
		}
	}
	return true;
}

static void test_products(const struct kern *k)
{
	static const size_t lengths[] = { 1, 3, 4, 7, 32, 44, 75, 384, 1536 };
	struct product *p = mem_calloc(1, sizeof(*p));
	bool good[2] = { true, true }, extreme[2] = { true, true };

	p->w = panel_new(K_MAX);
	p->v = panel_new(K_MAX);
	for (size_t s = 0; s < sizeof(lengths) / sizeof(lengths[0]); s++) {
		size_t most = lengths[s] > 100 ? 14 : M_MAX;

		draw(p, lengths[s], 0);
		for (int wide = 0; wide < 2; wide++)
			for (size_t m = 1; m <= most && good[wide]; m++)
				good[wide] = product_is_right(k, p, m, widths[m % N_WIDTHS], lengths[s], wide,
							       !wide && m & 1);
		for (int mode = 1; mode <= 2; mode++) {
			draw(p, lengths[s], mode);
			for (int wide = 0; wide < 2; wide++)
				extreme[wide] = extreme[wide] &&
					product_is_right(k, p, 13, KERN8_PANEL, lengths[s], wide, false);
		}
	}
	ok(good[0], "%s: gemm8 is the sum of integers", k->name);
	ok(good[1], "%s: mix16 too", k->name);
	ok(extreme[0] && extreme[1], "%s: and of the largest and least", k->name);
	mem_free(p->w);
	mem_free(p->v);
	mem_free(p);
}

/* ---- floats ---- */

static void test_exp16(const struct kern *k, const struct kern *ref)
{
	static float s[K_MAX];
	static int16_t p[K_MAX + 64], want[K_MAX + 64];
	bool same = true, near = true;

	for (size_t t = 0; t < N_SIZES; t++) {
		size_t n = sizes[t];
		int32_t top = kern8_top(n), sum, all = 0;
		float most = -INFINITY;

		for (size_t i = 0; i < n; i++)
			most = fmaxf(most, s[i] = 8 * noise() - (i % 7 == 3 ? 1000 : 0));
		memset(p, 0x55, sizeof(p));
		sum = k->exp16(p, s, n, top);
		same = same && sum == ref->exp16(want, s, n, top) &&
		       !memcmp(p, want, kern8_padded(n) * sizeof(*p)) && p[kern8_padded(n)] == 0x5555;
		for (size_t i = 0; i < n; i++) {
			near = near && fabs(p[i] - top * exp2((double)s[i] - most)) < .6;
			all += p[i];
		}
		near = near && all == sum;
	}
	ok(same, "%s: exp16 gives the plain twin's bits", k->name);
	ok(near, "%s: which are 2^x", k->name);
}

static void test_norm8(const struct kern *k, const struct kern *ref)
{
	static float x[K_MAX], y[K_MAX], add[K_MAX], gain[K_MAX], bias[K_MAX];
	bool same = true, near = true;

	for (size_t s = 0; s < N_SIZES; s++) {
		for (int with = 0; with < 2; with++) {
			size_t n = sizes[s];
			double mean = 0, var = 0;

			fill(x, n, 4);
			fill(add, n, 2);
			fill(gain, n, 1);
			fill(bias, n, 1);
			memcpy(y, x, sizeof(x));
			x[n] = GUARD;
			for (size_t i = 0; i < n; i++)
				mean += ((double)y[i] + (with ? add[i] : 0)) / (double)n;
			for (size_t i = 0; i < n; i++)
				var += pow((double)y[i] + (with ? add[i] : 0) - mean, 2) / (double)n;
			k->norm8(x, with ? add : NULL, gain, bias, n, 1e-5f);
			for (size_t i = 0; i < n; i++)
				near = near && fabs(((double)y[i] + (with ? add[i] : 0) - mean) /
					sqrt(var + 1e-5) * gain[i] + bias[i] - x[i]) < 1e-4;
			ref->norm8(y, with ? add : NULL, gain, bias, n, 1e-5f);
			same = same && !memcmp(x, y, n * sizeof(*x)) && x[n] == GUARD;
		}
	}
	ok(same, "%s: norm8 gives the plain twin's bits", k->name);
	ok(near, "%s: which are the norm's", k->name);
}

static void test_gelu8(const struct kern *k, const struct kern *ref)
{
	static float x[K_MAX], y[K_MAX];
	bool same = true, near = true;

	for (size_t s = 0; s < N_SIZES; s++) {
		size_t n = sizes[s];

		for (size_t i = 0; i < n; i++)
			x[i] = y[i] = (i % 5 ? 6 : 60) * noise();
		x[n] = GUARD;
		k->gelu8(x, n);
		for (size_t i = 0; i < n; i++)
			near = near && fabs(x[i] - .5 * y[i] * erfc(-y[i] / sqrt(2))) < 6e-5 * (1 + fabs((double)y[i]));
		ref->gelu8(y, n);
		same = same && !memcmp(x, y, n * sizeof(*x)) && x[n] == GUARD;
	}
	ok(same, "%s: gelu8 gives the plain twin's bits", k->name);
	ok(near, "%s: which are near gelu", k->name);
}

int main(void)
{
	const struct kern *ref = kern_at(KERN_REF);

	for (int level = 0; level < KERN_LEVELS; level++) {
		const struct kern *k = kern_at((enum kern_level)level);

		if (!k) {
			tap_skip(1, "this CPU lacks the level");
			continue;
		}
		test_row8(k, ref);
		test_pack(k, ref);
		test_products(k);
		test_exp16(k, ref);
		test_norm8(k, ref);
		test_gelu8(k, ref);
	}
	is_int(kern8_top(1), INT16_MAX, "the largest weight of one position");
	ok((int64_t)kern8_top(KERN8_K_MAX) * KERN8_K_MAX * 127 <= INT32_MAX && kern8_top(512) > 32000,
	   "and of many, whose sum fits");
	return tap_done();
}
