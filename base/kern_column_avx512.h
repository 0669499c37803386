/*
 * kern_column_avx512 - one column (decoding): weights stream through once.
 *
 * Memory is the limit here, and hardware follows one stream best: so rows are
 * read one behind the other, 512 values of a row at a time, and what each block
 * comes to is kept until 16 rows are done.  Then the integers are transposed,
 * a row a lane, and the floats are added block after block as everywhere.
 *
 * What dpbusd leaves, 4 products in a lane, is narrowed to 16 bits between the
 * additions where that holds it: a pack and a multiply-add by ones take
 * the place of the slow horizontal additions.  Included by kern_quant_avx512.c.
 */
#define ROWS 16		/* of a pass: the lanes of the floats */

/* Bytes fetched ahead of those that are read; measured on Zen 4. */
#define AHEAD32 1024
#define AHEAD256 4096

/* A pass's intermediate results, in the scratch memory. */
struct pass {
	int32_t *isum, *imin;	/* (k/block, ROWS); imin: k-quants with a minimum */
	uint32_t *d;		/* (k/block, ROWS) the scale's half, the minimum's above it */
	uint16_t *h;		/* instead of d: the scale's, of types with blocks of 32 and no minimum */
};

static struct pass pass_at(void *scratch, size_t n_blocks)
{
	struct pass p;

	p.isum = scratch;
	p.imin = p.isum + n_blocks * ROWS;
	p.d = (uint32_t *)(p.imin + n_blocks * ROWS);
	p.h = (uint16_t *)p.d;
	return p;
}

/* ---- blocks of 32 ---- */

INLINE __m512i nibbles2(const uint8_t *p, const uint8_t *q)	/* 16 bytes each */
{
	const __m512i shift = _mm512_setr_epi64(0, 0, 0x0004000400040004, 0x0004000400040004, 0, 0,
						0x0004000400040004, 0x0004000400040004);
	__m512i v = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)p));

	v = _mm512_mask_broadcast_i32x4(v, 0xFF00, _mm_loadu_si128((const void *)q));
	return _mm512_and_si512(_mm512_srlv_epi16(v, shift), _mm512_set1_epi8(15));
}

INLINE __m512i add_16_where2(__m512i v, const uint8_t *p, const uint8_t *q)
{
	__mmask64 bits = (uint64_t)kq_u32(q) << 32 | kq_u32(p);

	return _mm512_mask_add_epi8(v, bits, v, _mm512_set1_epi8(16));
}

/* unpack() of the two blocks at b and at c. */
INLINE __m512i unpack2(enum kern_q type, const uint8_t *b, const uint8_t *c)
{
	switch (type) {
	case KERN_Q4_0:
		return nibbles2(b + 2, c + 2);
	case KERN_Q4_1:
		return nibbles2(b + 4, c + 4);
	case KERN_Q5_0:
		return add_16_where2(nibbles2(b + 6, c + 6), b + 2, c + 2);
	case KERN_Q5_1:
		return add_16_where2(nibbles2(b + 8, c + 8), b + 4, c + 4);
	default:	/* KERN_Q8_0 */
		return _mm512_xor_si512(vi_join(load32(b + 2), load32(c + 2)),
					_mm512_set1_epi8((char)0x80));
	}
}

INLINE __m512i dot2(enum kern_q type, const uint8_t *b, const uint8_t *c, const int8_t *x)
{
	return _mm512_dpbusd_epi32(_mm512_setzero_si512(), unpack2(type, b, c), _mm512_loadu_si512(x));
}

INLINE __m512i narrow(__m512i a, __m512i b)
{
	return _mm512_madd_epi16(_mm512_packs_epi32(a, b), _mm512_set1_epi16(1));
}

INLINE __m512i fold32(__m512i a, __m512i b)
{
	return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

INLINE __m512i fold64(__m512i a, __m512i b)
{
	return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* Lane i of each half: the sum of the lanes of that half of s[i]. */
INLINE __m512i sum_halves(const __m512i s[8], bool narrows)
{
	const __m512i even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
	const __m512i odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
	__m512i a, b;

	if (narrows) {
		a = narrow(narrow(s[0], s[1]), narrow(s[2], s[3]));
		b = narrow(narrow(s[4], s[5]), narrow(s[6], s[7]));
	} else {
		a = fold64(fold32(s[0], s[1]), fold32(s[2], s[3]));
		b = fold64(fold32(s[4], s[5]), fold32(s[6], s[7]));
	}
	return _mm512_add_epi32(_mm512_permutex2var_epi64(a, even, b),
				_mm512_permutex2var_epi64(a, odd, b));
}

/* (16, 16) in place; row r of the result is column 2 r of the input, or 2 r - 15 from 8 on:
 * sum_halves() leaves the even blocks in front of the odd ones. */
INLINE void transpose(int32_t *m)
{
	__m512i a[16], b[16];

#pragma GCC unroll 16
	for (int i = 0; i < 16; i++)
		a[i] = _mm512_load_si512(m + i * ROWS);
#pragma GCC unroll 8
	for (int i = 0; i < 16; i += 2) {
		b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
		b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
	}
#pragma GCC unroll 4
	for (int i = 0; i < 16; i += 4) {
		a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
		a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
		a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
		a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
	}
	/* a[4 g + j]: of rows 4 g .. 4 g + 3, column 4 q + j in quarter q. */
#pragma GCC unroll 4
	for (int j = 0; j < 4; j++) {
		__m512i lo01 = _mm512_shuffle_i32x4(a[j], a[j + 4], 0x88);
		__m512i hi01 = _mm512_shuffle_i32x4(a[j], a[j + 4], 0xDD);
		__m512i lo23 = _mm512_shuffle_i32x4(a[j + 8], a[j + 12], 0x88);
		__m512i hi23 = _mm512_shuffle_i32x4(a[j + 8], a[j + 12], 0xDD);

		_mm512_store_si512(m + 2 * j * ROWS, _mm512_shuffle_i32x4(lo01, lo23, 0x88));
		_mm512_store_si512(m + (2 * j + 8) * ROWS, _mm512_shuffle_i32x4(hi01, hi23, 0x88));
		_mm512_store_si512(m + (2 * j + 1) * ROWS, _mm512_shuffle_i32x4(lo01, lo23, 0xDD));
		_mm512_store_si512(m + (2 * j + 9) * ROWS, _mm512_shuffle_i32x4(hi01, hi23, 0xDD));
	}
}

/* The scales' halves, and the minima's above them: read a row after the other, kept a row a lane. */
INLINE void keep_scale(struct pass *s, enum kern_q type, const uint8_t *block, size_t b, size_t r)
{
	uint32_t pair;

	if (kq_has_min(type)) {
		pair = kq_u32(block);
		memcpy(s->d + b * ROWS + r, &pair, sizeof(pair));
	} else {
		memcpy(s->h + b * ROWS + r, block, sizeof(*s->h));
	}
}

/* A row's scales, and its integer sums 16 blocks at a time, lane by lane as sum_halves() has them. */
INLINE void row32(struct pass *s, enum kern_q type, const uint8_t *p, const int8_t *q, size_t n,
		  size_t r)
{
	size_t bytes = kq_bytes(type), b;

	for (b = 0; b + 16 <= n; b += 16) {
		__m512i v[8];

#pragma GCC unroll 8
		for (size_t i = 0; i < 8; i++) {
			const uint8_t *at = p + (b + 2 * i) * bytes;

			_mm_prefetch((const char *)(at + AHEAD32), _MM_HINT_NTA);
			v[i] = dot2(type, at, at + bytes, q + (b + 2 * i) * QK);
			keep_scale(s, type, at, b + 2 * i, r);
			keep_scale(s, type, at + bytes, b + 2 * i + 1, r);
		}
		_mm512_store_si512(s->isum + b * ROWS + r * 16, sum_halves(v, type != KERN_Q8_0));
	}
	for (; b < n; b++) {
		_mm_prefetch((const char *)(p + b * bytes + AHEAD32), _MM_HINT_NTA);
		keep_scale(s, type, p + b * bytes, b, r);
	}
}

/* The integer sums of blocks b and b + 1 of the eight rows from p on; b + 1 is not kept
 * where it is beyond the end. */
INLINE void pair32(int32_t *isum, enum kern_q type, const uint8_t *const p[8], const int8_t *q,
		   size_t b, bool two)
{
	size_t at = b * kq_bytes(type), next = at + (two ? kq_bytes(type) : 0);
	__m512i v[8], sum;

#pragma GCC unroll 8
	for (int i = 0; i < 8; i++)
		v[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), unpack2(type, p[i] + at, p[i] + next),
					   two ? _mm512_loadu_si512(q + b * QK) :
						 _mm512_zextsi256_si512(load32((const void *)(q + b * QK))));
	sum = sum_halves(v, type != KERN_Q8_0);
	_mm256_store_si256((void *)(isum + b * ROWS), _mm512_castsi512_si256(sum));
	if (two)
		_mm256_store_si256((void *)(isum + (b + 1) * ROWS), _mm512_extracti64x4_epi64(sum, 1));
}

INLINE __m512 low_halves(__m512i v)
{
	return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

INLINE __m512 pass32(enum kern_q type, const uint8_t *const p[ROWS], const struct kern_acts *a,
		     struct pass *s)
{
	size_t n = a->k / QK, b;
	const uint8_t *next = p[ROWS - 1] + n * kq_bytes(type);
	__m512 acc = _mm512_setzero_ps();

	for (size_t r = 0; r < ROWS; r++)
		row32(s, type, p[r], a->q, n, r);
	for (b = 0; b + 16 <= n; b += 16)
		transpose(s->isum + b * ROWS);
	for (; b < n; b += 2)
		for (size_t r = 0; r < ROWS; r += 8)
			pair32(s->isum + r, type, p + r, a->q, b, b + 1 < n);
	for (b = 0; b < n; b++) {
		__m512i v = _mm512_load_si512(s->isum + b * ROWS);
		__m512 da = _mm512_set1_ps(a->d[b]);

		/* Memory would be idle here: the next rows are behind the last one. */
		_mm_prefetch((const char *)(next + b * 128), _MM_HINT_T0);
		_mm_prefetch((const char *)(next + b * 128 + 64), _MM_HINT_T0);
		if (kq_has_min(type)) {
			__m512i h = _mm512_load_si512(s->d + b * ROWS);

			acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v), _mm512_mul_ps(low_halves(h), da), acc);
			acc = _mm512_fmadd_ps(low_halves(_mm512_srli_epi32(h, 16)),
					      _mm512_set1_ps(a->d[b] * (float)a->sum[b]), acc);
			continue;
		}
		v = _mm512_sub_epi32(v, _mm512_set1_epi32(excess(type) * a->sum[b]));
		acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v),
			_mm512_mul_ps(_mm512_cvtph_ps(_mm256_load_si256((const void *)(s->h + b * ROWS))), da),
			acc);
	}
	return acc;
}

/* ---- blocks of 256 ---- */

/* The q of values 64 s .. of a block. */
INLINE __m512i unpack64(enum kern_q type, const uint8_t *b, int s)
{
	return vi_join(unpack(type, b, 2 * s), unpack(type, b, 2 * s + 1));
}

INLINE int32_t sum_of(__m256i v)
{
	return sum_lanes(_mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}

/* A row's scales and integer sums, and those of the minima. */
INLINE void row256_all(struct pass *s, enum kern_q type, const uint8_t *p, const struct kern_acts *a,
		       size_t n, size_t r)
{
	size_t bytes = kq_bytes(type), at = kq_d_at(type);

	for (size_t b = 0; b < n; b++, p += bytes) {
		__m256i sums = load32((const void *)(a->sums + b * 24)), scales, minima;
		__m512i acc = _mm512_setzero_si512(), all;
		const int8_t *q = a->q + b * QKK;

		for (size_t i = 0; i < bytes; i += 64)
			_mm_prefetch((const char *)(p + AHEAD256 + i), _MM_HINT_NTA);
		scales16(&scales, &minima, type, p);
		all = _mm512_castsi256_si512(scales);
#pragma GCC unroll 4
		for (int i = 0; i < 4; i++) {
			/* Scales 4 i .. 4 i + 3, each for eight pairs of values. */
			const __m512i pick = _mm512_setr_epi64(0, 0, 0x0001000100010001, 0x0001000100010001,
				0x0002000200020002, 0x0002000200020002, 0x0003000300030003, 0x0003000300030003);
			__m512i two = _mm512_maddubs_epi16(unpack64(type, p, i), _mm512_loadu_si512(q + 64 * i));
			__m512i scale = _mm512_permutexvar_epi16(
				_mm512_add_epi16(pick, _mm512_set1_epi16((short)(4 * i))), all);

			acc = _mm512_dpwssd_epi32(acc, two, scale);
		}
		s->d[b * ROWS + r] = kq_has_min(type) ? kq_u32(p + at) : (uint32_t)half_at(p + at);
		scales = _mm256_add_epi32(_mm512_castsi512_si256(acc), _mm512_extracti64x4_epi64(acc, 1));
		if (kq_has_min(type))
			s->imin[b * ROWS + r] = sum_of(_mm256_madd_epi16(minima, sums));
		else
			scales = _mm256_sub_epi32(scales, _mm256_mullo_epi32(
				_mm256_madd_epi16(_mm512_castsi512_si256(all), sums),
				_mm256_set1_epi32(kq_offset(type))));
		s->isum[b * ROWS + r] = sum_of(scales);
	}
}

INLINE __m512 pass256(enum kern_q type, const uint8_t *const p[ROWS], const struct kern_acts *a,
		      struct pass *s)
{
	size_t n = a->k / QKK;
	__m512 acc = _mm512_setzero_ps();

	for (size_t r = 0; r < ROWS; r++)
		row256_all(s, type, p[r], a, n, r);
	for (size_t b = 0; b < n; b++) {
		__m512i h = _mm512_load_si512(s->d + b * ROWS);
		__m512 da = _mm512_set1_ps(a->d[b]);

		acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(s->isum + b * ROWS)),
				      _mm512_mul_ps(low_halves(h), da), acc);
		if (kq_has_min(type)) {
			__m512 m = _mm512_xor_ps(low_halves(_mm512_srli_epi32(h, 16)), _mm512_set1_ps(-0.0f));

			acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(s->imin + b * ROWS)),
					      _mm512_mul_ps(m, da), acc);
		}
	}
	return acc;
}

INLINE void column(float *y, enum kern_q type, const uint8_t *w, size_t n, const struct kern_acts *a,
		   void *scratch)
{
	size_t row = a->k / a->block * kq_bytes(type);
	struct pass s = pass_at(scratch, a->k / a->block);

	for (size_t r = 0; r < n; r += ROWS) {
		size_t left = n - r < ROWS ? n - r : ROWS;
		const uint8_t *p[ROWS];
		__m512 sum;

		for (size_t i = 0; i < ROWS; i++)
			p[i] = w + (r + (i < left ? i : left - 1)) * row;
		sum = type < KERN_Q2_K ? pass32(type, p, a, &s) : pass256(type, p, a, &s);
		_mm512_mask_storeu_ps(y + r, (__mmask16)((1u << left) - 1), sum);
	}
}
