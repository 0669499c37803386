#include "config.h"
#include "index/vectors.h"

#include <stdbool.h>
#include <stdlib.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"	/* FAISS's header is C++'s at heart */
#include <faiss/c_api/utils/distances_c.h>
#pragma GCC diagnostic pop

#include "base/err.h"
#include "base/kern.h"
#include "base/mem.h"
#include "index/codec.h"

#define SCAN_FLOATS (64u * 1024)	/* decoded at a time: 256 KiB, within the second-level cache */

/* For 2, 4 and 8 dimensions FAISS sums rows in groups of eight and the rest in
 * another order, so that a row's last bits would depend on its neighbours. */
#define FAISS_DIM_MIN 9

struct vectors_scan {
	const struct kern *kern;
	const float *query;		/* borrowed */
	size_t dim, k, batch;
	float *rows;			/* (batch, dim) */
	float *score;			/* (batch) */
	struct vectors_hit *heap;	/* (cap): the worst on top */
	size_t n, cap;
};

int vectors_new(struct vectors_scan **out, const float *query, size_t dim, size_t k)
{
	struct vectors_scan *s = mem_calloc(1, sizeof(*s));

	if (!s)
		return RAG_ENOMEM;
	s->kern = kern_get();
	s->query = query;
	s->dim = dim;
	s->k = k;
	s->batch = dim < SCAN_FLOATS ? SCAN_FLOATS / dim : 1;
	s->rows = mem_aligned(64, s->batch * dim * sizeof(*s->rows));
	s->score = mem_alloc(s->batch * sizeof(*s->score));
	if (!s->rows || !s->score)
		goto fail;
	*out = s;
	return RAG_OK;
fail:
	vectors_free(s);
	return RAG_ENOMEM;
}

void vectors_free(struct vectors_scan *s)
{
	if (!s)
		return;
	mem_free(s->rows);
	mem_free(s->score);
	mem_free(s->heap);
	mem_free(s);
}

static bool worse(const struct vectors_hit *a, const struct vectors_hit *b)
{
	return a->score < b->score || (a->score == b->score && a->id > b->id);
}

static void swap(struct vectors_hit *a, struct vectors_hit *b)
{
	struct vectors_hit t = *a;

	*a = *b;
	*b = t;
}

static void sift_down(struct vectors_hit *h, size_t n)
{
	for (size_t i = 0, c; (c = 2 * i + 1) < n; i = c) {
		if (c + 1 < n && worse(&h[c + 1], &h[c]))
			c++;
		if (!worse(&h[c], &h[i]))
			return;
		swap(&h[c], &h[i]);
	}
}

static int keep(struct vectors_scan *s, struct vectors_hit hit)
{
	if (s->n == s->k) {
		if (worse(&s->heap[0], &hit)) {
			s->heap[0] = hit;
			sift_down(s->heap, s->n);
		}
		return RAG_OK;
	}
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct vectors_hit *p = mem_realloc(s->heap, cap, sizeof(*p));

		if (!p)
			return RAG_ENOMEM;
		s->heap = p;
		s->cap = cap;
	}
	s->heap[s->n] = hit;
	for (size_t i = s->n++; i && worse(&s->heap[i], &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&s->heap[i], &s->heap[(i - 1) / 2]);
	return RAG_OK;
}

/* n rows, each by itself. */
static void score_rows(float *out, const struct kern *k, const float *query, const float *rows,
		       size_t dim, size_t n)
{
	if (dim >= FAISS_DIM_MIN)
		faiss_fvec_inner_products_ny(out, query, rows, dim, n);
	else
		for (size_t i = 0; i < n; i++)
			out[i] = k->dot(query, rows + i * dim, dim);
}

float vectors_score(const float *query, const float *row, size_t dim)
{
	float out;

	score_rows(&out, kern_get(), query, row, dim, 1);
	return out;
}

int vectors_add(struct vectors_scan *s, const uint8_t *ids, const uint8_t *rows, size_t n)
{
	int rc = RAG_OK;

	for (size_t done = 0; !rc && done < n; ) {
		size_t m = n - done < s->batch ? n - done : s->batch;

		s->kern->f16_to_f32(s->rows, (const uint16_t *)(const void *)(rows + done * 2 * s->dim),
				    m * s->dim);
		score_rows(s->score, s->kern, s->query, s->rows, s->dim, m);
		for (size_t i = 0; !rc && i < m; i++)
			if (s->n < s->k || s->score[i] >= s->heap[0].score)
				rc = keep(s, (struct vectors_hit){ s->score[i],
								   codec_get64(ids + 8 * (done + i)) });
		done += m;
	}
	return rc;
}

static int best_first(const void *a, const void *b)
{
	return worse(b, a) ? -1 : worse(a, b);
}

const struct vectors_hit *vectors_best(struct vectors_scan *s, size_t *n)
{
	if (s->n)
		qsort(s->heap, s->n, sizeof(*s->heap), best_first);
	*n = s->n;
	return s->heap;
}
