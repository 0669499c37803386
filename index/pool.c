#include "config.h"
#include "index/pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/kern.h"
#include "base/mem.h"

void pool_release(struct pool *p)
{
	mem_free(p->c);
	memset(p, 0, sizeof(*p));
}

int pool_add(struct pool *p, struct cand cand)
{
	cand.cosine = cand.bm25 = cand.late = NAN;
	cand.row = CAND_NO_ROW;
	return pool_put(p, &cand);
}

int pool_put(struct pool *p, const struct cand *cand)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 256;
		struct cand *c = mem_realloc(p->c, cap, sizeof(*c));

		if (!c)
			return RAG_ENOMEM;
		p->c = c;
		p->cap = cap;
	}
	p->c[p->n++] = *cand;
	return RAG_OK;
}

static int by_chunk(const void *a, const void *b)
{
	const struct cand *x = a, *y = b;

	return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

void pool_settle(struct pool *p)
{
	size_t n = 0;

	if (p->n)
		qsort(p->c, p->n, sizeof(*p->c), by_chunk);
	for (size_t i = 0; i < p->n; i++) {
		struct cand *a = n ? &p->c[n - 1] : NULL, *b = &p->c[i];

		if (!a || a->chunk != b->chunk) {
			p->c[n++] = *b;
			continue;
		}
		a->at_dense = a->at_dense ? a->at_dense : b->at_dense;
		a->at_bm25 = a->at_bm25 ? a->at_bm25 : b->at_bm25;
	}
	p->n = n;
}

static int by_score(const void *a, const void *b)
{
	const struct cand *x = a, *y = b;

	return x->score != y->score ? (x->score > y->score ? -1 : 1) : by_chunk(a, b);
}

void pool_sort(struct pool *p)
{
	if (p->n)
		qsort(p->c, p->n, sizeof(*p->c), by_score);
}

struct spread {
	double mean, deviation;		/* deviation 0: all the same, or none known */
};

static struct spread spread_of(const struct pool *p, size_t member)
{
	struct spread s = { 0, 0 };
	double sum = 0, square = 0;
	size_t n = 0;

	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < p->n; i++) {
			float x;

			memcpy(&x, (const char *)&p->c[i] + member, sizeof(x));
			if (isnan(x))
				continue;
			if (pass)
				square += (x - s.mean) * (x - s.mean);
			else
				sum += x;
			n += !pass;
		}
		if (n && !pass)
			s.mean = sum / (double)n;
	}
	if (n)
		s.deviation = sqrt(square / (double)n);
	return s;
}

static double z(const struct spread *s, float x)
{
	return isnan(x) || !(s->deviation > 0) ? 0 : (x - s->mean) / s->deviation;
}

void pool_fuse(struct pool *p, float weight)
{
	struct spread dense = spread_of(p, offsetof(struct cand, cosine));
	struct spread words = spread_of(p, offsetof(struct cand, bm25));

	for (size_t i = 0; i < p->n; i++)
		p->c[i].score = (float)((double)weight * z(&dense, p->c[i].cosine) +
					(1 - (double)weight) * z(&words, p->c[i].bm25));
}

void pool_parts(float *part, const struct pool *p, size_t n)
{
	float low = INFINITY, high = -INFINITY;

	for (size_t i = 0; i < n; i++) {
		low = fminf(low, p->c[i].score);
		high = fmaxf(high, p->c[i].score);
	}
	for (size_t i = 0; i < n; i++)
		part[i] = high > low ? (p->c[i].score - low) / (high - low) : 1;
}

void pool_falling(struct pool *p)
{
	for (size_t i = 1; i < p->n; i++)
		p->c[i].score = fminf(p->c[i].score, p->c[i - 1].score);
}

void pool_diversify(struct pool *p, float diversity, const float *rows, size_t dim)
{
	const struct kern *k = kern_get();
	size_t n = p->n < POOL_DIVERSE ? p->n : POOL_DIVERSE;
	float part[POOL_DIVERSE];

	pool_parts(part, p, n);
	for (size_t i = 0; i < n; i++) {
		p->c[i].gain = (1 - diversity) * part[i];
		p->c[i].near = 0;
	}
	for (size_t i = 0; i < n; i++) {
		struct cand best;
		size_t at = i;

		for (size_t j = i + 1; j < n; j++)
			if (p->c[j].gain - diversity * p->c[j].near > p->c[at].gain - diversity * p->c[at].near)
				at = j;
		best = p->c[at];
		memmove(p->c + i + 1, p->c + i, (at - i) * sizeof(*p->c));
		p->c[i] = best;
		for (size_t j = i + 1; j < n && best.row != CAND_NO_ROW; j++) {
			float near = p->c[j].row == CAND_NO_ROW ? 0 :
				     k->dot(rows + best.row * dim, rows + p->c[j].row * dim, dim);

			p->c[j].near = near > p->c[j].near ? near : p->c[j].near;
		}
	}
	pool_falling(p);
}
