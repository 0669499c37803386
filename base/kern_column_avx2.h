/*
 * kern_column_avx2 - one column (decoding): 8 rows at once, straight from their
 * blocks; the sums of 8 rows are transposed into one register, so that
 * the floats are added in the same order as in a tile.  Included by
 * kern_quant_avx2.c.
 */
INLINE __m256 column32(enum kern_q type, const uint8_t *const p[8], const struct kern_acts *a)
{
	size_t bytes = kq_bytes(type);
	const uint8_t *next = p[0] + 8 * (a->k / QK) * bytes;
	__m256 acc = _mm256_setzero_ps();

	for (size_t b = 0; b < a->k / QK; b++) {
		__m256i x = _mm256_load_si256((const void *)(a->q + b * QK)), s[8], sum;

		fetch_ahead(next, b, 8 * bytes);
#pragma GCC unroll 8
		for (int i = 0; i < 8; i++)
			s[i] = dot32(unpack(type, p[i] + b * bytes, 0), x, is_signed(type));
		sum = sum_rows(s);
		if (excess(type))
			sum = _mm256_sub_epi32(sum, _mm256_set1_epi32(excess(type) * a->sum[b]));
		acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum),
			_mm256_mul_ps(halves(p, b * bytes), _mm256_set1_ps(a->d[b])), acc);
		if (kq_has_min(type))
			acc = _mm256_fmadd_ps(halves(p, b * bytes + 2),
				_mm256_set1_ps(a->d[b] * (float)a->sum[b]), acc);
	}
	return acc;
}

/* Row p's block: the integer sum (8 lanes that add up to it) and that of the minima. */
INLINE void row256(__m256i *isum, __m256i *imin, enum kern_q type, const uint8_t *p,
		   const int8_t *q, __m256i sums)
{
	/* Of the scales of 16-bit, 8 in each half: scale 2 s in the lower half, 2 s + 1 above. */
	const __m256i pick = _mm256_set_m128i(_mm_set1_epi16(0x0302), _mm_set1_epi16(0x0100));
	__m256i all, minima, part[2], acc = _mm256_setzero_si256();

	scales16(&all, &minima, type, p);
	part[0] = _mm256_permute2x128_si256(all, all, 0x00);
	part[1] = _mm256_permute2x128_si256(all, all, 0x11);
#pragma GCC unroll 8
	for (int s = 0; s < 8; s++) {
		__m256i two = _mm256_maddubs_epi16(unpack(type, p, s), load32((const void *)(q + s * QK)));
		__m256i at = _mm256_add_epi8(pick, _mm256_set1_epi8((char)(4 * (s % 4))));

		acc = add_madd(acc, two, _mm256_shuffle_epi8(part[s / 4], at));
	}
	if (kq_has_min(type))
		*imin = _mm256_madd_epi16(minima, sums);
	else
		acc = _mm256_sub_epi32(acc, _mm256_mullo_epi32(_mm256_madd_epi16(all, sums),
							       _mm256_set1_epi32(kq_offset(type))));
	*isum = acc;
}

INLINE __m256 column256(enum kern_q type, const uint8_t *const p[8], const struct kern_acts *a)
{
	size_t bytes = kq_bytes(type), d = kq_d_at(type);
	const uint8_t *next = p[0] + 8 * (a->k / QKK) * bytes;
	__m256 acc = _mm256_setzero_ps();

	for (size_t b = 0; b < a->k / QKK; b++) {
		__m256i sums = load32((const void *)(a->sums + b * 24)), s[8], t[8];
		__m256 da = _mm256_set1_ps(a->d[b]);

		fetch_ahead(next, b, 8 * bytes);

		for (int i = 0; i < 8; i++)
			row256(&s[i], &t[i], type, p[i] + b * bytes, a->q + b * QKK, sums);
		acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum_rows(s)),
				      _mm256_mul_ps(halves(p, b * bytes + d), da), acc);
		if (kq_has_min(type)) {
			__m256 m = _mm256_xor_ps(halves(p, b * bytes + d + 2), _mm256_set1_ps(-0.0f));

			acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum_rows(t)),
					      _mm256_mul_ps(m, da), acc);
		}
	}
	return acc;
}

INLINE void column(float *y, enum kern_q type, const uint8_t *w, size_t n, const struct kern_acts *a,
		   void *scratch)
{
	size_t row = a->k / a->block * kq_bytes(type);

	(void)scratch;
	for (size_t r = 0; r < n; r += 8) {
		const uint8_t *p[8];
		float out[8];

		eight_rows(p, w, row, r, n);
		_mm256_storeu_ps(out, type < KERN_Q2_K ? column32(type, p, a) : column256(type, p, a));
		memcpy(y + r, out, (n - r < 8 ? n - r : 8) * sizeof(*out));
	}
}
