#include "config.h"
#include "index/late.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/kern.h"
#include "base/mem.h"
#include "index/codec.h"

#define MAGIC "RTS1"
#define HEAD 8u			/* magic, dim; then the mean and LATE_DIM axes, as floats */
#define TILE 64u		/* tokens that are projected or scored together */
#define PANELS (LATE_DIM / KERN8_PANEL)
#define LEVEL 7			/* 4 bits: -7 .. 7, plus 8 */
#define ZERO 8

_Static_assert(LATE_DIM % KERN8_PANEL == 0, "axes fill their panels");

static size_t space_bytes(size_t dim)
{
	return HEAD + 4 * dim * (1 + LATE_DIM);
}

/* *inverse: of x's length, 0 where that is 0.  False: it is not finite. */
static bool length_of(double *inverse, const float *x, size_t dim)
{
	double part[8] = { 0 }, square = 0;	/* eight sums, so that none waits for the other */

	for (size_t i = 0; i < dim; i++)
		part[i % 8] += (double)x[i] * (double)x[i];
	for (size_t i = 0; i < 8; i++)
		square += part[i];
	*inverse = square > 0 ? 1 / sqrt(square) : 0;
	return isfinite(square);
}

static int not_finite(size_t token)
{
	return err_set(RAG_EINVAL, "the vector of token %zu is not finite", token);
}

/* ---- learning ------------------------------------------------------------------ */

#define LANE 8u			/* values that a loop takes at once: compilers make vectors of them */

struct late_learn {
	size_t dim, wide;	/* wide: dim rounded up to LANE */
	uint64_t n;		/* tokens */
	double *sum;		/* owned (dim) */
	double *square;		/* owned (dim, wide), right up to the diagonal */
	double *unit;		/* owned (wide), 0 behind dim */
};

int late_learn_new(struct late_learn **out, size_t dim)
{
	struct late_learn *l = mem_calloc(1, sizeof(*l));

	*out = NULL;
	if (!l)
		return RAG_ENOMEM;
	l->dim = dim;
	l->wide = (dim + LANE - 1) / LANE * LANE;
	l->sum = mem_calloc(dim, sizeof(*l->sum));
	l->square = mem_calloc(dim * l->wide, sizeof(*l->square));
	l->unit = mem_calloc(l->wide, sizeof(*l->unit));
	if (!l->sum || !l->square || !l->unit) {
		late_learn_free(l);
		return RAG_ENOMEM;
	}
	*out = l;
	return RAG_OK;
}

void late_learn_free(struct late_learn *l)
{
	if (!l)
		return;
	mem_free(l->sum);
	mem_free(l->square);
	mem_free(l->unit);
	mem_free(l);
}

int late_learn_add(struct late_learn *l, const float *x, size_t n)
{
	size_t dim = l->dim;
	double inverse;

	for (size_t t = 0; t < n; t++, x += dim) {
		if (!length_of(&inverse, x, dim))
			return not_finite(t);
		for (size_t i = 0; i < dim; i++)
			l->unit[i] = x[i] * inverse;
		for (size_t i = 0; i < dim; i++) {
			double w = l->unit[i], *row = l->square + i * l->wide;

			l->sum[i] += w;
			for (size_t j = 0; j <= i; j += LANE)
				for (size_t k = 0; k < LANE; k++)
					row[j + k] += w * l->unit[j + k];
		}
		l->n++;
	}
	return RAG_OK;
}

/* Makes rows of v (n, dim) orthonormal by Gram and Schmidt; one that has nothing of its own becomes 0. */
static void orthonormal(double *v, size_t n, size_t dim)
{
	for (size_t i = 0; i < n; i++) {
		double *row = v + i * dim, before = 0, after = 0;

		for (size_t d = 0; d < dim; d++)
			before += row[d] * row[d];
		for (size_t j = 0; j < i; j++) {
			const double *other = v + j * dim;
			double part = 0;

			for (size_t d = 0; d < dim; d++)
				part += row[d] * other[d];
			for (size_t d = 0; d < dim; d++)
				row[d] -= part * other[d];
		}
		for (size_t d = 0; d < dim; d++)
			after += row[d] * row[d];
		after = after > 1e-20 * before ? 1 / sqrt(after) : 0;
		for (size_t d = 0; d < dim; d++)
			row[d] *= after;
	}
}

/* The span of the LATE_DIM largest principal axes of c (dim, dim), by orthogonal iteration
 * (Golub and Van Loan, Matrix Computations, 8.2.4): which axes within it does not matter.
 * v: (LATE_DIM, dim). */
static int principal(double *v, const double *c, size_t dim)
{
	enum { ROUNDS = 12 };
	double *next = mem_calloc(LATE_DIM * dim, sizeof(*next));
	uint64_t x = 0x9e3779b97f4a7c15u;

	if (!next)
		return RAG_ENOMEM;
	for (size_t i = 0; i < LATE_DIM * dim; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		v[i] = (double)(int32_t)(x >> 32);
	}
	orthonormal(v, LATE_DIM, dim);
	for (int round = 0; round < ROUNDS; round++) {
		memset(next, 0, LATE_DIM * dim * sizeof(*next));
		for (size_t i = 0; i < LATE_DIM; i++)
			for (size_t k = 0; k < dim; k++) {
				double w = v[i * dim + k];

				for (size_t j = 0; j < dim; j++)
					next[i * dim + j] += w * c[k * dim + j];
			}
		memcpy(v, next, LATE_DIM * dim * sizeof(*v));
		orthonormal(v, LATE_DIM, dim);
	}
	mem_free(next);
	return RAG_OK;
}

int late_learn_end(struct buf *out, const struct late_learn *l)
{
	size_t dim = l->dim;
	double n = (double)l->n, *c, *v;
	int rc = RAG_OK;

	if (!l->n)
		return err_set(RAG_EINVAL, "no token to learn from");
	c = mem_calloc(dim * dim, sizeof(*c));
	v = mem_calloc(LATE_DIM * dim, sizeof(*v));
	if (!c || !v)
		rc = RAG_ENOMEM;
	for (size_t i = 0; !rc && i < dim; i++)
		for (size_t j = 0; j <= i; j++)
			c[i * dim + j] = c[j * dim + i] = l->square[i * l->wide + j] / n -
							    l->sum[i] / n * (l->sum[j] / n);
	if (!rc)
		rc = principal(v, c, dim);
	if (!rc)
		rc = buf_add(out, MAGIC, 4);
	if (!rc)
		rc = codec_add32(out, (uint32_t)dim);
	for (size_t i = 0; !rc && i < dim; i++)
		rc = codec_addf(out, (float)(l->sum[i] / n));
	for (size_t i = 0; !rc && i < LATE_DIM * dim; i++)
		rc = codec_addf(out, (float)v[i]);
	mem_free(c);
	mem_free(v);
	return rc;
}

/* ---- a space ------------------------------------------------------------------- */

struct late_space {
	const struct kern *kern;
	size_t dim, padded;
	struct kern8_panel *axes[PANELS];	/* owned; (KERN8_PANEL, dim) */
	float *mean;				/* owned (dim) */
};

static float float_at(const uint8_t *p, size_t i)
{
	return codec_getf(p + HEAD + 4 * i);
}

bool late_space_valid(const void *p, size_t n, size_t dim)
{
	if (n != space_bytes(dim) || memcmp(p, MAGIC, 4) || codec_get32((const uint8_t *)p + 4) != dim)
		return false;
	for (size_t i = 0; i < dim * (1 + LATE_DIM); i++)
		if (!(fabsf(float_at(p, i)) <= 1.01f))
			return false;
	return true;
}

int late_space_new(struct late_space **out, const void *p, size_t n, size_t dim)
{
	struct late_space *s;
	float *axes;

	*out = NULL;
	if (!late_space_valid(p, n, dim))
		return err_set(RAG_EFORMAT, "not a token space of %zu dimensions", dim);
	s = mem_calloc(1, sizeof(*s));
	axes = mem_alloc(LATE_DIM * dim * sizeof(*axes));
	if (!s || !axes)
		goto fail;
	s->kern = kern_get();
	s->dim = dim;
	s->padded = kern8_padded(dim);
	s->mean = mem_alloc(dim * sizeof(*s->mean));
	if (!s->mean)
		goto fail;
	for (size_t d = 0; d < dim; d++)
		s->mean[d] = float_at(p, d);
	for (size_t i = 0; i < LATE_DIM * dim; i++)
		axes[i] = float_at(p, dim + i);
	for (size_t i = 0; i < PANELS; i++) {
		s->axes[i] = mem_aligned(64, kern8_panel_bytes(dim));
		if (!s->axes[i])
			goto fail;
		s->kern->pack8(s->axes[i], axes + i * KERN8_PANEL * dim, dim, NULL, KERN8_PANEL, dim);
	}
	mem_free(axes);
	*out = s;
	return RAG_OK;
fail:
	mem_free(axes);
	late_space_free(s);
	return RAG_ENOMEM;
}

void late_space_free(struct late_space *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < PANELS; i++)
		mem_free(s->axes[i]);
	mem_free(s->mean);
	mem_free(s);
}

/* out: (n, LATE_DIM) unit vectors; 0 for a token that is 0 or the mean; n <= TILE.
 * bytes: (TILE, padded) and own: (dim) are scratch. */
static int project(float *out, const struct late_space *s, uint8_t *bytes, float *own, const float *x, size_t n)
{
	struct kern8_row row[TILE];
	double inverse;

	for (size_t t = 0; t < n; t++, x += s->dim) {
		if (!length_of(&inverse, x, s->dim))
			return not_finite(t);
		/* the mean is most of a token: it goes before rounding */
		for (size_t d = 0; d < s->dim; d++)
			own[d] = inverse > 0 ? x[d] * (float)inverse - s->mean[d] : 0;
		s->kern->row8(bytes + t * s->padded, &row[t], own, NULL, s->dim);
	}
	for (size_t i = 0; i < PANELS; i++)
		s->kern->gemm8(out + i * KERN8_PANEL, LATE_DIM, bytes, s->padded, row, s->axes[i], n,
			       KERN8_PANEL, s->dim, NULL);
	for (size_t t = 0; t < n; t++, out += LATE_DIM) {
		if (!length_of(&inverse, out, LATE_DIM))
			return not_finite(t);
		for (size_t i = 0; i < LATE_DIM; i++)
			out[i] = (float)(out[i] * inverse);
	}
	return RAG_OK;
}

/* fn gets the projected tokens, a tile at a time. */
static int project_all(const struct late_space *s, const float *x, size_t n,
		       int (*fn)(void *arg, const float *y, size_t at, size_t n), void *arg)
{
	uint8_t *bytes = mem_aligned(64, TILE * s->padded);
	float *own = mem_alloc(s->dim * sizeof(*own)), y[TILE * LATE_DIM];
	int rc = bytes && own ? RAG_OK : RAG_ENOMEM;

	for (size_t at = 0; !rc && at < n; at += TILE) {
		size_t some = n - at < TILE ? n - at : TILE;

		rc = project(y, s, bytes, own, x + at * s->dim, some);
		if (!rc)
			rc = fn(arg, y, at, some);
	}
	mem_free(bytes);
	mem_free(own);
	return rc;
}

/* ---- a passage's tokens: their scales as fp16, then their numbers ----------------- */

struct packing {
	const struct kern *kern;
	uint8_t *scales, *numbers;
};

static void pack_token(float *scale, uint8_t *out, const float *y)
{
	float most = 0;
	int square = 0;

	for (size_t i = 0; i < LATE_DIM; i++)
		most = fmaxf(most, fabsf(y[i]));
	most = most > 0 ? LEVEL / most : 0;
	for (size_t i = 0; i < LATE_DIM / 2; i++) {
		int low = (int)rintf(y[i] * most), high = (int)rintf(y[i + LATE_DIM / 2] * most);

		out[i] = (uint8_t)((low + ZERO) | (high + ZERO) << 4);
		square += low * low + high * high;
	}
	*scale = square ? (float)(1 / sqrt(square)) : 0;
}

static int pack_tile(void *arg, const float *y, size_t at, size_t n)
{
	const struct packing *p = arg;

	for (size_t t = 0; t < n; t++) {
		uint16_t half;
		float scale;

		pack_token(&scale, p->numbers + (at + t) * LATE_DIM / 2, y + t * LATE_DIM);
		p->kern->f32_to_f16(&half, &scale, 1);
		p->scales[2 * (at + t)] = (uint8_t)half;
		p->scales[2 * (at + t) + 1] = (uint8_t)(half >> 8);
	}
	return RAG_OK;
}

int late_tokens(struct buf *out, const struct late_space *s, const float *x, size_t n)
{
	struct packing p = { .kern = s->kern };
	int rc = buf_reserve(out, n * LATE_TOKEN);

	if (rc)
		return rc;
	p.scales = (uint8_t *)out->data + out->len;
	p.numbers = p.scales + 2 * n;
	rc = project_all(s, x, n, pack_tile, &p);
	if (!rc)
		out->len += n * LATE_TOKEN;
	return rc;
}

bool late_tokens_valid(const void *p, size_t n)
{
	(void)p;
	return n && n % LATE_TOKEN == 0;
}

static void unpack(uint8_t *out, const uint8_t *in, size_t n)
{
	for (size_t t = 0; t < n; t++, in += LATE_DIM / 2, out += LATE_DIM)
		for (size_t i = 0; i < LATE_DIM / 2; i++) {
			out[i] = in[i] & 15;
			out[i + LATE_DIM / 2] = in[i] >> 4;
		}
}

/* ---- a question ------------------------------------------------------------------ */

struct late_query {
	const struct kern *kern;
	size_t n, n_panels;
	double weight;			/* of all */
	float *weights;			/* owned (n) */
	struct kern8_panel **panel;	/* owned (n_panels), as each of them: tokens by LATE_DIM */
	float *best;			/* owned (n) */
};

static int add_panel(struct late_query *q, const float *y, size_t n)
{
	struct kern8_panel *p = mem_aligned(64, kern8_panel_bytes(LATE_DIM));

	if (!p)
		return RAG_ENOMEM;
	q->panel[q->n_panels++] = p;
	q->kern->pack8(p, y, LATE_DIM, NULL, n, LATE_DIM);
	return RAG_OK;
}

static int query_tile(void *arg, const float *y, size_t at, size_t n)
{
	int rc = RAG_OK;

	(void)at;
	for (size_t t = 0; !rc && t < n; t += KERN8_PANEL)
		rc = add_panel(arg, y + t * LATE_DIM, n - t < KERN8_PANEL ? n - t : KERN8_PANEL);
	return rc;
}

int late_query_new(struct late_query **out, struct store_snap *v, const float *x, const float *weight,
		   size_t n)
{
	struct store_generation g;
	struct late_space *s = NULL;
	struct late_query *q = NULL;
	const void *p;
	size_t len;
	int rc = store_generation(&g, v);

	*out = NULL;
	if (!rc)
		rc = store_space(&p, &len, v);
	if (rc || !n)
		return rc == RAG_ENOENT ? RAG_OK : rc;
	rc = late_space_new(&s, p, len, g.dim);
	if (rc)
		return rc;
	q = mem_calloc(1, sizeof(*q));
	if (!q) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	q->kern = s->kern;
	q->n = n;
	q->weights = mem_dup(weight, n * sizeof(*weight));
	q->panel = mem_calloc((n + KERN8_PANEL - 1) / KERN8_PANEL, sizeof(*q->panel));
	q->best = mem_calloc(n, sizeof(*q->best));
	rc = q->weights && q->panel && q->best ? project_all(s, x, n, query_tile, q) : RAG_ENOMEM;
	if (rc)
		goto fail;
	for (size_t i = 0; i < n; i++)
		q->weight += (double)weight[i];
	late_space_free(s);
	*out = q;
	return RAG_OK;
fail:
	late_space_free(s);
	late_query_free(q);
	return rc;
}

void late_query_free(struct late_query *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < q->n_panels; i++)
		mem_free(q->panel[i]);
	mem_free(q->panel);
	mem_free(q->weights);
	mem_free(q->best);
	mem_free(q);
}

/* The best of n <= TILE tokens for each of the question's, into q->best. */
static void match_tile(const struct late_query *q, const uint8_t *bytes, const struct kern8_row *row, size_t n)
{
	float y[TILE * KERN8_PANEL];

	for (size_t i = 0; i < q->n_panels; i++) {
		size_t at = i * KERN8_PANEL, some = q->n - at < KERN8_PANEL ? q->n - at : KERN8_PANEL;

		q->kern->gemm8(y, KERN8_PANEL, bytes, LATE_DIM, row, q->panel[i], n, some, LATE_DIM, NULL);
		for (size_t t = 0; t < n; t++)
			for (size_t j = 0; j < some; j++)
				if (y[t * KERN8_PANEL + j] > q->best[at + j])
					q->best[at + j] = y[t * KERN8_PANEL + j];
	}
}

static float score(const struct late_query *q, const uint8_t *p, size_t n)
{
	_Alignas(64) uint8_t bytes[TILE * LATE_DIM];
	struct kern8_row row[TILE];
	const uint8_t *numbers = p + 2 * n;
	double sum = 0;

	for (size_t i = 0; i < q->n; i++)
		q->best[i] = 0;
	for (size_t at = 0; at < n; at += TILE) {
		size_t some = n - at < TILE ? n - at : TILE;

		unpack(bytes, numbers + at * LATE_DIM / 2, some);
		for (size_t t = 0; t < some; t++) {
			const uint8_t *h = p + 2 * (at + t);
			uint16_t half = (uint16_t)(h[0] | h[1] << 8);

			q->kern->f16_to_f32(&row[t].scale, &half, 1);
			row[t].zero = ZERO;
		}
		match_tile(q, bytes, row, some);
	}
	for (size_t i = 0; i < q->n; i++)
		sum += (double)q->weights[i] * (double)q->best[i] * (double)q->best[i];
	return q->weight > 0 ? (float)(sum / q->weight) : 0;
}

int late_scores(float *out, struct store_snap *v, const struct late_query *q, const uint64_t *chunks,
		size_t n)
{
	const void *p;
	size_t len;

	for (size_t i = 0; i < n; i++) {
		int rc = q ? store_tokens(&p, &len, v, chunks[i]) : RAG_ENOENT;

		out[i] = NAN;
		if (rc == RAG_ENOENT)
			continue;
		if (rc)
			return rc;
		if (!late_tokens_valid(p, len))
			return err_set(RAG_ECORRUPT, "the token vectors of chunk %llu are %zu bytes",
				       (unsigned long long)chunks[i], len);
		out[i] = score(q, p, len / LATE_TOKEN);
	}
	return RAG_OK;
}
