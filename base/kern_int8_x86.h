/*
 * kern_int8_x86 - the 8-bit kernels but for the products, one text for AVX2 and AVX-512.
 *
 * The including file defines vec (16 floats), ivec (16 int32) and their
 * operations.  A load or store of n < 16 values leaves the others out; a
 * loaded vector is 0 there.
 */
#include "base/kern.h"
#include "base/kern_math.h"

#include <math.h>

#define STEP 16		/* values of a vec */

/* As ref's scale_signed(). */
INLINE float signed_scale(float *inverse, float most, bool nan)
{
	*inverse = most > 1e-30f && !nan ? 127 / most : 0;
	return nan ? NAN : most / 127;
}

INLINE vec load_times(const float *x, const float *by, size_t i, size_t n)
{
	vec v = v_load(x + i, n - i);

	return by ? v_mul(v, v_load(by + i, n - i)) : v;
}

static void x86_pack8(struct kern8_panel *out, const float *w, size_t ldw, const float *by, size_t n,
		      size_t k)
{
	memset(out, 0, sizeof(*out));
	if (n < KERN8_PANEL)
		memset(out->q, 0, kern8_padded(k) * KERN8_PANEL);
	for (size_t j = 0; j < n; j++) {
		const float *row = w + j * ldw;
		vec most = v_set(0), nan = v_set(0);
		ivec sum = i_set(0);
		float inverse;

		for (size_t i = 0; i < k; i += STEP) {
			vec v = load_times(row, by, i, k);

			most = v_max(v_abs(v), most);
			nan = v_fma(v, v_set(0), nan);
		}
		out->scale[j] = signed_scale(&inverse, v_most(most), v_nan(nan));
		for (size_t i = 0; i < k; i += STEP) {
			ivec q = i_round(v_mul(load_times(row, by, i, k), v_set(inverse)));

			sum = i_add(sum, q);
			i_quads(out->q + (i / 4 * KERN8_PANEL + j) * 4, KERN8_PANEL * 4, q);
		}
		out->sum[j] = isnan(out->scale[j]) ? 0 : i_sum(sum);
	}
}

/* As 16-bit halves: a below, b above. */
static void x86_pack16(struct kern8_panel *out, const float *v, size_t ldv, size_t n, size_t k)
{
	memset(out, 0, sizeof(*out));
	memset(out->q, 0, 2 * kern8_padded(k) * KERN8_PANEL);
	for (size_t j = 0; j < n; j += STEP) {
		vec most = v_set(0), nan = v_set(0), inverse;
		float inverses[STEP], each[STEP], bad[STEP];

		for (size_t i = 0; i < k; i++) {
			vec x = v_load(v + i * ldv + j, n - j);

			most = v_max(v_abs(x), most);
			nan = v_fma(x, v_set(0), nan);
		}
		v_store(each, STEP, most);
		v_store(bad, STEP, nan);
		for (size_t c = 0; c < STEP && j + c < n; c++)
			out->scale[j + c] = signed_scale(&inverses[c], each[c], isnan(bad[c]));
		inverse = v_load(inverses, n - j);
		for (size_t i = 0; i < k; i += 2) {
			vec a = v_load(v + i * ldv + j, n - j);
			vec b = i + 1 < k ? v_load(v + (i + 1) * ldv + j, n - j) : v_set(0);

			i_store(out->q + (i / 2 * KERN8_PANEL + j) * 4,
				i_pair(i_round(v_mul(a, inverse)), i_round(v_mul(b, inverse))));
		}
	}
}

static void x86_row8(uint8_t *q, struct kern8_row *row, const float *x, const float *by, size_t n)
{
	vec low = v_set(0), high = v_set(0), nan = v_set(0);
	float least, most, inverse, zero;
	bool bad;

	for (size_t i = 0; i < n; i += STEP) {
		vec v = load_times(x, by, i, n);

		low = v_min(v, low);
		high = v_max(v, high);
		nan = v_fma(v, v_set(0), nan);
	}
	least = v_least(low);
	most = v_most(high);
	bad = v_nan(nan);
	inverse = most - least > 1e-30f && !bad ? 255 / (most - least) : 0;
	zero = bad ? 0 : rintf(-least * inverse);
	row->scale = bad ? NAN : (most - least) / 255;
	row->zero = (int32_t)zero;
	for (size_t i = 0; i < n; i += STEP) {
		vec v = v_fma(load_times(x, by, i, n), v_set(inverse), v_set(zero));

		i_bytes(q + i, i_round(n - i < STEP ? v_keep(n - i, v) : v));
	}
}

static int32_t x86_exp16(int16_t *p, const float *s, size_t n, int32_t top)
{
	vec most = v_set(-INFINITY);
	ivec sum = i_set(0);
	float high;

	for (size_t i = 0; i + STEP <= n; i += STEP)
		most = v_max(v_load(s + i, STEP), most);
	high = v_most(most);
	for (size_t i = n / STEP * STEP; i < n; i++)
		high = fmaxf(high, s[i]);
	for (size_t i = 0; i < n; i += STEP) {
		vec x = v_max(v_sub(v_load(s + i, n - i), v_set(high)), v_set(EXP2_LOW));
		vec whole = v_whole(x), f = v_sub(x, whole);
		vec e = v_fma(v_set(EXP2_P4), f, v_set(EXP2_P3));
		ivec q;

		e = v_fma(e, f, v_set(EXP2_P2));
		e = v_fma(e, f, v_set(EXP2_P1));
		e = v_times2(v_fma(e, f, v_set(1)), whole);
		e = v_mul(e, v_set((float)top));
		q = i_round(n - i < STEP ? v_keep(n - i, e) : e);
		sum = i_add(sum, q);
		i_words(p + i, q);
	}
	return i_sum(sum);
}

static void x86_norm8(float *x, const float *add, const float *gain, const float *bias, size_t n,
		      float eps)
{
	vec sum = v_set(0), square = v_set(0), mean, scale;

	for (size_t i = 0; i < n; i += STEP) {
		vec v = v_load(x + i, n - i);

		if (add) {
			v = v_add(v, v_load(add + i, n - i));
			v_store(x + i, n - i, v);
		}
		sum = v_add(sum, v);
	}
	mean = v_set(v_sum(sum) / (float)n);
	for (size_t i = 0; i < n; i += STEP) {
		vec d = v_sub(v_load(x + i, n - i), mean);

		if (n - i < STEP)
			d = v_keep(n - i, d);
		square = v_fma(d, d, square);
	}
	scale = v_set(1 / sqrtf(v_sum(square) / (float)n + eps));
	for (size_t i = 0; i < n; i += STEP) {
		vec d = v_sub(v_load(x + i, n - i), mean);
		vec g = v_mul(scale, v_load(gain + i, n - i));

		v_store(x + i, n - i, v_fma(d, g, v_load(bias + i, n - i)));
	}
}

static void x86_gelu8(float *x, size_t n)
{
	for (size_t i = 0; i < n; i += STEP) {
		vec v = v_load(x + i, n - i);
		vec c = v_min(v_max(v, v_set(-GELU8_END)), v_set(GELU8_END)), u = v_mul(c, c);
		vec p = v_fma(v_set(GELU8_G8), u, v_set(GELU8_G7));

		p = v_fma(p, u, v_set(GELU8_G6));
		p = v_fma(p, u, v_set(GELU8_G5));
		p = v_fma(p, u, v_set(GELU8_G4));
		p = v_fma(p, u, v_set(GELU8_G3));
		p = v_fma(p, u, v_set(GELU8_G2));
		p = v_fma(p, u, v_set(GELU8_G1));
		p = v_fma(p, u, v_set(GELU8_G0));
		v_store(x + i, n - i, v_mul(v, v_fma(c, p, v_set(0.5f))));
	}
}
