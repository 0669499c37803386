/* The quantised kernels with 16 registers of 8 lanes, and products of bytes
 * through 16-bit sums: 127 x 127 twice still fits, 255 x 127 does not, so
 * weights of 8 bits keep their sign and the activations take it. */
#include "config.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#define LANES 8
#define COLS 8
#define QUERIES 4
#define MIX_WIDE 1

typedef __m256i vi;
typedef __m256 vf;

#define vi_load(p) _mm256_load_si256((const void *)(p))
#define vi_store(p, v) _mm256_store_si256((void *)(p), v)
#define vi_set1(x) _mm256_set1_epi32(x)
#define vi_add(a, b) _mm256_add_epi32(a, b)
#define vi_mul(a, b) _mm256_mullo_epi32(a, b)
#define vi_dot(acc, u, s) _mm256_add_epi32(acc, \
	_mm256_madd_epi16(_mm256_maddubs_epi16(u, s), _mm256_set1_epi16(1)))
#define vi_madd(acc, a, b) _mm256_add_epi32(acc, _mm256_madd_epi16(a, b))
#define vi_abs(w) _mm256_abs_epi8(w)
#define vi_sign(v, w) _mm256_sign_epi8(v, w)
#define vi_float(v) _mm256_cvtepi32_ps(v)
#define vi_join(lo, hi) (lo)	/* all LANES are in lo */
#define vf_join(lo, hi) (lo)
#define vf_load(p) _mm256_load_ps(p)
#define vf_loadu(p) _mm256_loadu_ps(p)
#define vf_store(p, v) _mm256_store_ps(p, v)
#define vf_storeu(p, v) _mm256_storeu_ps(p, v)
#define vf_set1(x) _mm256_set1_ps(x)
#define vf_mul(a, b) _mm256_mul_ps(a, b)
#define vf_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vf_half(p) _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p)))

#define sub_signed true

static inline __m256i add_16_where(__m256i v, uint32_t bits)
{
	/* Each byte its own bit: spread the 4 bytes 8 times each, test, 16 where set. */
	const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
						  0x0303030303030303);
	const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
	__m256i b = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), spread);

	b = _mm256_cmpeq_epi8(_mm256_and_si256(b, bit), bit);
	return _mm256_or_si256(v, _mm256_and_si256(b, _mm256_set1_epi8(16)));
}

static inline __m256i dot32(__m256i w, __m256i s, bool with_sign)
{
	__m256i u = with_sign ? _mm256_abs_epi8(w) : w, v = with_sign ? _mm256_sign_epi8(s, w) : s;

	return _mm256_madd_epi16(_mm256_maddubs_epi16(u, v), _mm256_set1_epi16(1));
}

static inline __m256i add_madd(__m256i acc, __m256i a, __m256i b)
{
	return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
}

#define KERN_COLUMN "base/kern_column_avx2.h"
#include "base/kern_quant_x86.h"
#include "base/kern_acts_x86.h"

void kern_quant_avx2_fill(struct kern *k)
{
	k->quant = x86_quant;
	k->qmul = x86_qmul;
	k->attn_scores = x86_attn_scores;
	k->attn_mix = x86_attn_mix;
}
