/*
 * kern_acts_x86 - the rest of the decoder's kernels for AVX2 and AVX-512:
 * activations to int8, and attention's two products.
 *
 * Included behind kern_quant_x86.h, whose vector it uses; also QUERIES (that
 * one attention pass serves) and MIX_WIDE (runs of 16 dimensions of a pass).
 */
/* ---- activations ---- */

INLINE float max_lane(__m256 v)
{
	__m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	m = _mm_max_ps(m, _mm_movehl_ps(m, m));
	return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

INLINE void quant_block(struct kern_acts *a, const float *v, size_t block, int8_t *q, size_t step,
			size_t at)
{
	const __m256 abs = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	const __m256i ones8 = _mm256_set1_epi8(1), ones16 = _mm256_set1_epi16(1);
	const __m256 zero = _mm256_setzero_ps();
	__m256 m = zero, nan = zero, scale;
	float max;

	for (size_t i = 0; i < block; i += 8) {
		__m256 x = _mm256_loadu_ps(v + i);

		m = _mm256_max_ps(_mm256_and_ps(x, abs), m);
		nan = _mm256_fmadd_ps(x, zero, nan);	/* what is no finite number stays seen */
	}
	max = max_lane(m);
	a->d[at] = _mm256_movemask_ps(_mm256_cmp_ps(nan, nan, _CMP_UNORD_Q)) ? NAN : max / 127;
	scale = _mm256_set1_ps(max > 1e-30f ? 127 / max : 0);
	for (size_t s = 0; s < block / QK; s++, v += QK, q += step) {
		__m256i i0 = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(v), scale));
		__m256i i1 = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(v + 8), scale));
		__m256i i2 = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(v + 16), scale));
		__m256i i3 = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(v + 24), scale));
		__m256i b = _mm256_packs_epi16(_mm256_packs_epi32(i0, i1), _mm256_packs_epi32(i2, i3));
		__m256i sum;
		int lo, hi;

		b = _mm256_permutevar8x32_epi32(b, order);
		_mm256_storeu_si256((void *)q, b);
		sum = _mm256_madd_epi16(_mm256_maddubs_epi16(ones8, b), ones16);
		lo = sum_lanes(_mm256_castsi256_si128(sum));
		hi = sum_lanes(_mm256_extracti128_si256(sum, 1));
		if (block == QK) {
			a->sum[at] = lo + hi;
		} else {
			a->sums[at * 24 + 2 * s] = (int16_t)lo;
			a->sums[at * 24 + 2 * s + 1] = (int16_t)hi;
			a->sums[at * 24 + 16 + s] = (int16_t)(lo + hi);
		}
	}
}

static void x86_quant(struct kern_acts *a, const float *x, size_t ldx, size_t group)
{
	size_t w = kern_acts_width(a, group), base = group * KERN_GROUP;
	size_t n_blocks = a->k / a->block;

	for (size_t c = 0; c < w; c++) {
		const float *v = x + (base + c) * ldx;
		int8_t *q = a->q + base * a->k + c * QK;

		for (size_t b = 0; b < n_blocks; b++) {
			size_t at = base * n_blocks + b * w + c;

			if (a->block == QK)
				quant_block(a, v + b * QK, QK, q + b * w * QK, w * QK, at);
			else
				quant_block(a, v + b * QKK, QKK, q + b * w * QKK, w * QK, at);
		}
	}
}

/* ---- attention ---- */

#define PARTS (16 / LANES)	/* vectors that 16 floats take */

INLINE void scores_of(float *s, size_t lds, const float *q, size_t ldq, const uint16_t *kt,
		      size_t dim, int nq)
{
	vf acc[8][PARTS];

#pragma GCC unroll 8
	for (int i = 0; i < nq; i++)
		for (int p = 0; p < PARTS; p++)
			acc[i][p] = vf_set1(0);
	for (size_t d = 0; d < dim; d++) {
		vf k[PARTS];

		for (int p = 0; p < PARTS; p++)
			k[p] = vf_half(kt + d * 16 + p * LANES);
#pragma GCC unroll 8
		for (int i = 0; i < nq; i++) {
			vf v = vf_set1(q[(size_t)i * ldq + d]);

			for (int p = 0; p < PARTS; p++)
				acc[i][p] = vf_fma(v, k[p], acc[i][p]);
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < nq; i++)
		for (int p = 0; p < PARTS; p++)
			vf_storeu(s + (size_t)i * lds + p * LANES, acc[i][p]);
}

INLINE void mix_of(float *out, size_t ldo, const float *p, size_t ldp, const uint16_t *v,
		   size_t ldv, size_t n, int nq, int parts)
{
	vf acc[8][4];

#pragma GCC unroll 8
	for (int i = 0; i < nq; i++)
#pragma GCC unroll 4
		for (int d = 0; d < parts; d++)
			acc[i][d] = vf_loadu(out + (size_t)i * ldo + d * LANES);
	for (size_t j = 0; j < n; j++) {
		vf x[4];

#pragma GCC unroll 4
		for (int d = 0; d < parts; d++)
			x[d] = vf_half(v + j * ldv + d * LANES);
#pragma GCC unroll 8
		for (int i = 0; i < nq; i++) {
			vf w = vf_set1(p[(size_t)i * ldp + j]);

#pragma GCC unroll 4
			for (int d = 0; d < parts; d++)
				acc[i][d] = vf_fma(w, x[d], acc[i][d]);
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < nq; i++)
#pragma GCC unroll 4
		for (int d = 0; d < parts; d++)
			vf_storeu(out + (size_t)i * ldo + d * LANES, acc[i][d]);
}

/* The call with its number of queries as a constant, up to most. */
#define WITH_QUERIES(n, most, CALL)	\
	switch (n) {			\
	case 8: if (most >= 8) { CALL(8); } break;	\
	case 7: if (most >= 7) { CALL(7); } break;	\
	case 6: if (most >= 6) { CALL(6); } break;	\
	case 5: if (most >= 5) { CALL(5); } break;	\
	case 4: CALL(4); break;		\
	case 3: CALL(3); break;		\
	case 2: CALL(2); break;		\
	default: CALL(1); break;	\
	}

static void x86_attn_scores(float *s, size_t lds, const float *q, size_t ldq, size_t nq,
			    const uint16_t *kt, size_t dim)
{
#define SCORES(N) scores_of(s + i * lds, lds, q + i * ldq, ldq, kt, dim, N)
	for (size_t i = 0, n; i < nq; i += n) {
		n = nq - i < QUERIES ? nq - i : QUERIES;
		WITH_QUERIES(n, QUERIES, SCORES)
	}
}

static void x86_attn_mix(float *out, size_t ldo, const float *p, size_t ldp, size_t nq,
			 const uint16_t *v, size_t ldv, size_t n_pos, size_t dim)
{
#define MIX(N) mix_of(out + i * ldo + d, ldo, p + i * ldp, ldp, v + d, ldv, n_pos, N, PARTS * MIX_WIDE)
#define MIX_LAST(N) mix_of(out + i * ldo + d, ldo, p + i * ldp, ldp, v + d, ldv, n_pos, N, PARTS)
	for (size_t i = 0, n; i < nq; i += n) {
		size_t d = 0;

		n = nq - i < QUERIES ? nq - i : QUERIES;
		for (; d + 16 * MIX_WIDE <= dim; d += 16 * MIX_WIDE)
			WITH_QUERIES(n, QUERIES, MIX)
		for (; d < dim; d += 16)
			WITH_QUERIES(n, QUERIES, MIX_LAST)
	}
}
