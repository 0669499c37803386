/* The quantised kernels with 32 registers of 16 lanes and the VNNI dot products. */
#include "config.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#define LANES 16
#define COLS 16		/* integer sums of a pass: half of the registers */
#define QUERIES 8	/* of an attention pass: 8 x 2 sums */
#define MIX_WIDE 2
#define WIDE_COLUMN	/* two blocks of a row in one register */

typedef __m512i vi;
typedef __m512 vf;

#define vi_load(p) _mm512_load_si512(p)
#define vi_store(p, v) _mm512_store_si512(p, v)
#define vi_set1(x) _mm512_set1_epi32(x)
#define vi_add(a, b) _mm512_add_epi32(a, b)
#define vi_mul(a, b) _mm512_mullo_epi32(a, b)
#define vi_dot(acc, u, s) _mm512_dpbusd_epi32(acc, u, s)
#define vi_madd(acc, a, b) _mm512_dpwssd_epi32(acc, a, b)
#define vi_abs(w) (w)		/* bytes are unsigned at this level */
#define vi_sign(v, w) (v)
#define vi_float(v) _mm512_cvtepi32_ps(v)
#define vi_join(lo, hi) _mm512_inserti64x4(_mm512_castsi256_si512(lo), hi, 1)
#define vf_join(lo, hi) _mm512_insertf32x8(_mm512_castps256_ps512(lo), hi, 1)
#define vf_load(p) _mm512_load_ps(p)
#define vf_loadu(p) _mm512_loadu_ps(p)
#define vf_store(p, v) _mm512_store_ps(p, v)
#define vf_storeu(p, v) _mm512_storeu_ps(p, v)
#define vf_set1(x) _mm512_set1_ps(x)
#define vf_mul(a, b) _mm512_mul_ps(a, b)
#define vf_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vf_half(p) _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(p)))

#define sub_signed false

static inline __m256i add_16_where(__m256i v, uint32_t bits)
{
	return _mm256_mask_add_epi8(v, bits, v, _mm256_set1_epi8(16));
}

static inline __m256i dot32(__m256i u, __m256i s, bool with_sign)
{
	(void)with_sign;
	return _mm256_dpbusd_epi32(_mm256_setzero_si256(), u, s);
}

static inline __m256i add_madd(__m256i acc, __m256i a, __m256i b)
{
	return _mm256_dpwssd_epi32(acc, a, b);
}

#define KERN_COLUMN "base/kern_column_avx512.h"
#include "base/kern_quant_x86.h"
#include "base/kern_acts_x86.h"

void kern_quant_avx512_fill(struct kern *k)
{
	k->quant = x86_quant;
	k->qmul = x86_qmul;
	k->attn_scores = x86_attn_scores;
	k->attn_mix = x86_attn_mix;
}
