/* The 8-bit kernels with registers of 16 lanes and the VNNI dot products. */
#include "config.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef __m512 vec;
typedef __m512i ivec;

INLINE __mmask16 first(size_t n)
{
	return n >= 16 ? 0xFFFF : (__mmask16)((1u << n) - 1);
}

INLINE vec v_load(const float *p, size_t n)
{
	return _mm512_maskz_loadu_ps(first(n), p);
}

INLINE void v_store(float *p, size_t n, vec v)
{
	_mm512_mask_storeu_ps(p, first(n), v);
}

INLINE vec v_keep(size_t n, vec v)
{
	return _mm512_maskz_mov_ps(first(n), v);
}

#define v_set(x) _mm512_set1_ps(x)
#define v_add(a, b) _mm512_add_ps(a, b)
#define v_sub(a, b) _mm512_sub_ps(a, b)
#define v_mul(a, b) _mm512_mul_ps(a, b)
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_min(a, b) _mm512_min_ps(a, b)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_abs(a) _mm512_abs_ps(a)
#define v_whole(a) _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_times2(a, n) _mm512_scalef_ps(a, n)
#define v_least(a) _mm512_reduce_min_ps(a)
#define v_most(a) _mm512_reduce_max_ps(a)
#define v_nan(a) (_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q) != 0)
#define i_set(x) _mm512_set1_epi32(x)
#define i_add(a, b) _mm512_add_epi32(a, b)
#define i_sum(a) _mm512_reduce_add_epi32(a)
#define i_round(a) _mm512_cvtps_epi32(a)
#define i_store(p, a) _mm512_store_si512(p, a)
#define i_pair(a, b) _mm512_mask_blend_epi16(0xAAAAAAAA, a, _mm512_slli_epi32(b, 16))
#define i_words(p, a) _mm256_storeu_si256((void *)(p), _mm512_cvtsepi32_epi16(a))

INLINE float v_sum(vec v)
{
	__m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

INLINE void i_bytes(uint8_t *p, ivec a)		/* cut to 0 .. 255 */
{
	_mm_storeu_si128((void *)p, _mm512_cvtusepi32_epi8(_mm512_max_epi32(a, i_set(0))));
}

/* 16 bytes as four times four, step bytes apart. */
INLINE void i_quads(int8_t *p, size_t step, ivec a)
{
	__m128i b = _mm512_cvtepi32_epi8(a);

	_mm_storeu_si32(p, b);
	_mm_storeu_si32(p + step, _mm_shuffle_epi32(b, 0x55));
	_mm_storeu_si32(p + 2 * step, _mm_shuffle_epi32(b, 0xAA));
	_mm_storeu_si32(p + 3 * step, _mm_shuffle_epi32(b, 0xFF));
}

#include "base/kern_int8_x86.h"

/* ---- products ---- */

#define ROWS 12		/* 12 x 2 sums, two of weights, one of input: 27 registers */
#define LINE (4 * KERN8_PANEL)

typedef int32_t four __attribute__((may_alias, aligned(1)));

/* As instructions: the compiler (GCC 12) moves each sum there and back around its intrinsics,
 * which takes half of the speed. */
INLINE ivec dot(ivec acc, ivec x, ivec w, const bool wide)
{
	if (wide)
		__asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
	else
		__asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
	return acc;
}

INLINE ivec outputs(ivec acc, ivec zero, ivec sum, const bool wide)
{
	return wide ? acc : _mm512_sub_epi32(acc, _mm512_mullo_epi32(zero, sum));
}

/* rows and wide are constants in each call, so that the sums are registers.
 * groups: of four bytes of x, or two of its 16-bit values.  Three rows share a
 * base pointer: x86 addresses p, p + ld, p + 2 ld. */
INLINE void tile(float *y, size_t ldy, const char *x, size_t ldx, const struct kern8_row *row,
		 const struct kern8_panel *w, size_t n, size_t groups, vec bias0, vec bias1,
		 const int rows, const bool wide)
{
	const char *base[(ROWS + 2) / 3], *q = (const char *)w->q;
	ivec acc[ROWS][2];

#pragma GCC unroll 12
	for (int r = 0; r < rows; r++)
		acc[r][0] = acc[r][1] = i_set(0);
#pragma GCC unroll 4
	for (int b = 0; b < (rows + 2) / 3; b++)
		base[b] = x + (size_t)b * 3 * ldx;
	for (size_t g = 0; g < groups; g++) {
		ivec w0 = _mm512_load_si512(q + g * LINE), w1 = _mm512_load_si512(q + g * LINE + 64);

#pragma GCC unroll 12
		for (int r = 0; r < rows; r++) {
			ivec v = i_set(*(const four *)(base[r / 3] + (size_t)(r % 3) * ldx + 4 * g));

			acc[r][0] = dot(acc[r][0], v, w0, wide);
			acc[r][1] = dot(acc[r][1], v, w1, wide);
		}
	}
#pragma GCC unroll 12
	for (int r = 0; r < rows; r++) {
		ivec zero = i_set(row[r].zero);
		ivec a0 = outputs(acc[r][0], zero, _mm512_load_si512(w->sum), wide);
		ivec a1 = outputs(acc[r][1], zero, _mm512_load_si512(w->sum + 16), wide);
		vec scale = v_set(row[r].scale);

		v_store(y + (size_t)r * ldy, n, v_fma(_mm512_cvtepi32_ps(a0),
			v_mul(scale, _mm512_load_ps(w->scale)), bias0));
		if (n > 16)
			v_store(y + (size_t)r * ldy + 16, n - 16, v_fma(_mm512_cvtepi32_ps(a1),
				v_mul(scale, _mm512_load_ps(w->scale + 16)), bias1));
	}
}

/* ldx in bytes. */
INLINE void product(float *y, size_t ldy, const char *x, size_t ldx, const struct kern8_row *row,
		    const struct kern8_panel *w, size_t m, size_t n, size_t groups, const float *bias,
		    const bool wide)
{
	vec b0 = bias ? v_load(bias, n) : v_set(0);
	vec b1 = bias && n > 16 ? v_load(bias + 16, n - 16) : v_set(0);

	for (; m >= ROWS; m -= ROWS, y += ROWS * ldy, x += ROWS * ldx, row += ROWS)
		tile(y, ldy, x, ldx, row, w, n, groups, b0, b1, ROWS, wide);
#define REST(rows) case rows: tile(y, ldy, x, ldx, row, w, n, groups, b0, b1, rows, wide); break
	switch (m) {	/* a tile of its own for each: a query is one */
	REST(1); REST(2); REST(3); REST(4); REST(5); REST(6);
	REST(7); REST(8); REST(9); REST(10); REST(11);
	}
#undef REST
}

static void avx512_gemm8(float *y, size_t ldy, const uint8_t *x, size_t ldx,
			 const struct kern8_row *row, const struct kern8_panel *w, size_t m, size_t n,
			 size_t k, const float *bias)
{
	product(y, ldy, (const char *)x, ldx, row, w, m, n, (k + 3) / 4, bias, false);
}

static void avx512_mix16(float *y, size_t ldy, const int16_t *x, size_t ldx,
			 const struct kern8_row *row, const struct kern8_panel *v, size_t m, size_t n,
			 size_t k)
{
	product(y, ldy, (const char *)x, 2 * ldx, row, v, m, n, (k + 1) / 2, NULL, true);
}

void kern_int8_avx512_fill(struct kern *k)
{
	k->pack8 = x86_pack8;
	k->pack16 = x86_pack16;
	k->row8 = x86_row8;
	k->gemm8 = avx512_gemm8;
	k->mix16 = avx512_mix16;
	k->exp16 = x86_exp16;
	k->norm8 = x86_norm8;
	k->gelu8 = x86_gelu8;
}
