/* The 8-bit kernels as kern_int8.h defines them, value by value. */
#include "config.h"
#include "base/kern.h"

#include "base/kern_math.h"

#include <math.h>
#include <string.h>

#define PARTS 16	/* partial sums of floats */

static float sum_parts(float part[PARTS])
{
	for (size_t half = PARTS / 2; half; half /= 2)
		for (size_t i = 0; i < half; i++)
			part[i] += part[i + half];
	return part[0];
}

static float times(const float *by, size_t i)
{
	return by ? by[i] : 1;
}

/* To -127 .. 127: the scale of n values, stride apart; *inverse is what they are multiplied with. */
static float scale_signed(float *inverse, const float *x, size_t stride, const float *by, size_t n)
{
	float most = 0, nan = 0;

	for (size_t i = 0; i < n; i++) {
		float v = x[i * stride] * times(by, i);

		most = fmaxf(most, fabsf(v));
		nan = fmaf(v, 0, nan);
	}
	*inverse = most > 1e-30f ? 127 / most : 0;
	if (isnan(nan)) {
		*inverse = 0;
		return NAN;
	}
	return most / 127;
}

static int round_signed(float v)
{
	return isnan(v) ? 0 : (int)rintf(v);
}

static void ref_pack8(struct kern8_panel *out, const float *w, size_t ldw, const float *by, size_t n,
		      size_t k)
{
	memset(out, 0, kern8_panel_bytes(k));
	for (size_t j = 0; j < n; j++) {
		float inverse;

		out->scale[j] = scale_signed(&inverse, w + j * ldw, 1, by, k);
		for (size_t i = 0; i < k; i++) {
			int q = round_signed(w[j * ldw + i] * times(by, i) * inverse);

			out->q[(i / 4 * KERN8_PANEL + j) * 4 + i % 4] = (int8_t)q;
			out->sum[j] += q;
		}
	}
}

static void ref_pack16(struct kern8_panel *out, const float *v, size_t ldv, size_t n, size_t k)
{
	int16_t *q = (int16_t *)(void *)out->q;

	memset(out, 0, kern8_mix_bytes(k));
	for (size_t j = 0; j < n; j++) {
		float inverse;

		out->scale[j] = scale_signed(&inverse, v + j, ldv, NULL, k);
		for (size_t i = 0; i < k; i++)
			q[(i / 2 * KERN8_PANEL + j) * 2 + i % 2] =
				(int16_t)round_signed(v[i * ldv + j] * inverse);
	}
}

static void ref_row8(uint8_t *q, struct kern8_row *row, const float *x, const float *by, size_t n)
{
	float low = 0, high = 0, nan = 0, inverse, zero;

	for (size_t i = 0; i < n; i++) {
		float v = x[i] * times(by, i);

		low = fminf(low, v);
		high = fmaxf(high, v);
		nan = fmaf(v, 0, nan);
	}
	inverse = high - low > 1e-30f ? 255 / (high - low) : 0;
	zero = rintf(-low * inverse);
	if (isnan(nan))
		inverse = zero = 0;
	row->scale = isnan(nan) ? NAN : (high - low) / 255;
	row->zero = (int32_t)zero;
	memset(q, 0, kern8_padded(n));
	for (size_t i = 0; i < n && !isnan(nan); i++)
		q[i] = (uint8_t)fminf(fmaxf(rintf(fmaf(x[i] * times(by, i), inverse, zero)), 0), 255);
}

static float output(int32_t sum, const struct kern8_row *row, const struct kern8_panel *w, size_t j,
		    const float *bias)
{
	return fmaf((float)sum, row->scale * w->scale[j], bias ? bias[j] : 0);
}

static void ref_gemm8(float *y, size_t ldy, const uint8_t *x, size_t ldx, const struct kern8_row *row,
		      const struct kern8_panel *w, size_t m, size_t n, size_t k, const float *bias)
{
	for (size_t r = 0; r < m; r++) {
		int32_t sum[KERN8_PANEL] = { 0 };

		for (size_t i = 0; i < k; i++)
			for (size_t j = 0; j < KERN8_PANEL; j++)
				sum[j] += x[r * ldx + i] * w->q[(i / 4 * KERN8_PANEL + j) * 4 + i % 4];
		for (size_t j = 0; j < n; j++)
			y[r * ldy + j] = output(sum[j] - row[r].zero * w->sum[j], &row[r], w, j, bias);
	}
}

static void ref_mix16(float *y, size_t ldy, const int16_t *x, size_t ldx, const struct kern8_row *row,
		      const struct kern8_panel *v, size_t m, size_t n, size_t k)
{
	const int16_t *q = (const int16_t *)(const void *)v->q;

	for (size_t r = 0; r < m; r++) {
		int32_t sum[KERN8_PANEL] = { 0 };

		for (size_t i = 0; i < k; i++)
			for (size_t j = 0; j < KERN8_PANEL; j++)
				sum[j] += x[r * ldx + i] * q[(i / 2 * KERN8_PANEL + j) * 2 + i % 2];
		for (size_t j = 0; j < n; j++)
			y[r * ldy + j] = output(sum[j], &row[r], v, j, NULL);
	}
}

static float exp2_of(float x)
{
	float n, f, p;

	x = fmaxf(x, EXP2_LOW);
	n = rintf(x);
	f = x - n;
	p = fmaf(EXP2_P4, f, EXP2_P3);
	p = fmaf(p, f, EXP2_P2);
	p = fmaf(p, f, EXP2_P1);
	return ldexpf(fmaf(p, f, 1), (int)n);
}

static int32_t ref_exp16(int16_t *p, const float *s, size_t n, int32_t top)
{
	float most = -INFINITY;
	int32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		most = fmaxf(most, s[i]);
	memset(p, 0, kern8_padded(n) * sizeof(*p));
	for (size_t i = 0; i < n; i++) {
		p[i] = (int16_t)rintf(exp2_of(s[i] - most) * (float)top);
		sum += p[i];
	}
	return sum;
}

static void ref_norm8(float *x, const float *add, const float *gain, const float *bias, size_t n,
		      float eps)
{
	float part[PARTS] = { 0 }, square[PARTS] = { 0 }, mean, scale;

	for (size_t i = 0; i < n; i++) {
		if (add)
			x[i] += add[i];
		part[i % PARTS] += x[i];
	}
	mean = sum_parts(part) / (float)n;
	for (size_t i = 0; i < n; i++) {
		float d = x[i] - mean;

		square[i % PARTS] = fmaf(d, d, square[i % PARTS]);
	}
	scale = 1 / sqrtf(sum_parts(square) / (float)n + eps);
	for (size_t i = 0; i < n; i++)
		x[i] = fmaf(x[i] - mean, scale * gain[i], bias[i]);
}

static void ref_gelu8(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float c = fminf(fmaxf(x[i], -GELU8_END), GELU8_END), u = c * c;
		float p = fmaf(GELU8_G8, u, GELU8_G7);

		p = fmaf(p, u, GELU8_G6);
		p = fmaf(p, u, GELU8_G5);
		p = fmaf(p, u, GELU8_G4);
		p = fmaf(p, u, GELU8_G3);
		p = fmaf(p, u, GELU8_G2);
		p = fmaf(p, u, GELU8_G1);
		p = fmaf(p, u, GELU8_G0);
		x[i] *= fmaf(c, p, 0.5f);
	}
}

void kern_int8_ref_fill(struct kern *k)
{
	k->pack8 = ref_pack8;
	k->pack16 = ref_pack16;
	k->row8 = ref_row8;
	k->gemm8 = ref_gemm8;
	k->mix16 = ref_mix16;
	k->exp16 = ref_exp16;
	k->norm8 = ref_norm8;
	k->gelu8 = ref_gelu8;
}
