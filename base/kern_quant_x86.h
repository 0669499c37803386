/*
 * kern_quant_x86 - the quantised kernels for AVX2 and AVX-512, one text for both.
 *
 * The including file defines the vector: LANES floats (8 or 16), its types
 * vi, vf and operations, COLS (columns that one pass over a tile serves: their
 * integer sums stay in registers), sub_signed/dot32 for 32 bytes, and
 * KERN_COLUMN, the file with its way of serving one column.
 *
 * Many columns: LANES rows are unpacked to a tile, four values of each row
 * side by side, so that one dot instruction advances LANES outputs and needs
 * no horizontal sum.
 */
#include "base/kern.h"
#include "base/kern_quant_blocks.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))

/* ---- bytes out of blocks ---- */

INLINE __m256i low_nibbles(__m256i v)
{
	return _mm256_and_si256(v, _mm256_set1_epi8(15));
}

INLINE __m256i nibbles(const uint8_t *p)	/* 16 bytes: low nibbles, then high */
{
	__m128i v = _mm_loadu_si128((const void *)p);

	return low_nibbles(_mm256_set_m128i(_mm_srli_epi16(v, 4), v));
}

INLINE __m256i load32(const uint8_t *p)
{
	return _mm256_loadu_si256((const void *)p);
}

/* The q of values 32 s .. of a block, unsigned; of Q8_0 as sub_signed says. */
INLINE __m256i unpack(enum kern_q type, const uint8_t *b, int s)
{
	__m256i two, q;

	switch (type) {
	case KERN_Q4_0:
		return nibbles(b + 2);
	case KERN_Q4_1:
		return nibbles(b + 4);
	case KERN_Q5_0:
		return add_16_where(nibbles(b + 6), kq_u32(b + 2));
	case KERN_Q5_1:
		return add_16_where(nibbles(b + 8), kq_u32(b + 4));
	case KERN_Q8_0:
		q = load32(b + 2);
		return sub_signed ? q : _mm256_xor_si256(q, _mm256_set1_epi8((char)0x80));
	case KERN_Q2_K:
		q = load32(b + 16 + s / 4 * 32);
		return _mm256_and_si256(_mm256_srli_epi16(q, 2 * (s % 4)), _mm256_set1_epi8(3));
	case KERN_Q3_K:
		q = load32(b + 32 + s / 4 * 32);
		q = _mm256_and_si256(_mm256_srli_epi16(q, 2 * (s % 4)), _mm256_set1_epi8(3));
		two = _mm256_and_si256(_mm256_srli_epi16(load32(b), s), _mm256_set1_epi8(1));
		return _mm256_or_si256(q, _mm256_slli_epi16(two, 2));
	case KERN_Q4_K:
		q = load32(b + 16 + s / 2 * 32);
		return low_nibbles(s % 2 ? _mm256_srli_epi16(q, 4) : q);
	case KERN_Q5_K:
		q = load32(b + 48 + s / 2 * 32);
		q = low_nibbles(s % 2 ? _mm256_srli_epi16(q, 4) : q);
		two = _mm256_and_si256(_mm256_srli_epi16(load32(b + 16), s), _mm256_set1_epi8(1));
		return _mm256_or_si256(q, _mm256_slli_epi16(two, 4));
	case KERN_Q6_K:
		q = load32(b + s / 4 * 64 + s % 2 * 32);
		q = low_nibbles(s % 4 / 2 ? _mm256_srli_epi16(q, 4) : q);
		two = _mm256_srli_epi16(load32(b + 128 + s / 4 * 32), 2 * (s % 4));
		two = _mm256_and_si256(two, _mm256_set1_epi8(3));
		return _mm256_or_si256(q, _mm256_slli_epi16(two, 4));
	}
	return _mm256_setzero_si256();
}

/* What dot32 of unpack() is too large by, in sums of the activations. */
INLINE int excess(enum kern_q type)
{
	return type == KERN_Q8_0 && sub_signed ? 0 : kq_offset(type);
}

INLINE bool is_signed(enum kern_q type)
{
	return type == KERN_Q8_0 && sub_signed;
}

INLINE int half_at(const uint8_t *p)
{
	uint16_t h;

	memcpy(&h, p, sizeof(h));
	return h;
}

/* The halves at p[0] + at .. p[7] + at. */
INLINE __m256 halves(const uint8_t *const p[8], size_t at)
{
	__m128i h = _mm_cvtsi32_si128(half_at(p[0] + at));

	h = _mm_insert_epi16(h, half_at(p[1] + at), 1);
	h = _mm_insert_epi16(h, half_at(p[2] + at), 2);
	h = _mm_insert_epi16(h, half_at(p[3] + at), 3);
	h = _mm_insert_epi16(h, half_at(p[4] + at), 4);
	h = _mm_insert_epi16(h, half_at(p[5] + at), 5);
	h = _mm_insert_epi16(h, half_at(p[6] + at), 6);
	h = _mm_insert_epi16(h, half_at(p[7] + at), 7);
	return _mm256_cvtph_ps(h);
}

/* Lane i of the result: the sum of all lanes of v[i]. */
INLINE __m256i sum_rows(const __m256i v[8])
{
	__m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
	__m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));

	return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
				_mm256_permute2x128_si256(a, b, 0x31));
}

/* The 8 rows from r on; those that don't exist are the last one again. */
INLINE void eight_rows(const uint8_t *out[8], const uint8_t *w, size_t row, size_t r, size_t n)
{
	for (size_t i = 0; i < 8; i++)
		out[i] = w + (r + i < n ? r + i : n - 1) * row;
}

/* Eight rows side by side are more streams than the hardware follows well; they
 * lie one behind the other, so while these are read, n bytes an iteration, the
 * next eight are fetched in one sweep. */
INLINE void fetch_ahead(const uint8_t *next, size_t b, size_t n)
{
	for (size_t i = 0; i < n; i += 64)
		_mm_prefetch((const char *)(next + b * n + i), _MM_HINT_T1);
}

/* ---- one column ---- */

/* kq_read_scales() without a way through memory, widened to 16 bits. */
INLINE void scales16(__m256i *s, __m256i *t, enum kern_q type, const uint8_t *b)
{
	__m128i v, m = _mm_setzero_si128();

	if (type == KERN_Q4_K || type == KERN_Q5_K) {
		uint64_t scales, minima;

		kq_six_bits(&scales, &minima, b);
		v = _mm_cvtsi64_si128((long long)scales);
		m = _mm_cvtsi64_si128((long long)minima);
		v = _mm_unpacklo_epi8(v, v);
		m = _mm_unpacklo_epi8(m, m);
	} else if (type == KERN_Q2_K) {
		v = _mm_loadu_si128((const void *)b);
		m = _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(15));
		v = _mm_and_si128(v, _mm_set1_epi8(15));
	} else {
		struct kq_scales k;

		kq_read_scales(&k, type, b);
		v = _mm_loadu_si128((const void *)k.s);
	}
	*s = _mm256_cvtepi8_epi16(v);
	*t = _mm256_cvtepi8_epi16(m);
}

INLINE int sum_lanes(__m128i v)
{
	v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4E));
	return _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32(v, 0xB1)));
}

/* column(y, type, w, n, a, scratch): y[r] = row r of w, of n, times the only column. */
#include KERN_COLUMN

/* ---- many columns ---- */

struct tile {		/* LANES rows; blocks first, rows last everywhere */
	uint8_t *q;	/* (k/4, LANES, 4) */
	float *d, *m;	/* (k/block, LANES); m: the minima, of k-quants negated */
	int32_t *s;	/* k-quants: (k/run, LANES) scales of runs */
	int32_t *t;	/* k-quants: (pairs, LANES) pairs of 16 bits for the sums */
};

INLINE bool long_runs(enum kern_q type)		/* a scale for 32 values, not 16 */
{
	return type == KERN_Q4_K || type == KERN_Q5_K;
}

static size_t tile_bytes(size_t k)
{
	return LANES * (k + k / 16 * 4 + k / 32 * 4 + 2 * k / 32 * 4);
}

static struct tile tile_at(char *mem, size_t k, size_t i)
{
	char *p = mem + i * tile_bytes(k);
	struct tile t;

	t.q = (uint8_t *)p;
	t.s = (int32_t *)(void *)(p += LANES * k);
	t.t = (int32_t *)(void *)(p += LANES * k / 16 * 4);
	t.d = (float *)(void *)(p += LANES * k / 32 * 4);
	t.m = (float *)(void *)(p + LANES * k / 32 * 4);
	return t;
}

/* v[i]: 8 groups of 4 values of row i.  out[i]: group i of each of the 8 rows. */
INLINE void turn_groups(__m256i out[8], const __m256i v[8])
{
	__m256i a[8], b[8];

#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		a[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
		a[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
	}
#pragma GCC unroll 2
	for (int i = 0; i < 8; i += 4) {
		b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
		b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
		b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
		b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
	}
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		out[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
		out[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
	}
}

/* Group after group, a row's beside the next row's. */
INLINE void store_groups(uint8_t *out, const __m256i v[8])
{
	__m256i g[8];

	turn_groups(g, v);
#pragma GCC unroll 8
	for (int i = 0; i < 8; i++)
		_mm256_store_si256((void *)(out + i * LANES * 4), g[i]);
}

/* out[i]: byte i of each of the 8 rows, widened with its sign. */
INLINE void turn_bytes(__m256i out[8], const uint64_t row[8])
{
	__m128i a[4], b[4];

#pragma GCC unroll 4
	for (int i = 0; i < 4; i++)
		a[i] = _mm_unpacklo_epi8(_mm_cvtsi64_si128((long long)row[2 * i]),
					 _mm_cvtsi64_si128((long long)row[2 * i + 1]));
	b[0] = _mm_unpacklo_epi16(a[0], a[1]);
	b[1] = _mm_unpackhi_epi16(a[0], a[1]);
	b[2] = _mm_unpacklo_epi16(a[2], a[3]);
	b[3] = _mm_unpackhi_epi16(a[2], a[3]);
#pragma GCC unroll 2
	for (int i = 0; i < 2; i++) {
		__m128i lo = _mm_unpacklo_epi32(b[i], b[i + 2]), hi = _mm_unpackhi_epi32(b[i], b[i + 2]);

		out[4 * i] = _mm256_cvtepi8_epi32(lo);
		out[4 * i + 1] = _mm256_cvtepi8_epi32(_mm_srli_si128(lo, 8));
		out[4 * i + 2] = _mm256_cvtepi8_epi32(hi);
		out[4 * i + 3] = _mm256_cvtepi8_epi32(_mm_srli_si128(hi, 8));
	}
}

/* Scales and minima of a block, a byte a run: 8 of long runs, else 16. */
INLINE void row_scales(uint64_t s[2], uint64_t m[2], enum kern_q type, const uint8_t *b)
{
	const uint64_t low = 0x0F0F0F0F0F0F0F0F;
	struct kq_scales k;

	switch (type) {
	case KERN_Q4_K:
	case KERN_Q5_K:
		kq_six_bits(s, m, b);
		break;
	case KERN_Q2_K:
		memcpy(s, b, 16);
		for (int i = 0; i < 2; i++) {
			m[i] = s[i] >> 4 & low;
			s[i] &= low;
		}
		break;
	default:
		kq_read_scales(&k, type, b);
		memcpy(s, k.s, 16);
	}
}

/* Of rows row .. row + 7, whose blocks b stand at p[i] + at. */
INLINE void tile_scales(struct tile *t, enum kern_q type, const uint8_t *const p[8], size_t at,
			size_t b, size_t row)
{
	int32_t *to_s = t->s + b * (long_runs(type) ? 8 : 16) * LANES + row;
	int32_t *to_t = t->t + b * 8 * LANES + row;
	const __m256i off = _mm256_set1_epi16((short)-kq_offset(type));
	const int words = long_runs(type) ? 1 : 2;
	uint64_t s[2][8], m[2][8];

#pragma GCC unroll 8
	for (int i = 0; i < 8; i++) {
		uint64_t rs[2] = { 0, 0 }, rm[2] = { 0, 0 };

		row_scales(rs, rm, type, p[i] + at);
		s[0][i] = rs[0];
		s[1][i] = rs[1];
		m[0][i] = rm[0];
		m[1][i] = rm[1];
	}
	for (int h = 0; h < words; h++) {
		__m256i v[8];

		turn_bytes(v, s[h]);
#pragma GCC unroll 8
		for (int i = 0; i < 8; i++)
			_mm256_store_si256((void *)(to_s + (8 * h + i) * LANES), v[i]);
		if (kq_has_min(type))
			turn_bytes(v, m[h]);
#pragma GCC unroll 4
		for (int i = 0; i < 4; i++) {
			__m256i two = _mm256_blend_epi16(v[2 * i], _mm256_slli_epi32(v[2 * i + 1], 16),
							 0xAA);

			if (!kq_has_min(type))
				two = _mm256_mullo_epi16(two, off);
			_mm256_store_si256((void *)(to_t + (4 * h + i) * LANES), two);
		}
	}
}

INLINE void tile_fill(struct tile *t, enum kern_q type, const uint8_t *w, size_t n, size_t k)
{
	size_t block = type < KERN_Q2_K ? QK : QKK, bytes = kq_bytes(type);
	size_t row = k / block * bytes, d = kq_d_at(type);

	for (size_t r = 0; r < LANES; r += 8) {
		const uint8_t *p[8];

		eight_rows(p, w, row, r, n);
		for (size_t b = 0; b < k / block; b++) {
			fetch_ahead(p[0] + 8 * row, b, 8 * bytes);
			float *td = t->d + b * LANES + r, *tm = t->m + b * LANES + r;

#pragma GCC unroll 8
			for (int s = 0; s < (int)(block / QK); s++) {
				uint8_t *q = t->q + (b * block + (size_t)s * QK) * LANES + r * 4;
				__m256i v[8];

#pragma GCC unroll 8
				for (int i = 0; i < 8; i++)
					v[i] = unpack(type, p[i] + b * bytes, s);
				store_groups(q, v);
			}
			_mm256_store_ps(td, halves(p, b * bytes + d));
			if (block == QK && kq_has_min(type))
				_mm256_store_ps(tm, halves(p, b * bytes + d + 2));
			if (block == QKK && kq_has_min(type))
				_mm256_store_ps(tm, _mm256_xor_ps(halves(p, b * bytes + d + 2),
								  _mm256_set1_ps(-0.0f)));
			if (block == QKK)
				tile_scales(t, type, p, b * bytes, b, r);
		}
	}
}

INLINE int32_t four(const void *p)
{
	int32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Adds to s[c] the products of n groups of four values. */
INLINE void dots(vi s[], const uint8_t *q, const int8_t *x, int n, int cols, bool with_sign)
{
#pragma GCC unroll 8
	for (int g = 0; g < n; g++) {
		vi w = vi_load(q + g * LANES * 4);
		vi abs = with_sign ? vi_abs(w) : w;

#pragma GCC unroll 16
		for (int c = 0; c < cols; c++) {
			vi v = vi_set1(four(x + c * QK + g * 4));

			s[c] = vi_dot(s[c], abs, with_sign ? vi_sign(v, w) : v);
		}
	}
}

/* A group's columns c0 .. c0 + cols - 1, of w. */
struct cols {
	const int8_t *q;	/* (k/32, w, 32) */
	const float *d;		/* (k/block, w) */
	const int32_t *sum;	/* (k/32, w) */
	const int32_t *start;	/* (k/32, w) what the small types' sums start from */
	const int16_t *sums;	/* (k/256, w, 24) */
	size_t w;
};

INLINE void tile_cols32(float *f, const struct tile *t, size_t k, enum kern_q type,
			const struct cols *x, int cols)
{
	for (size_t b = 0; b < k / QK; b++) {
		const float *da = x->d + b * x->w;
		vf d = vf_load(t->d + b * LANES);
		vi s[COLS];

#pragma GCC unroll 16
		for (int c = 0; c < cols; c++)
			s[c] = vi_set1(excess(type) ? x->start[b * x->w + c] : 0);
		dots(s, t->q + b * QK * LANES, x->q + b * x->w * QK, 8, cols, is_signed(type));
#pragma GCC unroll 16
		for (int c = 0; c < cols; c++) {
			vf acc = vf_fma(vi_float(s[c]), vf_mul(d, vf_set1(da[c])), vf_load(f + c * LANES));

			if (kq_has_min(type))
				acc = vf_fma(vf_load(t->m + b * LANES),
					     vf_set1(da[c] * (float)x->sum[b * x->w + c]), acc);
			vf_store(f + c * LANES, acc);
		}
	}
}

INLINE void tile_cols256(float *f, const struct tile *t, size_t k, enum kern_q type,
			 const struct cols *x, int cols)
{
	const int run = long_runs(type) ? 32 : 16, n_runs = QKK / run;
	const int pairs = long_runs(type) ? 4 : 8, first = long_runs(type) ? 16 : 0;
	_Alignas(64) int32_t isum[COLS * LANES];

	for (size_t b = 0; b < k / QKK; b++) {
		const float *da = x->d + b * x->w;
		vf d = vf_load(t->d + b * LANES);

		for (int c = 0; c < cols; c++)
			vi_store(isum + c * LANES, vi_set1(0));
		for (int r = 0; r < n_runs; r++) {
			size_t at = b * QKK + (size_t)(r * run);
			vi scale = vi_load(t->s + (b * (size_t)n_runs + (size_t)r) * LANES), s[COLS];

#pragma GCC unroll 16
			for (int c = 0; c < cols; c++)
				s[c] = vi_set1(0);
			dots(s, t->q + at * LANES, x->q + at / QK * x->w * QK + at % QK, run / 4,
			     cols, false);
#pragma GCC unroll 16
			for (int c = 0; c < cols; c++)
				vi_store(isum + c * LANES, vi_add(vi_mul(s[c], scale),
								  vi_load(isum + c * LANES)));
		}
		for (int c = 0; c < cols; c++) {
			const int16_t *sums = x->sums + (b * x->w + (size_t)c) * 24 + first;
			vi is = vi_load(isum + c * LANES), im = kq_has_min(type) ? vi_set1(0) : is;
			vf acc = vf_load(f + c * LANES), scale = vf_set1(da[c]);

#pragma GCC unroll 8
			for (int i = 0; i < pairs; i++)
				im = vi_madd(im, vi_load(t->t + (b * 8 + (size_t)i) * LANES),
					     vi_set1(four(sums + 2 * i)));
			acc = vf_fma(vi_float(kq_has_min(type) ? is : im), vf_mul(d, scale), acc);
			if (kq_has_min(type))
				acc = vf_fma(vi_float(im),
					     vf_mul(vf_load(t->m + b * LANES), scale), acc);
			vf_store(f + c * LANES, acc);
		}
	}
}

INLINE void tile_cols(float *y, size_t ldy, const struct tile *t, size_t rows, size_t k,
		      enum kern_q type, const struct cols *x, int cols)
{
	_Alignas(64) float f[COLS * LANES] = { 0 };

	if (type < KERN_Q2_K)
		tile_cols32(f, t, k, type, x, cols);
	else
		tile_cols256(f, t, k, type, x, cols);
	for (int c = 0; c < cols; c++)
		memcpy(y + (size_t)c * ldy, f + c * LANES, rows * sizeof(*f));
}

/* All columns of a group, as many at once as the registers hold. */
INLINE void tile_group(float *y, size_t ldy, const struct tile *t, size_t rows, size_t k,
		       enum kern_q type, struct cols x)
{
	size_t left = x.w;

	while (left) {
		int n;

		if (left >= COLS) {
			n = COLS;
			tile_cols(y, ldy, t, rows, k, type, &x, COLS);
		} else if (left >= 8 && COLS > 8) {
			n = 8;
			tile_cols(y, ldy, t, rows, k, type, &x, 8);
		} else if (left >= 4 && COLS > 4) {
			n = 4;
			tile_cols(y, ldy, t, rows, k, type, &x, 4);
		} else {
			n = 1;
			tile_cols(y, ldy, t, rows, k, type, &x, 1);
		}
		left -= (size_t)n;
		y += (size_t)n * ldy;
		x.q += n * QK;
		x.d += n;
		x.sum += n;
		x.start += n;
		x.sums += n * 24;
	}
}

INLINE void columns(float *y, size_t ldy, enum kern_q type, const uint8_t *w, size_t n,
		    const struct kern_acts *a, char *scratch)
{
	size_t k = a->k, n_tiles = (n + LANES - 1) / LANES;
	size_t row = k / a->block * kq_bytes(type);
	int32_t *start = (int32_t *)(void *)(scratch + n_tiles * tile_bytes(k));

	for (size_t i = 0; i < n_tiles; i++) {
		struct tile t = tile_at(scratch, k, i);

		tile_fill(&t, type, w + i * LANES * row, n - i * LANES, k);
	}
	for (size_t g = 0; g < kern_acts_groups(a); g++) {
		size_t base = g * KERN_GROUP, w_g = kern_acts_width(a, g);
		struct cols x = {
			.q = a->q + base * k, .d = a->d + base * (k / a->block), .w = w_g,
			.start = start,
		};

		if (a->block == QK) {
			x.sum = a->sum + base * (k / QK);
			if (excess(type))
				for (size_t i = 0; i < k / QK * w_g; i++)
					start[i] = -excess(type) * x.sum[i];
		} else {
			x.sum = start;		/* not read */
			x.sums = a->sums + base * (k / QKK) * 24;
		}
		if (!x.sums)
			x.sums = (const int16_t *)(const void *)start;	/* ditto */
		for (size_t i = 0; i < n_tiles; i++) {
			struct tile t = tile_at(scratch, k, i);
			size_t rows = n - i * LANES < LANES ? n - i * LANES : LANES;

			tile_group(y + base * ldy + i * LANES, ldy, &t, rows, k, type, x);
		}
	}
}

#include "base/kern_quant_few.h"

/* One copy of the three ways a type. */
#define QMUL(T)											\
static void qmul_##T(float *y, size_t ldy, const void *w, size_t n, const struct kern_acts *a,	\
		     void *scratch)								\
{												\
	if (a->n == 1)										\
		column(y, KERN_##T, w, n, a, scratch);						\
	else if (a->n <= FEW)									\
		few(y, ldy, KERN_##T, w, n, a, scratch);					\
	else											\
		columns(y, ldy, KERN_##T, w, n, a, scratch);					\
}
QMUL(Q4_0)
QMUL(Q4_1)
QMUL(Q5_0)
QMUL(Q5_1)
QMUL(Q8_0)
QMUL(Q2_K)
QMUL(Q3_K)
QMUL(Q4_K)
QMUL(Q5_K)
QMUL(Q6_K)

static void x86_qmul(float *y, size_t ldy, enum kern_q type, const void *w, size_t n,
		     const struct kern_acts *a, void *scratch)
{
	size_t row = a->k / a->block * kern_q_bytes(type);

	for (size_t r = 0; r < n; r += KERN_TILE_MAX) {
		size_t m = n - r < KERN_TILE_MAX ? n - r : KERN_TILE_MAX;
		const uint8_t *p = (const uint8_t *)w + r * row;

		switch (type) {
		case KERN_Q4_0: qmul_Q4_0(y + r, ldy, p, m, a, scratch); break;
		case KERN_Q4_1: qmul_Q4_1(y + r, ldy, p, m, a, scratch); break;
		case KERN_Q5_0: qmul_Q5_0(y + r, ldy, p, m, a, scratch); break;
		case KERN_Q5_1: qmul_Q5_1(y + r, ldy, p, m, a, scratch); break;
		case KERN_Q8_0: qmul_Q8_0(y + r, ldy, p, m, a, scratch); break;
		case KERN_Q2_K: qmul_Q2_K(y + r, ldy, p, m, a, scratch); break;
		case KERN_Q3_K: qmul_Q3_K(y + r, ldy, p, m, a, scratch); break;
		case KERN_Q4_K: qmul_Q4_K(y + r, ldy, p, m, a, scratch); break;
		case KERN_Q5_K: qmul_Q5_K(y + r, ldy, p, m, a, scratch); break;
		case KERN_Q6_K: qmul_Q6_K(y + r, ldy, p, m, a, scratch); break;
		}
	}
}
