/*
 * kern_quant_few - a few columns at once, straight from the blocks.
 *
 * What a tile costs pays off over many columns.  For those of a draft
 * (generator/lookup.h) LANES rows are unpacked and turned in registers, four
 * values of each row side by side, and every column takes them from there.
 * The sums are the tile's: integers of a block, then floats in blocks' order.
 *
 * Included by kern_quant_x86.h, whose vector and unpackers it uses.
 */
#define FEW 8			/* columns at most: more than that pay for a tile */
_Static_assert(FEW <= KERN_GROUP, "their values lie in one group");

/* g[i]: values 4 i .. 4 i + 3 of the 32 that stand at p[row] + at, of LANES rows. */
INLINE void few_unpack(vi g[8], enum kern_q type, const uint8_t *const p[LANES], size_t at, int s)
{
	__m256i v[8], turned[LANES];

#pragma GCC unroll 2
	for (int half = 0; half < LANES; half += 8) {
#pragma GCC unroll 8
		for (int i = 0; i < 8; i++)
			v[i] = unpack(type, p[half + i] + at, s);
		turn_groups(turned + half, v);
	}
#pragma GCC unroll 8
	for (int i = 0; i < 8; i++)
		g[i] = vi_join(turned[i], turned[LANES - 8 + i]);
}

INLINE vf few_halves(const uint8_t *const p[LANES], size_t at)
{
	return vf_join(halves(p, at), halves(p + LANES - 8, at));
}

/* s and the products of n groups of four values with a column's. */
INLINE vi few_dots(vi s, const vi g[], const int8_t *x, int n, bool with_sign)
{
#pragma GCC unroll 8
	for (int i = 0; i < n; i++) {
		vi v = vi_set1(four(x + i * 4));

		s = vi_dot(s, with_sign ? vi_abs(g[i]) : g[i], with_sign ? vi_sign(v, g[i]) : v);
	}
	return s;
}

INLINE void few32(float *f, enum kern_q type, const uint8_t *const p[LANES], size_t row,
		  const struct kern_acts *a, const int32_t *start)
{
	size_t bytes = kq_bytes(type), w = a->n;

	for (size_t b = 0; b < a->k / QK; b++) {
		const float *da = a->d + b * w;
		vf d = few_halves(p, b * bytes);
		vf m = kq_has_min(type) ? few_halves(p, b * bytes + 2) : d;
		vi g[8];

		fetch_ahead(p[0] + LANES * row, b, LANES * bytes);
		few_unpack(g, type, p, b * bytes, 0);
		for (size_t c = 0; c < w; c++) {
			vi s = excess(type) ? vi_set1(start[b * w + c]) : vi_set1(0);
			vf acc = vf_load(f + c * LANES);

			s = few_dots(s, g, a->q + (b * w + c) * QK, 8, is_signed(type));
			acc = vf_fma(vi_float(s), vf_mul(d, vf_set1(da[c])), acc);
			if (kq_has_min(type))
				acc = vf_fma(m, vf_set1(da[c] * (float)a->sum[b * w + c]), acc);
			vf_store(f + c * LANES, acc);
		}
	}
}

/* Of a block of 256: integer sums of the columns (w, LANES). */
INLINE void few_runs(int32_t *isum, enum kern_q type, const uint8_t *const p[LANES], size_t at,
		     const int32_t *scales, const int8_t *q, size_t w)
{
	for (size_t c = 0; c < w; c++)
		vi_store(isum + c * LANES, vi_set1(0));
#pragma GCC unroll 8
	for (int s = 0; s < 8; s++) {
		const int32_t *scale = scales + (long_runs(type) ? s : 2 * s) * LANES;
		vi g[8];

		few_unpack(g, type, p, at, s);
		for (size_t c = 0; c < w; c++) {
			const int8_t *x = q + ((size_t)s * w + c) * QK;
			vi sum = vi_load(isum + c * LANES);

			if (long_runs(type)) {
				sum = vi_add(sum, vi_mul(few_dots(vi_set1(0), g, x, 8, false),
							 vi_load(scale)));
			} else {
				sum = vi_add(sum, vi_mul(few_dots(vi_set1(0), g, x, 4, false),
							 vi_load(scale)));
				sum = vi_add(sum, vi_mul(few_dots(vi_set1(0), g + 4, x + 16, 4, false),
							 vi_load(scale + LANES)));
			}
			vi_store(isum + c * LANES, sum);
		}
	}
}

INLINE void few256(float *f, enum kern_q type, const uint8_t *const p[LANES], size_t row,
		   const struct kern_acts *a)
{
	const int pairs = long_runs(type) ? 4 : 8, first = long_runs(type) ? 16 : 0;
	_Alignas(64) int32_t isum[FEW * LANES], scales[16 * LANES], offsets[8 * LANES];
	struct tile t = { .s = scales, .t = offsets };
	size_t bytes = kq_bytes(type), at = kq_d_at(type), w = a->n;

	for (size_t b = 0; b < a->k / QKK; b++) {
		vf d = few_halves(p, b * bytes + at), m = d;

		if (kq_has_min(type))
			m = vf_mul(few_halves(p, b * bytes + at + 2), vf_set1(-1));
		fetch_ahead(p[0] + LANES * row, b, LANES * bytes);
		for (size_t i = 0; i < LANES; i += 8)
			tile_scales(&t, type, p + i, b * bytes, 0, i);
		few_runs(isum, type, p, b * bytes, scales, a->q + b * QKK * w, w);
		for (size_t c = 0; c < w; c++) {
			const int16_t *sums = a->sums + (b * w + c) * 24 + first;
			vi is = vi_load(isum + c * LANES), im = kq_has_min(type) ? vi_set1(0) : is;
			vf acc = vf_load(f + c * LANES), scale = vf_set1(a->d[b * w + c]);

#pragma GCC unroll 8
			for (int i = 0; i < pairs; i++)
				im = vi_madd(im, vi_load(offsets + i * LANES), vi_set1(four(sums + 2 * i)));
			acc = vf_fma(vi_float(kq_has_min(type) ? is : im), vf_mul(d, scale), acc);
			if (kq_has_min(type))
				acc = vf_fma(vi_float(im), vf_mul(m, scale), acc);
			vf_store(f + c * LANES, acc);
		}
	}
}

INLINE void few(float *y, size_t ldy, enum kern_q type, const uint8_t *w, size_t n,
		const struct kern_acts *a, char *scratch)
{
	size_t row = a->k / a->block * kq_bytes(type);
	int32_t *start = (int32_t *)(void *)scratch;

	if (excess(type) && a->block == QK)
		for (size_t i = 0; i < a->k / QK * a->n; i++)
			start[i] = -excess(type) * a->sum[i];
	for (size_t r = 0; r < n; r += LANES) {
		_Alignas(64) float f[FEW * LANES];
		size_t rows = n - r < LANES ? n - r : LANES;
		const uint8_t *p[LANES];

		memset(f, 0, a->n * LANES * sizeof(*f));
		for (size_t i = 0; i < LANES; i += 8)
			eight_rows(p + i, w, row, r + i, n);
		if (a->block == QK)
			few32(f, type, p, row, a, start);
		else
			few256(f, type, p, row, a);
		for (size_t c = 0; c < a->n; c++)
			memcpy(y + c * ldy + r, f + c * LANES, rows * sizeof(*f));
	}
}
