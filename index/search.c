#include "config.h"
#include "index/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "index/codec.h"
#include "index/ranges.h"
#include "index/vectors.h"

struct dense {
	struct store_snap *snap;
	const struct filter *filter;
	struct ranges allowed;		/* used if filter */
	struct ranges hidden;
	struct vectors_scan *scan;
	struct search_hits *hits;
	struct buf text;
};

static int allow(void *arg, const struct store_doc *d)
{
	struct dense *q = arg;
	struct store_range r;
	int rc;

	if (!d->n_chunks || !filter_match(q->filter, d))
		return RAG_OK;
	rc = store_content_range(&r, q->snap, d->content);
	return rc ? rc : ranges_add(&q->allowed, r);
}

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

/* Rows [from, to) but those that are hidden, in runs as long as they are. */
static int scan_rows(struct dense *q, const struct store_block *b, uint32_t from, uint32_t to)
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
			rc = vectors_add(q->scan, b->ids + 8 * (size_t)from,
					 b->rows + (size_t)from * 2 * b->dim, stop - from);
		from = next;
	}
	return rc;
}

static int scan_block(void *arg, const struct store_block *b)
{
	struct dense *q = arg;
	uint64_t first = codec_get64(b->ids), last = codec_get64(b->ids + 8 * ((size_t)b->n - 1));
	uint32_t row = 0;
	int rc = RAG_OK;

	if (!q->filter)
		return scan_rows(q, b, 0, b->n);
	for (size_t i = ranges_from(&q->allowed, first); !rc && i < q->allowed.n; i++) {
		uint32_t to;

		if (q->allowed.r[i].first > last)
			break;
		row = row_of(b, row, q->allowed.r[i].first);
		to = row_of(b, row, q->allowed.r[i].end);
		rc = scan_rows(q, b, row, to);
		row = to;
	}
	return rc;
}

/* The lowest document that passes, copied into the hit. */
static int name_hit(void *arg, const struct store_doc *d)
{
	struct dense *q = arg;
	struct search_hit *h = &q->hits->hit[q->hits->n];

	if (!filter_match(q->filter, d))
		return 0;
	h->doc = d->id;
	h->uri = mem_strdup(d->uri);
	h->title = mem_strdup(d->title);
	return h->uri && h->title ? 1 : RAG_ENOMEM;
}

static void hit_release(struct search_hit *h)
{
	mem_free(h->uri);
	mem_free(h->title);
	mem_free(h->heading);
	mem_free(h->text);
}

static int copy_hit(struct dense *q, const struct vectors_hit *best)
{
	struct search_hit *h = &q->hits->hit[q->hits->n];
	struct store_chunk c;
	int rc = store_chunk(&c, q->snap, best->id);

	if (rc == RAG_ENOENT)
		return err_set(RAG_ECORRUPT, "vector of chunk %llu, which is none", (unsigned long long)best->id);
	if (rc)
		return rc;
	h->chunk = c.id;
	h->content = c.content;
	h->start = c.start;
	h->end = c.end;
	h->page = c.page;
	h->line = c.line;
	h->score = fminf(1, fmaxf(-1, best->score));	/* fp16 rows are of unit length only nearly */
	rc = store_content_docs(q->snap, c.content, name_hit, q);
	if (!rc)
		rc = err_set(RAG_ECORRUPT, "chunk %llu belongs to no document", (unsigned long long)best->id);
	if (rc < 0)
		goto fail;
	buf_clear(&q->text);
	rc = store_text(&q->text, q->snap, c.content, c.start, c.end);
	if (rc)
		goto fail;
	h->heading = mem_strndup(c.heading, c.heading_len);
	h->text = mem_strndup(buf_str(&q->text), q->text.len);
	h->text_len = q->text.len;
	if (!h->heading || !h->text) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	q->hits->n++;
	return RAG_OK;
fail:
	hit_release(h);
	return rc;
}

/* query, at unit length */
static int unit(float **out, const float *query, size_t dim)
{
	double sum = 0;
	float *v;

	for (size_t i = 0; i < dim; i++)
		sum += (double)query[i] * query[i];
	if (!(sum > 0) || !isfinite(sum))
		return err_set(RAG_EINVAL, "the query's vector is %s", sum == 0 ? "all zeros" : "not finite");
	v = mem_alloc(dim * sizeof(*v));
	if (!v)
		return RAG_ENOMEM;
	sum = 1 / sqrt(sum);
	for (size_t i = 0; i < dim; i++)
		v[i] = (float)(query[i] * sum);
	*out = v;
	return RAG_OK;
}

int search_dense(struct search_hits **out, struct store *s, const float *query, size_t dim,
		 size_t k, const struct filter *f)
{
	struct dense q = { .filter = f, .text = BUF_INIT };
	struct store_generation g;
	const struct vectors_hit *best;
	float *v = NULL;
	size_t n = 0;
	int rc;

	*out = NULL;
	if (k < 1 || k > SEARCH_K_MAX)
		return err_set(RAG_EINVAL, "%zu hits wanted, 1 to %u are possible", k, SEARCH_K_MAX);
	rc = unit(&v, query, dim);
	if (!rc)
		rc = store_snap(&q.snap, s);
	if (rc)
		goto fail;
	rc = RAG_ENOMEM;
	q.hits = mem_calloc(1, sizeof(*q.hits));
	if (!q.hits)
		goto fail;
	rc = store_generation(&g, q.snap);
	if (!rc && g.dim && g.dim != dim)
		rc = err_set(RAG_EMISMATCH, "a query of %zu dimensions for a store of %u ('%s')", dim, g.dim,
			     g.embedder);
	if (!rc && f)
		rc = store_docs(q.snap, allow, &q);
	ranges_settle(&q.allowed);
	if (!rc)
		rc = store_hidden(&q.hidden.r, &q.hidden.n, q.snap);
	if (!rc)
		rc = vectors_new(&q.scan, v, dim, k);
	if (!rc && g.dim && (!f || q.allowed.n))
		rc = store_blocks(q.snap, scan_block, &q);
	if (rc)
		goto fail;
	best = vectors_best(q.scan, &n);
	q.hits->hit = mem_calloc(n, sizeof(*q.hits->hit));
	if (!q.hits->hit)
		rc = RAG_ENOMEM;
	for (size_t i = 0; !rc && i < n; i++)
		rc = copy_hit(&q, &best[i]);
fail:
	store_snap_end(q.snap);
	vectors_free(q.scan);
	ranges_release(&q.allowed);
	ranges_release(&q.hidden);
	mem_free(v);
	buf_release(&q.text);
	if (rc)
		search_hits_free(q.hits);
	else
		*out = q.hits;
	return rc;
}

void search_hits_free(struct search_hits *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->n; i++)
		hit_release(&h->hit[i]);
	mem_free(h->hit);
	mem_free(h);
}
