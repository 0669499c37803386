/* AVX-512: 16 floats a register, 32 registers, tails by mask. */
#include "config.h"
#include "base/kern.h"

#include "base/kern_math.h"

#include <immintrin.h>
#include <math.h>

#define LANES 16
#define ROWS 14		/* 14 x 2 accumulators, two of weights, one of input: 31 registers */

static inline __mmask16 first(size_t n)	/* the mask of the first n lanes */
{
	return n >= LANES ? 0xFFFF : (__mmask16)((1u << n) - 1);
}

static float avx512_dot(const float *a, const float *b, size_t n)
{
	__m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
	size_t i = 0;

	for (; i + 64 <= n; i += 64) {
		s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s0);
		s1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16), s1);
		s2 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 32), _mm512_loadu_ps(b + i + 32), s2);
		s3 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 48), _mm512_loadu_ps(b + i + 48), s3);
	}
	for (; i < n; i += LANES) {
		__mmask16 m = first(n - i);

		s0 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, a + i),
				     _mm512_maskz_loadu_ps(m, b + i), s0);
	}
	return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

static void avx512_f16_to_f32(float *out, const uint16_t *in, size_t n)
{
	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);

		_mm512_mask_storeu_ps(out + i, m,
				      _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, in + i)));
	}
}

static void avx512_f32_to_f16(uint16_t *out, const float *in, size_t n)
{
	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);
		__m512 v = _mm512_maskz_loadu_ps(m, in + i);

		_mm256_mask_storeu_epi16(out + i, m,
					 _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
	}
}

static void avx512_bf16_to_f32(float *out, const uint16_t *in, size_t n)
{
	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);
		__m512i v = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, in + i));

		_mm512_mask_storeu_epi32(out + i, m, _mm512_slli_epi32(v, 16));
	}
}

/* 16 rows of 16 become 16 columns: 4x4 blocks first, then the blocks. */
static inline void transpose16(__m512 r[16])
{
	__m512 t[16];

#pragma GCC unroll 4
	for (int i = 0; i < 16; i += 4) {
		__m512 a = _mm512_unpacklo_ps(r[i], r[i + 1]);
		__m512 b = _mm512_unpackhi_ps(r[i], r[i + 1]);
		__m512 c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]);
		__m512 d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);

		t[i] = _mm512_shuffle_ps(a, c, 0x44);
		t[i + 1] = _mm512_shuffle_ps(a, c, 0xEE);
		t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
		t[i + 3] = _mm512_shuffle_ps(b, d, 0xEE);
	}
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		__m512 a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88);
		__m512 b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xDD);
		__m512 c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88);
		__m512 d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xDD);

		r[i] = _mm512_shuffle_f32x4(a, c, 0x88);
		r[i + 8] = _mm512_shuffle_f32x4(a, c, 0xDD);
		r[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
		r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xDD);
	}
}

static void avx512_pack(float *packed, const float *w, size_t ldw, size_t n, size_t k)
{
	for (size_t i = 0; i < k; i += LANES) {
		size_t columns = k - i < LANES ? k - i : LANES;
		__mmask16 m = first(columns);

		for (size_t half = 0; half < KERN_PANEL; half += LANES) {
			__m512 r[LANES];

#pragma GCC unroll 16
			for (size_t j = 0; j < LANES; j++)
				r[j] = half + j < n
				     ? _mm512_maskz_loadu_ps(m, w + (half + j) * ldw + i)
				     : _mm512_setzero_ps();
			transpose16(r);
			if (columns == LANES) {
#pragma GCC unroll 16
				for (size_t j = 0; j < LANES; j++)
					_mm512_store_ps(packed + (i + j) * KERN_PANEL + half, r[j]);
			} else {
				for (size_t j = 0; j < columns; j++)
					_mm512_store_ps(packed + (i + j) * KERN_PANEL + half, r[j]);
			}
		}
	}
}

/* rows is a constant in each call, so that the accumulators are registers.
 * Three rows share a base pointer: x86 addresses p, p + ld, p + 2 ld. */
static inline __attribute__((always_inline))
void tile(float *y, size_t ldy, const float *x, size_t ldx, const float *packed, size_t n,
	  size_t k, __m512 bias0, __m512 bias1, const int rows)
{
	__m512 acc[ROWS][2];
	const float *base[(ROWS + 2) / 3];
	__mmask16 m0 = first(n), m1 = n > LANES ? first(n - LANES) : 0;

#pragma GCC unroll 14
	for (int r = 0; r < rows; r++) {
		acc[r][0] = bias0;
		acc[r][1] = bias1;
	}
#pragma GCC unroll 5
	for (int b = 0; b < (rows + 2) / 3; b++)
		base[b] = x + (size_t)b * 3 * ldx;
	for (size_t i = 0; i < k; i++) {
		__m512 w0 = _mm512_load_ps(packed + i * KERN_PANEL);
		__m512 w1 = _mm512_load_ps(packed + i * KERN_PANEL + LANES);

#pragma GCC unroll 14
		for (int r = 0; r < rows; r++) {
			__m512 v = _mm512_set1_ps(base[r / 3][(size_t)(r % 3) * ldx + i]);

			acc[r][0] = _mm512_fmadd_ps(v, w0, acc[r][0]);
			acc[r][1] = _mm512_fmadd_ps(v, w1, acc[r][1]);
		}
	}
#pragma GCC unroll 14
	for (int r = 0; r < rows; r++) {
		_mm512_mask_storeu_ps(y + (size_t)r * ldy, m0, acc[r][0]);
		_mm512_mask_storeu_ps(y + (size_t)r * ldy + LANES, m1, acc[r][1]);
	}
}

static void avx512_gemm(float *y, size_t ldy, const float *x, size_t ldx, const float *packed,
			size_t m, size_t n, size_t k, const float *bias)
{
	__m512 b0 = _mm512_setzero_ps(), b1 = b0;

	if (bias) {
		b0 = _mm512_maskz_loadu_ps(first(n), bias);
		if (n > LANES)
			b1 = _mm512_maskz_loadu_ps(first(n - LANES), bias + LANES);
	}
	for (; m >= ROWS; m -= ROWS, y += ROWS * ldy, x += ROWS * ldx)
		tile(y, ldy, x, ldx, packed, n, k, b0, b1, ROWS);
	/* An output is one chain over k whatever the tile: the same bits. */
	for (; m >= 4; m -= 4, y += 4 * ldy, x += 4 * ldx)
		tile(y, ldy, x, ldx, packed, n, k, b0, b1, 4);
	for (; m; m--, y += ldy, x += ldx)
		tile(y, ldy, x, ldx, packed, n, k, b0, b1, 1);
}

static inline __m512 exp16(__m512 x)
{
	__m512 n, r, p;

	x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(EXP_LOW)), _mm512_set1_ps(EXP_HIGH));
	n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(EXP_LOG2E)),
				 _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	r = _mm512_fnmadd_ps(n, _mm512_set1_ps(EXP_LN2_HIGH), x);
	r = _mm512_fnmadd_ps(n, _mm512_set1_ps(EXP_LN2_LOW), r);
	p = _mm512_fmadd_ps(_mm512_set1_ps(EXP_E6), r, _mm512_set1_ps(EXP_E5));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_E4));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_E3));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_E2));
	p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r);
	return _mm512_scalef_ps(_mm512_add_ps(p, _mm512_set1_ps(1)), n);
}

static void avx512_softmax(float *x, size_t n, float scale)
{
	__m512 s = _mm512_set1_ps(scale), max = _mm512_set1_ps(-INFINITY);
	__m512 sum = _mm512_setzero_ps();

	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);

		max = _mm512_mask_max_ps(max, m, max,
					 _mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + i), s));
	}
	max = _mm512_set1_ps(_mm512_reduce_max_ps(max));
	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);
		__m512 e = exp16(_mm512_fmsub_ps(_mm512_maskz_loadu_ps(m, x + i), s, max));

		sum = _mm512_mask_add_ps(sum, m, sum, e);
		_mm512_mask_storeu_ps(x + i, m, e);
	}
	s = _mm512_set1_ps(1 / _mm512_reduce_add_ps(sum));
	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);

		_mm512_mask_storeu_ps(x + i, m,
				      _mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + i), s));
	}
}

static void avx512_gelu(float *x, size_t n)
{
	const __m512 one = _mm512_set1_ps(1);

	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);
		__m512 v = _mm512_maskz_loadu_ps(m, x + i);
		__m512 a = _mm512_abs_ps(v);
		__m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(a, _mm512_set1_ps(GELU_T), one));
		__m512 e = exp16(_mm512_mul_ps(_mm512_mul_ps(v, v), _mm512_set1_ps(-0.5f)));
		__m512 h = _mm512_set1_ps(GELU_H8);

		h = _mm512_fmadd_ps(h, t, _mm512_set1_ps(GELU_H7));
		h = _mm512_fmadd_ps(h, t, _mm512_set1_ps(GELU_H6));
		h = _mm512_fmadd_ps(h, t, _mm512_set1_ps(GELU_H5));
		h = _mm512_fmadd_ps(h, t, _mm512_set1_ps(GELU_H4));
		h = _mm512_fmadd_ps(h, t, _mm512_set1_ps(GELU_H3));
		h = _mm512_fmadd_ps(h, t, _mm512_set1_ps(GELU_H2));
		h = _mm512_fmadd_ps(h, t, _mm512_set1_ps(GELU_H1));
		h = _mm512_mul_ps(_mm512_mul_ps(h, t), _mm512_mul_ps(a, e));
		_mm512_mask_storeu_ps(x + i, m,
				      _mm512_sub_ps(_mm512_max_ps(v, _mm512_setzero_ps()), h));
	}
}

static void avx512_silu_mul(float *y, const float *gate, const float *up, size_t n)
{
	const __m512 one = _mm512_set1_ps(1);

	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);
		__m512 g = _mm512_maskz_loadu_ps(m, gate + i);
		__m512 u = _mm512_maskz_loadu_ps(m, up + i);
		__m512 e = exp16(_mm512_sub_ps(_mm512_setzero_ps(), g));

		_mm512_mask_storeu_ps(y + i, m,
				      _mm512_mul_ps(_mm512_div_ps(g, _mm512_add_ps(one, e)), u));
	}
}

static void avx512_gelu_mul(float *y, const float *gate, const float *up, size_t n)
{
	const __m512 one = _mm512_set1_ps(1), c1 = _mm512_set1_ps(-TANH_GELU_1);
	const __m512 c3 = _mm512_set1_ps(-TANH_GELU_3);

	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);
		__m512 g = _mm512_maskz_loadu_ps(m, gate + i);
		__m512 u = _mm512_mul_ps(g, _mm512_fmadd_ps(c3, _mm512_mul_ps(g, g), c1));

		g = _mm512_div_ps(g, _mm512_add_ps(one, exp16(u)));
		_mm512_mask_storeu_ps(y + i, m, _mm512_mul_ps(g, _mm512_maskz_loadu_ps(m, up + i)));
	}
}

static void avx512_layer_norm(float *y, const float *x, const float *add, const float *gain,
			      const float *bias, size_t n, float eps)
{
	__m512 sum = _mm512_setzero_ps(), square = sum, mean, scale;

	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);
		__m512 v = _mm512_maskz_loadu_ps(m, x + i);

		if (add)
			v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(m, add + i));
		sum = _mm512_add_ps(sum, v);
		_mm512_mask_storeu_ps(y + i, m, v);
	}
	mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / (float)n);
	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);
		__m512 d = _mm512_maskz_sub_ps(m, _mm512_maskz_loadu_ps(m, y + i), mean);

		square = _mm512_fmadd_ps(d, d, square);
	}
	scale = _mm512_set1_ps(1 / sqrtf(_mm512_reduce_add_ps(square) / (float)n + eps));
	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);
		__m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(m, y + i), mean);
		__m512 g = _mm512_mul_ps(scale, _mm512_maskz_loadu_ps(m, gain + i));

		_mm512_mask_storeu_ps(y + i, m,
				      _mm512_fmadd_ps(d, g, _mm512_maskz_loadu_ps(m, bias + i)));
	}
}

static void avx512_rms_norm(float *y, const float *x, const float *gain, size_t n, float eps)
{
	__m512 sum = _mm512_setzero_ps(), scale;

	for (size_t i = 0; i < n; i += LANES) {
		__m512 v = _mm512_maskz_loadu_ps(first(n - i), x + i);

		sum = _mm512_fmadd_ps(v, v, sum);
	}
	scale = _mm512_set1_ps(1 / sqrtf(_mm512_reduce_add_ps(sum) / (float)n + eps));
	for (size_t i = 0; i < n; i += LANES) {
		__mmask16 m = first(n - i);
		__m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + i), scale);

		_mm512_mask_storeu_ps(y + i, m,
				      _mm512_mul_ps(v, _mm512_maskz_loadu_ps(m, gain + i)));
	}
}

void kern_avx512_fill(struct kern *k)
{
	k->dot = avx512_dot;
	k->f16_to_f32 = avx512_f16_to_f32;
	k->f32_to_f16 = avx512_f32_to_f16;
	k->bf16_to_f32 = avx512_bf16_to_f32;
	k->pack = avx512_pack;
	k->gemm = avx512_gemm;
	k->softmax = avx512_softmax;
	k->gelu = avx512_gelu;
	k->silu_mul = avx512_silu_mul;
	k->gelu_mul = avx512_gelu_mul;
	k->layer_norm = avx512_layer_norm;
	k->rms_norm = avx512_rms_norm;
}
