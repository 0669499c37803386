#include "config.h"

#include "model/tensor.h"

#include <assert.h>
#include <string.h>

/*
 * Each type's values in ggml's own order of operations, so that every bit
 * agrees with it.  d and m are halves; the rest of a block is bytes:
 *
 *	Q4_0	d, 16 of 4 bits			x = d (q - 8)
 *	Q4_1	d, m, 16 of 4 bits		x = d q + m
 *	Q5_0	d, 4 of fifth bits, 16		x = d (q - 16)
 *	Q5_1	d, m, 4 of fifth bits, 16	x = d q + m
 *	Q8_0	d, 32				x = d q
 *	Q2_K	16 scales, 64 of 2 bits, d, m	x = (d s) q - m t
 *	Q3_K	32 of third bits, 64, 12 of scales, d	x = (d s) (q - 4)
 *	Q4_K	d, m, 12 of scales, 128		x = (d s) q - m t
 *	Q5_K	d, m, 12 of scales, 32 of fifth bits, 128	x = (d s) q - m t
 *	Q6_K	128 of low nibbles, 64 of upper bits, 16 scales, d	x = (d s) (q - 32)
 */

static float from_bits(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

/* IEEE 754 binary16, little endian; not-a-number keeps its payload and comes out quiet. */
static float half(const uint8_t *p)
{
	uint32_t h = p[0] | (uint32_t)p[1] << 8;
	uint32_t sign = (h & 0x8000) << 16, exp = h >> 10 & 31, frac = h & 0x3ff;

	if (exp == 31)
		return from_bits(sign | 0x7f800000 | (frac ? 0x400000 : 0) | frac << 13);
	if (exp == 0) {	/* zero or subnormal: frac * 2^-24, exact in a float */
		float f = (float)frac * 0x1p-24f;

		return sign ? -f : f;
	}
	return from_bits(sign | (exp + 112) << 23 | frac << 13);
}

static uint32_t word(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void block_q4_0(float *y, const uint8_t *b)
{
	float d = half(b);
	const uint8_t *q = b + 2;

	for (int i = 0; i < 16; i++) {
		y[i] = (float)((q[i] & 15) - 8) * d;
		y[i + 16] = (float)((q[i] >> 4) - 8) * d;
	}
}

static void block_q4_1(float *y, const uint8_t *b)
{
	float d = half(b), m = half(b + 2);
	const uint8_t *q = b + 4;

	for (int i = 0; i < 16; i++) {
		y[i] = (float)(q[i] & 15) * d + m;
		y[i + 16] = (float)(q[i] >> 4) * d + m;
	}
}

static void block_q5_0(float *y, const uint8_t *b)
{
	float d = half(b);
	uint32_t high = word(b + 2);
	const uint8_t *q = b + 6;

	for (int i = 0; i < 16; i++) {
		int lo = (q[i] & 15) | (int)(high >> i & 1) << 4;
		int hi = (q[i] >> 4) | (int)(high >> (i + 16) & 1) << 4;

		y[i] = (float)(lo - 16) * d;
		y[i + 16] = (float)(hi - 16) * d;
	}
}

static void block_q5_1(float *y, const uint8_t *b)
{
	float d = half(b), m = half(b + 2);
	uint32_t high = word(b + 4);
	const uint8_t *q = b + 8;

	for (int i = 0; i < 16; i++) {
		int lo = (q[i] & 15) | (int)(high >> i & 1) << 4;
		int hi = (q[i] >> 4) | (int)(high >> (i + 16) & 1) << 4;

		y[i] = (float)lo * d + m;
		y[i + 16] = (float)hi * d + m;
	}
}

static void block_q8_0(float *y, const uint8_t *b)
{
	float d = half(b);

	for (int i = 0; i < 32; i++)
		y[i] = (float)(int8_t)b[2 + i] * d;
}

/* Groups of 16 in two halves of 128: group g has its 2 bits at shift 2 * (g / 2 % 4). */
static void block_q2_k(float *y, const uint8_t *b)
{
	const uint8_t *scale = b, *q = b + 16;
	float d = half(b + 80), m = half(b + 82);

	for (int g = 0; g < 16; g++) {
		const uint8_t *p = q + g / 8 * 32 + g % 2 * 16;
		int shift = g / 2 % 4 * 2;
		float ds = d * (float)(scale[g] & 15), ms = m * (float)(scale[g] >> 4);

		for (int i = 0; i < 16; i++)
			*y++ = ds * (float)(p[i] >> shift & 3) - ms;
	}
}

static void block_q3_k(float *y, const uint8_t *b)
{
	const uint8_t *high = b, *q = b + 32, *s = b + 96;
	float d = half(b + 108);

	for (int g = 0; g < 16; g++) {
		const uint8_t *p = q + g / 8 * 32 + g % 2 * 16, *h = high + g % 2 * 16;
		int shift = g / 2 % 4 * 2;
		int scale = (g < 8 ? s[g] & 15 : s[g - 8] >> 4) | (s[8 + g % 4] >> g / 4 * 2 & 3) << 4;
		float ds = d * (float)(scale - 32);

		for (int i = 0; i < 16; i++) {
			int v = (p[i] >> shift & 3) - (h[i] >> g / 2 & 1 ? 0 : 4);

			*y++ = ds * (float)v;
		}
	}
}

/* Eight scales and eight minima of 6 bits in 12 bytes: four of each whole
 * with two bits to spare, which are the upper bits of the other four. */
static void scale_k4(int *scale, int *min, const uint8_t *s, int g)
{
	if (g < 4) {
		*scale = s[g] & 63;
		*min = s[g + 4] & 63;
	} else {
		*scale = (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
		*min = s[g + 4] >> 4 | s[g] >> 6 << 4;
	}
}

static void block_q4_k(float *y, const uint8_t *b)
{
	float d = half(b), m = half(b + 2);
	const uint8_t *q = b + 16;

	for (int g = 0; g < 8; g++) {
		const uint8_t *p = q + g / 2 * 32;
		int scale, min, shift = g % 2 * 4;
		float ds, ms;

		scale_k4(&scale, &min, b + 4, g);
		ds = d * (float)scale;
		ms = m * (float)min;
		for (int i = 0; i < 32; i++)
			*y++ = ds * (float)(p[i] >> shift & 15) - ms;
	}
}

static void block_q5_k(float *y, const uint8_t *b)
{
	float d = half(b), m = half(b + 2);
	const uint8_t *high = b + 16, *q = b + 48;

	for (int g = 0; g < 8; g++) {
		const uint8_t *p = q + g / 2 * 32;
		int scale, min, shift = g % 2 * 4;
		float ds, ms;

		scale_k4(&scale, &min, b + 4, g);
		ds = d * (float)scale;
		ms = m * (float)min;
		for (int i = 0; i < 32; i++)
			*y++ = ds * (float)((p[i] >> shift & 15) + (high[i] >> g & 1) * 16) - ms;
	}
}

static void block_q6_k(float *y, const uint8_t *b)
{
	float d = half(b + 208);

	for (int g = 0; g < 8; g++) {	/* groups of 32 in two halves of 128 */
		const uint8_t *low = b + g / 4 * 64 + g % 2 * 32, *high = b + 128 + g / 4 * 32;
		const uint8_t *scale = b + 192 + g * 2;
		int part = g % 4;

		for (int i = 0; i < 32; i++) {
			int v = (low[i] >> part / 2 * 4 & 15) | (high[i] >> part * 2 & 3) << 4;

			*y++ = d * (float)(int8_t)scale[i / 16] * (float)(v - 32);
		}
	}
}

void dequant_row(float *out, enum dtype type, const void *row, size_t n)
{
	size_t block = dtype_block(type), bytes = dtype_block_bytes(type);
	const uint8_t *b = row;
	void (*fn)(float *y, const uint8_t *b) = NULL;

	assert(block && n % block == 0);
	switch (type) {
	case DT_F32:
		if (n)
			memcpy(out, row, n * sizeof(*out));
		return;
	case DT_F16:
		for (size_t i = 0; i < n; i++)
			out[i] = half(b + 2 * i);
		return;
	case DT_BF16:
		for (size_t i = 0; i < n; i++)
			out[i] = from_bits((uint32_t)b[2 * i] << 16 | (uint32_t)b[2 * i + 1] << 24);
		return;
	case DT_Q4_0: fn = block_q4_0; break;
	case DT_Q4_1: fn = block_q4_1; break;
	case DT_Q5_0: fn = block_q5_0; break;
	case DT_Q5_1: fn = block_q5_1; break;
	case DT_Q8_0: fn = block_q8_0; break;
	case DT_Q2_K: fn = block_q2_k; break;
	case DT_Q3_K: fn = block_q3_k; break;
	case DT_Q4_K: fn = block_q4_k; break;
	case DT_Q5_K: fn = block_q5_k; break;
	case DT_Q6_K: fn = block_q6_k; break;
	}
	for (; n; n -= block, out += block, b += bytes)
		fn(out, b);
}
