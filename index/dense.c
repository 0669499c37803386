#include "config.h"
#include "index/dense.h"

#include <string.h>

#include "base/err.h"
#include "base/kern.h"
#include "base/mem.h"
#include "index/codec.h"

/* First row of a block from `from` on whose id is not below id: ids ascend. */
static uint32_t row_of(const struct store_block *b, uint32_t from, uint64_t id)
{
	uint32_t lo = from, hi = b->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (codec_get64(b->ids + 8 * (size_t)mid) < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const uint8_t *row_at(const struct store_block *b, uint32_t row)
{
	return b->rows + (size_t)row * 2 * b->dim;
}

/* ---- the nearest ------------------------------------------------------------ */

struct near {
	const struct ranges *allowed;	/* NULL: all */
	struct ranges hidden;
	struct vectors_scan *scan;
};

/* Rows [from, to) but those that are hidden, in runs as long as they are. */
static int scan_rows(struct near *q, const struct store_block *b, uint32_t from, uint32_t to)
{
	size_t h = from < to ? ranges_from(&q->hidden, codec_get64(b->ids + 8 * (size_t)from)) : 0;
	int rc = RAG_OK;

	while (!rc && from < to) {
		uint32_t stop = to, next = to;

		if (h < q->hidden.n) {
			stop = row_of(b, from, q->hidden.r[h].first);
			next = row_of(b, stop, q->hidden.r[h].end);
			h++;
		}
		stop = stop < to ? stop : to;
		if (from < stop)
			rc = vectors_add(q->scan, b->ids + 8 * (size_t)from, row_at(b, from), stop - from);
		from = next;
	}
	return rc;
}

static int scan_block(void *arg, const struct store_block *b)
{
	struct near *q = arg;
	uint64_t first = codec_get64(b->ids), last = codec_get64(b->ids + 8 * ((size_t)b->n - 1));
	uint32_t row = 0;
	int rc = RAG_OK;

	if (!q->allowed)
		return scan_rows(q, b, 0, b->n);
	for (size_t i = ranges_from(q->allowed, first); !rc && i < q->allowed->n; i++) {
		uint32_t to;

		if (q->allowed->r[i].first > last)
			break;
		row = row_of(b, row, q->allowed->r[i].first);
		to = row_of(b, row, q->allowed->r[i].end);
		rc = scan_rows(q, b, row, to);
		row = to;
	}
	return rc;
}

int dense_search(struct vectors_hit **out, size_t *n, struct store_snap *v, const float *query,
		 size_t dim, size_t k, const struct ranges *allowed)
{
	struct near q = { .allowed = allowed };
	const struct vectors_hit *best;
	struct store_generation g;
	int rc;

	*out = NULL;
	*n = 0;
	rc = store_generation(&g, v);
	if (!rc && g.dim && g.dim != dim)
		rc = err_set(RAG_EMISMATCH, "a query of %zu dimensions for a store of %u ('%s')", dim, g.dim,
			     g.embedder);
	if (rc || !g.dim || (allowed && !allowed->n))
		return rc;
	rc = store_hidden(&q.hidden.r, &q.hidden.n, v);
	if (!rc)
		rc = vectors_new(&q.scan, query, dim, k);
	if (!rc)
		rc = store_blocks(v, scan_block, &q);
	if (!rc) {
		best = vectors_best(q.scan, n);
		*out = mem_alloc((*n ? *n : 1) * sizeof(**out));
		if (!*out)
			rc = RAG_ENOMEM;
		else if (*n)
			memcpy(*out, best, *n * sizeof(**out));
	}
	vectors_free(q.scan);
	ranges_release(&q.hidden);
	return rc;
}

/* ---- given ones ----------------------------------------------------------------- */

struct pick {
	float *rows;
	bool *has;
	size_t dim, n;
	const uint64_t *chunks;
};

static int pick_block(void *arg, const struct store_block *b)
{
	struct pick *p = arg;
	uint64_t first = codec_get64(b->ids), last = codec_get64(b->ids + 8 * ((size_t)b->n - 1));
	size_t i = 0, hi = p->n;
	uint32_t row = 0;

	while (i < hi) {	/* the first chunk that may be in the block */
		size_t mid = i + (hi - i) / 2;

		if (p->chunks[mid] < first)
			i = mid + 1;
		else
			hi = mid;
	}
	for (; i < p->n && p->chunks[i] <= last; i++) {
		row = row_of(b, row, p->chunks[i]);
		if (codec_get64(b->ids + 8 * (size_t)row) != p->chunks[i])
			continue;
		kern_get()->f16_to_f32(p->rows + i * p->dim, (const uint16_t *)(const void *)row_at(b, row),
				       p->dim);
		p->has[i] = true;
	}
	return RAG_OK;
}

int dense_rows(float *rows, bool *has, struct store_snap *v, size_t dim, const uint64_t *chunks, size_t n)
{
	struct pick p = { rows, has, dim, n, chunks };
	struct store_generation g;
	int rc = store_generation(&g, v);

	memset(rows, 0, n * dim * sizeof(*rows));
	memset(has, 0, n * sizeof(*has));
	if (rc || g.dim != dim)
		return rc;
	return store_blocks(v, pick_block, &p);
}
