/* AVX2 + FMA + F16C: 8 floats a register, 16 registers, scalar or masked tails. */
#include "config.h"
#include "base/kern.h"

#include "base/kern_math.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define LANES 8
#define ROWS 6		/* 6 x 2 accumulators, two of weights, one of input: 15 registers */
#define HALF 16		/* outputs of a panel that a tile takes */

/* The mask of the first n lanes, for maskload and maskstore. */
static inline __m256i first(size_t n)
{
	const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < LANES ? (int)n : LANES), lane);
}

static inline __m256 load(const float *p, size_t n)	/* n >= LANES: all; lanes beyond are 0 */
{
	return n >= LANES ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first(n));
}

static inline void store(float *p, size_t n, __m256 v)
{
	if (n >= LANES)
		_mm256_storeu_ps(p, v);
	else
		_mm256_maskstore_ps(p, first(n), v);
}

/* v in the first n lanes, else elsewhere. */
static inline __m256 keep(size_t n, __m256 v, __m256 otherwise)
{
	return n >= LANES ? v : _mm256_blendv_ps(otherwise, v, _mm256_castsi256_ps(first(n)));
}

static inline float sum8(__m256 v)
{
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	s = _mm_add_ss(s, _mm_movehdup_ps(s));
	return _mm_cvtss_f32(s);
}

static inline float max8(__m256 v)
{
	__m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	s = _mm_max_ps(s, _mm_movehl_ps(s, s));
	s = _mm_max_ss(s, _mm_movehdup_ps(s));
	return _mm_cvtss_f32(s);
}

static float avx2_dot(const float *a, const float *b, size_t n)
{
	__m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
	size_t i = 0;

	for (; i + 32 <= n; i += 32) {
		s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);
		s1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), s1);
		s2 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 16), _mm256_loadu_ps(b + i + 16), s2);
		s3 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 24), _mm256_loadu_ps(b + i + 24), s3);
	}
	for (; i < n; i += LANES)
		s0 = _mm256_fmadd_ps(load(a + i, n - i), load(b + i, n - i), s0);
	return sum8(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
}

static void avx2_f16_to_f32(float *out, const uint16_t *in, size_t n)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		_mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(in + i))));
	for (; i < n; i++)
		out[i] = _cvtsh_ss(in[i]);
}

static void avx2_f32_to_f16(uint16_t *out, const float *in, size_t n)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		_mm_storeu_si128((__m128i *)(out + i),
				 _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
	for (; i < n; i++)
		out[i] = _cvtss_sh(in[i], _MM_FROUND_TO_NEAREST_INT);
}

static void avx2_bf16_to_f32(float *out, const uint16_t *in, size_t n)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES) {
		__m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(in + i)));

		_mm256_storeu_si256((__m256i *)(out + i), _mm256_slli_epi32(v, 16));
	}
	for (; i < n; i++) {
		uint32_t u = (uint32_t)in[i] << 16;

		memcpy(out + i, &u, sizeof(u));
	}
}

static inline void transpose8(__m256 r[8])
{
	__m256 t[8];

#pragma GCC unroll 2
	for (int i = 0; i < 8; i += 4) {
		__m256 a = _mm256_unpacklo_ps(r[i], r[i + 1]);
		__m256 b = _mm256_unpackhi_ps(r[i], r[i + 1]);
		__m256 c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]);
		__m256 d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);

		t[i] = _mm256_shuffle_ps(a, c, 0x44);
		t[i + 1] = _mm256_shuffle_ps(a, c, 0xEE);
		t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
		t[i + 3] = _mm256_shuffle_ps(b, d, 0xEE);
	}
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		r[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
		r[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
	}
}

static void avx2_pack(float *packed, const float *w, size_t ldw, size_t n, size_t k)
{
	for (size_t i = 0; i < k; i += LANES) {
		size_t columns = k - i < LANES ? k - i : LANES;

		for (size_t q = 0; q < KERN_PANEL; q += LANES) {
			__m256 r[LANES];

#pragma GCC unroll 8
			for (size_t j = 0; j < LANES; j++)
				r[j] = q + j < n ? load(w + (q + j) * ldw + i, columns)
						 : _mm256_setzero_ps();
			transpose8(r);
#pragma GCC unroll 8
			for (size_t j = 0; j < LANES; j++)
				if (j < columns)
					_mm256_store_ps(packed + (i + j) * KERN_PANEL + q, r[j]);
		}
	}
}

/* rows is a constant in each call, so that the accumulators are registers.
 * packed is at the half panel's first output; n <= HALF of them are wanted. */
static inline __attribute__((always_inline))
void tile(float *y, size_t ldy, const float *x, size_t ldx, const float *packed, size_t n,
	  size_t k, __m256 bias0, __m256 bias1, const int rows)
{
	__m256 acc[ROWS][2];
	const float *base[(ROWS + 2) / 3];

#pragma GCC unroll 6
	for (int r = 0; r < rows; r++) {
		acc[r][0] = bias0;
		acc[r][1] = bias1;
	}
#pragma GCC unroll 2
	for (int b = 0; b < (rows + 2) / 3; b++)
		base[b] = x + (size_t)b * 3 * ldx;
	for (size_t i = 0; i < k; i++) {
		__m256 w0 = _mm256_load_ps(packed + i * KERN_PANEL);
		__m256 w1 = _mm256_load_ps(packed + i * KERN_PANEL + LANES);

#pragma GCC unroll 6
		for (int r = 0; r < rows; r++) {
			__m256 v = _mm256_broadcast_ss(&base[r / 3][(size_t)(r % 3) * ldx + i]);

			acc[r][0] = _mm256_fmadd_ps(v, w0, acc[r][0]);
			acc[r][1] = _mm256_fmadd_ps(v, w1, acc[r][1]);
		}
	}
#pragma GCC unroll 6
	for (int r = 0; r < rows; r++) {
		store(y + (size_t)r * ldy, n, acc[r][0]);
		if (n > LANES)
			store(y + (size_t)r * ldy + LANES, n - LANES, acc[r][1]);
	}
}

static void avx2_gemm(float *y, size_t ldy, const float *x, size_t ldx, const float *packed,
		      size_t m, size_t n, size_t k, const float *bias)
{
	__m256 b[KERN_PANEL / LANES];

	for (size_t q = 0; q < KERN_PANEL / LANES; q++)
		b[q] = bias && q * LANES < n ? load(bias + q * LANES, n - q * LANES)
					     : _mm256_setzero_ps();
	/* Tiles of rows outside, so that their input stays in the first-level cache for the second half.
	 * An output is one chain over k whatever the tile: the same bits. */
	for (size_t r = 0; r < m; ) {
		size_t rows = m - r >= ROWS ? ROWS : 1;

		for (size_t h = 0; h < n; h += HALF) {
			float *yh = y + r * ldy + h;
			const float *xr = x + r * ldx;
			size_t q = h / LANES, nh = n - h < HALF ? n - h : HALF;

			if (rows == ROWS)
				tile(yh, ldy, xr, ldx, packed + h, nh, k, b[q], b[q + 1], ROWS);
			else
				tile(yh, ldy, xr, ldx, packed + h, nh, k, b[q], b[q + 1], 1);
		}
		r += rows;
	}
}

static inline __m256 exp8(__m256 x)
{
	__m256 n, r, p;

	x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(EXP_LOW)), _mm256_set1_ps(EXP_HIGH));
	n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(EXP_LOG2E)),
			    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	r = _mm256_fnmadd_ps(n, _mm256_set1_ps(EXP_LN2_HIGH), x);
	r = _mm256_fnmadd_ps(n, _mm256_set1_ps(EXP_LN2_LOW), r);
	p = _mm256_fmadd_ps(_mm256_set1_ps(EXP_E6), r, _mm256_set1_ps(EXP_E5));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_E4));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_E3));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_E2));
	p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r);
	p = _mm256_add_ps(p, _mm256_set1_ps(1));
	/* 2^n is made in the exponent's bits: n + 127 is 1 .. 254 between EXP_LOW and EXP_HIGH */
	return _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(
		_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23)));
}

static void avx2_softmax(float *x, size_t n, float scale)
{
	const __m256 low = _mm256_set1_ps(-INFINITY);
	__m256 s = _mm256_set1_ps(scale), max = low, sum = _mm256_setzero_ps();

	for (size_t i = 0; i < n; i += LANES)
		max = _mm256_max_ps(max, keep(n - i, _mm256_mul_ps(load(x + i, n - i), s), low));
	max = _mm256_set1_ps(max8(max));
	for (size_t i = 0; i < n; i += LANES) {
		__m256 e = exp8(_mm256_fmsub_ps(load(x + i, n - i), s, max));

		sum = _mm256_add_ps(sum, keep(n - i, e, _mm256_setzero_ps()));
		store(x + i, n - i, e);
	}
	s = _mm256_set1_ps(1 / sum8(sum));
	for (size_t i = 0; i < n; i += LANES)
		store(x + i, n - i, _mm256_mul_ps(load(x + i, n - i), s));
}

static void avx2_gelu(float *x, size_t n)
{
	const __m256 one = _mm256_set1_ps(1), sign = _mm256_set1_ps(-0.0f);

	for (size_t i = 0; i < n; i += LANES) {
		__m256 v = load(x + i, n - i), a = _mm256_andnot_ps(sign, v);
		__m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(a, _mm256_set1_ps(GELU_T), one));
		__m256 e = exp8(_mm256_mul_ps(_mm256_mul_ps(v, v), _mm256_set1_ps(-0.5f)));
		__m256 h = _mm256_set1_ps(GELU_H8);

		h = _mm256_fmadd_ps(h, t, _mm256_set1_ps(GELU_H7));
		h = _mm256_fmadd_ps(h, t, _mm256_set1_ps(GELU_H6));
		h = _mm256_fmadd_ps(h, t, _mm256_set1_ps(GELU_H5));
		h = _mm256_fmadd_ps(h, t, _mm256_set1_ps(GELU_H4));
		h = _mm256_fmadd_ps(h, t, _mm256_set1_ps(GELU_H3));
		h = _mm256_fmadd_ps(h, t, _mm256_set1_ps(GELU_H2));
		h = _mm256_fmadd_ps(h, t, _mm256_set1_ps(GELU_H1));
		h = _mm256_mul_ps(_mm256_mul_ps(h, t), _mm256_mul_ps(a, e));
		store(x + i, n - i, _mm256_sub_ps(_mm256_max_ps(v, _mm256_setzero_ps()), h));
	}
}

static void avx2_silu_mul(float *y, const float *gate, const float *up, size_t n)
{
	const __m256 one = _mm256_set1_ps(1);

	for (size_t i = 0; i < n; i += LANES) {
		__m256 g = load(gate + i, n - i);
		__m256 e = exp8(_mm256_sub_ps(_mm256_setzero_ps(), g));

		g = _mm256_div_ps(g, _mm256_add_ps(one, e));
		store(y + i, n - i, _mm256_mul_ps(g, load(up + i, n - i)));
	}
}

static void avx2_gelu_mul(float *y, const float *gate, const float *up, size_t n)
{
	const __m256 one = _mm256_set1_ps(1), c1 = _mm256_set1_ps(-TANH_GELU_1);
	const __m256 c3 = _mm256_set1_ps(-TANH_GELU_3);

	for (size_t i = 0; i < n; i += LANES) {
		__m256 g = load(gate + i, n - i);
		__m256 u = _mm256_mul_ps(g, _mm256_fmadd_ps(c3, _mm256_mul_ps(g, g), c1));

		g = _mm256_div_ps(g, _mm256_add_ps(one, exp8(u)));
		store(y + i, n - i, _mm256_mul_ps(g, load(up + i, n - i)));
	}
}

static void avx2_layer_norm(float *y, const float *x, const float *add, const float *gain,
			    const float *bias, size_t n, float eps)
{
	__m256 sum = _mm256_setzero_ps(), square = sum, mean, scale;

	for (size_t i = 0; i < n; i += LANES) {
		__m256 v = load(x + i, n - i);

		if (add)
			v = _mm256_add_ps(v, load(add + i, n - i));
		sum = _mm256_add_ps(sum, v);
		store(y + i, n - i, v);
	}
	mean = _mm256_set1_ps(sum8(sum) / (float)n);
	for (size_t i = 0; i < n; i += LANES) {
		__m256 d = _mm256_sub_ps(load(y + i, n - i), mean);

		d = keep(n - i, d, _mm256_setzero_ps());
		square = _mm256_fmadd_ps(d, d, square);
	}
	scale = _mm256_set1_ps(1 / sqrtf(sum8(square) / (float)n + eps));
	for (size_t i = 0; i < n; i += LANES) {
		__m256 d = _mm256_sub_ps(load(y + i, n - i), mean);
		__m256 g = _mm256_mul_ps(scale, load(gain + i, n - i));

		store(y + i, n - i, _mm256_fmadd_ps(d, g, load(bias + i, n - i)));
	}
}

static void avx2_rms_norm(float *y, const float *x, const float *gain, size_t n, float eps)
{
	__m256 sum = _mm256_setzero_ps(), scale;

	for (size_t i = 0; i < n; i += LANES) {
		__m256 v = load(x + i, n - i);

		sum = _mm256_fmadd_ps(v, v, sum);
	}
	scale = _mm256_set1_ps(1 / sqrtf(sum8(sum) / (float)n + eps));
	for (size_t i = 0; i < n; i += LANES) {
		__m256 v = _mm256_mul_ps(load(x + i, n - i), scale);

		store(y + i, n - i, _mm256_mul_ps(v, load(gain + i, n - i)));
	}
}

void kern_avx2_fill(struct kern *k)
{
	k->dot = avx2_dot;
	k->f16_to_f32 = avx2_f16_to_f32;
	k->f32_to_f16 = avx2_f32_to_f16;
	k->bf16_to_f32 = avx2_bf16_to_f32;
	k->pack = avx2_pack;
	k->gemm = avx2_gemm;
	k->softmax = avx2_softmax;
	k->gelu = avx2_gelu;
	k->silu_mul = avx2_silu_mul;
	k->gelu_mul = avx2_gelu_mul;
	k->layer_norm = avx2_layer_norm;
	k->rms_norm = avx2_rms_norm;
}
