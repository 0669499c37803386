/* The 8-bit kernels with registers of 8 lanes.  255 * 127 twice does not fit
 * the 16-bit sums of maddubs, so bytes are widened and multiplied as words:
 * two instructions for 16 products, as many as with signs taken apart. */
#include "config.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef struct { __m256 a, b; } vec;
typedef struct { __m256i a, b; } ivec;

INLINE __m256i first(size_t n)
{
	const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < 8 ? (int)n : 8), lane);
}

INLINE vec v_load(const float *p, size_t n)
{
	if (n >= 16)
		return (vec){ _mm256_loadu_ps(p), _mm256_loadu_ps(p + 8) };
	return (vec){ _mm256_maskload_ps(p, first(n)),
		      n > 8 ? _mm256_maskload_ps(p + 8, first(n - 8)) : _mm256_setzero_ps() };
}

INLINE void v_store(float *p, size_t n, vec v)
{
	if (n >= 16) {
		_mm256_storeu_ps(p, v.a);
		_mm256_storeu_ps(p + 8, v.b);
		return;
	}
	_mm256_maskstore_ps(p, first(n), v.a);
	if (n > 8)
		_mm256_maskstore_ps(p + 8, first(n - 8), v.b);
}

INLINE vec v_keep(size_t n, vec v)
{
	__m256i b = n > 8 ? first(n - 8) : _mm256_setzero_si256();

	return (vec){ _mm256_and_ps(v.a, _mm256_castsi256_ps(first(n))),
		      _mm256_and_ps(v.b, _mm256_castsi256_ps(b)) };
}

#define VEC2(name, f) \
	INLINE vec name(vec x, vec y) { return (vec){ f(x.a, y.a), f(x.b, y.b) }; }
#define IVEC2(name, f) \
	INLINE ivec name(ivec x, ivec y) { return (ivec){ f(x.a, y.a), f(x.b, y.b) }; }

VEC2(v_add, _mm256_add_ps)
VEC2(v_sub, _mm256_sub_ps)
VEC2(v_mul, _mm256_mul_ps)
VEC2(v_min, _mm256_min_ps)
VEC2(v_max, _mm256_max_ps)
IVEC2(i_add, _mm256_add_epi32)

INLINE vec v_set(float x)
{
	return (vec){ _mm256_set1_ps(x), _mm256_set1_ps(x) };
}

INLINE vec v_fma(vec x, vec y, vec z)
{
	return (vec){ _mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b) };
}

INLINE vec v_abs(vec x)
{
	const __m256 sign = _mm256_set1_ps(-0.0f);

	return (vec){ _mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b) };
}

INLINE vec v_whole(vec x)
{
	return (vec){ _mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
		      _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC) };
}

INLINE ivec i_set(int x)
{
	return (ivec){ _mm256_set1_epi32(x), _mm256_set1_epi32(x) };
}

INLINE ivec i_round(vec x)
{
	return (ivec){ _mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b) };
}

INLINE __m256 power(__m256 n)	/* 2^n in the exponent's bits; n: -126 .. 127, whole */
{
	return _mm256_castsi256_ps(_mm256_slli_epi32(
		_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}

INLINE vec v_times2(vec x, vec n)
{
	return (vec){ _mm256_mul_ps(x.a, power(n.a)), _mm256_mul_ps(x.b, power(n.b)) };
}

INLINE float v_sum(vec v)
{
	__m256 a = _mm256_add_ps(v.a, v.b);
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

INLINE float v_most(vec v)
{
	__m256 a = _mm256_max_ps(v.a, v.b);
	__m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	s = _mm_max_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

INLINE float v_least(vec v)
{
	return -v_most(v_sub(v_set(0), v));
}

INLINE bool v_nan(vec v)
{
	return _mm256_movemask_ps(_mm256_or_ps(_mm256_cmp_ps(v.a, v.a, _CMP_UNORD_Q),
					       _mm256_cmp_ps(v.b, v.b, _CMP_UNORD_Q))) != 0;
}

INLINE int32_t i_sum(ivec v)
{
	__m256i a = _mm256_add_epi32(v.a, v.b);
	__m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));

	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
	return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
}

INLINE void i_store(void *p, ivec v)
{
	_mm256_storeu_si256(p, v.a);
	_mm256_storeu_si256((__m256i *)p + 1, v.b);
}

INLINE ivec i_pair(ivec x, ivec y)	/* 16 bits of x below 16 of y */
{
	return (ivec){ _mm256_blend_epi16(x.a, _mm256_slli_epi32(y.a, 16), 0xAA),
		       _mm256_blend_epi16(x.b, _mm256_slli_epi32(y.b, 16), 0xAA) };
}

INLINE __m256i words(ivec v)	/* in order */
{
	return _mm256_permute4x64_epi64(_mm256_packs_epi32(v.a, v.b), 0xD8);
}

INLINE void i_words(int16_t *p, ivec v)
{
	_mm256_storeu_si256((void *)p, words(v));
}

INLINE void i_bytes(uint8_t *p, ivec v)		/* cut to 0 .. 255 */
{
	__m256i w = words(v);

	_mm_storeu_si128((void *)p, _mm_packus_epi16(_mm256_castsi256_si128(w),
						     _mm256_extracti128_si256(w, 1)));
}

/* 16 bytes as four times four, step bytes apart. */
INLINE void i_quads(int8_t *p, size_t step, ivec v)
{
	__m256i w = words(v);
	__m128i b = _mm_packs_epi16(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1));

	_mm_storeu_si32(p, b);
	_mm_storeu_si32(p + step, _mm_shuffle_epi32(b, 0x55));
	_mm_storeu_si32(p + 2 * step, _mm_shuffle_epi32(b, 0xAA));
	_mm_storeu_si32(p + 3 * step, _mm_shuffle_epi32(b, 0xFF));
}

#include "base/kern_int8_x86.h"

/* ---- products ---- */

#define ROWS 3		/* 3 x 4 sums, one of weights, three of input: 16 registers */
#define HALF 16		/* outputs of a panel that a tile takes */
#define LINE (4 * KERN8_PANEL)

INLINE __m256i four_of(const char *x, const bool wide)
{
	int32_t four;

	memcpy(&four, x, 4);
	return wide ? _mm256_set1_epi32(four) : _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
}

/* 8 outputs of a group: as words they are two vectors of which each lane
 * pair is an output's; 16-bit weights are 8 outputs a vector already. */
INLINE void outputs(float *y, size_t n, const __m256i acc[4], const struct kern8_row *row,
		    const float *scale, const int32_t *sum, const float *bias, const bool wide)
{
	for (size_t h = 0; h < HALF / 8 && h * 8 < n; h++) {
		__m256i a = acc[h], mask = first(n - h * 8);
		__m256 s = _mm256_mul_ps(_mm256_set1_ps(row->scale), _mm256_load_ps(scale + h * 8));
		__m256 b = bias ? _mm256_maskload_ps(bias + h * 8, mask) : _mm256_setzero_ps();

		if (!wide) {
			a = _mm256_permute4x64_epi64(_mm256_hadd_epi32(acc[2 * h], acc[2 * h + 1]), 0xD8);
			a = _mm256_sub_epi32(a, _mm256_mullo_epi32(_mm256_set1_epi32(row->zero),
				_mm256_load_si256((const void *)(sum + h * 8))));
		}
		_mm256_maskstore_ps(y + h * 8, mask, _mm256_fmadd_ps(_mm256_cvtepi32_ps(a), s, b));
	}
}

/* rows and wide are constants in each call, so that the sums are registers. */
INLINE void tile(float *y, size_t ldy, const char *x, size_t ldx, const struct kern8_row *row,
		 const struct kern8_panel *w, size_t at, size_t n, size_t groups, const float *bias,
		 const int rows, const bool wide)
{
	__m256i acc[ROWS][4];
	const char *q = (const char *)w->q + 4 * at;
	const int parts = wide ? 2 : 4;

#pragma GCC unroll 3
	for (int r = 0; r < rows; r++)
		for (int p = 0; p < 4; p++)
			acc[r][p] = _mm256_setzero_si256();
	for (size_t g = 0; g < groups; g++) {
		__m256i v[ROWS];

#pragma GCC unroll 3
		for (int r = 0; r < rows; r++)
			v[r] = four_of(x + (size_t)r * ldx + 4 * g, wide);
#pragma GCC unroll 4
		for (int p = 0; p < parts; p++) {
			__m256i u = wide ? _mm256_load_si256((const void *)(q + g * LINE + 32 * p))
				: _mm256_cvtepi8_epi16(_mm_load_si128((const void *)(q + g * LINE + 16 * p)));

#pragma GCC unroll 3
			for (int r = 0; r < rows; r++)
				acc[r][p] = _mm256_add_epi32(acc[r][p], _mm256_madd_epi16(v[r], u));
		}
	}
	for (int r = 0; r < rows; r++)
		outputs(y + (size_t)r * ldy, n, acc[r], &row[r], w->scale + at, w->sum + at, bias, wide);
}

/* ldx in bytes. */
INLINE void product(float *y, size_t ldy, const char *x, size_t ldx, const struct kern8_row *row,
		    const struct kern8_panel *w, size_t m, size_t n, size_t groups, const float *bias,
		    const bool wide)
{
	for (size_t r = 0, rows; r < m; r += rows) {
		rows = m - r >= ROWS ? ROWS : 1;
		for (size_t h = 0; h < n; h += HALF) {
			size_t some = n - h < HALF ? n - h : HALF;
			const float *b = bias ? bias + h : NULL;
			float *to = y + r * ldy + h;

			if (rows == ROWS)
				tile(to, ldy, x + r * ldx, ldx, row + r, w, h, some, groups, b, ROWS, wide);
			else
				tile(to, ldy, x + r * ldx, ldx, row + r, w, h, some, groups, b, 1, wide);
		}
	}
}

static void avx2_gemm8(float *y, size_t ldy, const uint8_t *x, size_t ldx, const struct kern8_row *row,
		       const struct kern8_panel *w, size_t m, size_t n, size_t k, const float *bias)
{
	product(y, ldy, (const char *)x, ldx, row, w, m, n, (k + 3) / 4, bias, false);
}

static void avx2_mix16(float *y, size_t ldy, const int16_t *x, size_t ldx, const struct kern8_row *row,
		       const struct kern8_panel *v, size_t m, size_t n, size_t k)
{
	product(y, ldy, (const char *)x, 2 * ldx, row, v, m, n, (k + 1) / 2, NULL, true);
}

void kern_int8_avx2_fill(struct kern *k)
{
	k->pack8 = x86_pack8;
	k->pack16 = x86_pack16;
	k->row8 = x86_row8;
	k->gemm8 = avx2_gemm8;
	k->mix16 = avx2_mix16;
	k->exp16 = x86_exp16;
	k->norm8 = x86_norm8;
	k->gelu8 = x86_gelu8;
}
