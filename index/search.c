#include "config.h"
#include "index/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "index/dense.h"
#include "index/pool.h"
#include "index/ranges.h"
#include "index/tally.h"

#define DEPTH 100	/* of each list that is fused: more changes nothing in the first ten */

struct find {
	struct store_snap *snap;
	const struct search_opts *o;
	struct ranges allowed;		/* used if there is a filter */
	float *vector;			/* (dim) of unit length, owned; NULL: none */
	size_t dim;
	struct pool pool;
	struct tally tally;		/* hits of each content, where they are limited */
	struct search_hits *hits;
	struct buf text;
	double since;			/* the stage in hand began */
};

static const struct ranges *allowed(const struct find *q)
{
	return q->o->filter ? &q->allowed : NULL;
}

/* v at unit length, in place; false if it has none. */
static bool unit(float *v, size_t dim)
{
	double sum = 0;

	for (size_t i = 0; i < dim; i++)
		sum += (double)v[i] * v[i];
	if (!(sum > 0) || !isfinite(sum))
		return false;
	sum = 1 / sqrt(sum);
	for (size_t i = 0; i < dim; i++)
		v[i] = (float)(v[i] * sum);
	return true;
}

static int take_vector(struct find *q, const struct search_question *sq)
{
	if (!sq->vector || q->o->mode == SEARCH_BM25)
		return RAG_OK;
	q->dim = sq->dim;
	q->vector = mem_alloc(sq->dim * sizeof(*q->vector));
	if (!q->vector)
		return RAG_ENOMEM;
	memcpy(q->vector, sq->vector, sq->dim * sizeof(*q->vector));
	if (!unit(q->vector, q->dim))
		return err_set(RAG_EINVAL, "the query's vector is all zeros or not finite");
	return RAG_OK;
}

/* The stage that ends here took the time since the last one. */
static void stage_end(struct find *q, enum search_stage stage)
{
	double now = clock_now();

	q->hits->seconds[stage] += now - q->since;
	q->since = now;
}

/* ---- the lists ------------------------------------------------------------------ */

static bool fuses(const struct find *q)
{
	return q->o->mode == SEARCH_HYBRID || q->o->mode == SEARCH_FUSION;
}

static size_t list_depth(const struct find *q)
{
	return fuses(q) && q->o->k < DEPTH ? DEPTH : q->o->k;
}

/* Counts a chunk for its content; *take is false when that has its share already. */
static int share(bool *take, struct find *q, uint64_t chunk)
{
	struct store_chunk c;
	size_t seen;
	int rc;

	*take = true;
	if (!q->o->per_document)
		return RAG_OK;
	rc = store_chunk(&c, q->snap, chunk);
	if (rc == RAG_ENOENT)
		return err_set(RAG_ECORRUPT, "chunk %llu is listed and is none", (unsigned long long)chunk);
	if (!rc)
		rc = tally_add(&seen, &q->tally, c.content);
	*take = !rc && seen <= q->o->per_document;
	return rc;
}

/* A retriever's best chunks: at least n of them where there are as many.  The caller
 * frees *ids. */
typedef int list_fn(struct find *q, uint64_t **ids, size_t *got, size_t n);

/* Puts as many of a list into the pool as its depth says; goes further down where
 * chunks of the same documents take the places. */
static int list(struct find *q, list_fn *fn)
{
	size_t depth = list_depth(q), ask = q->o->per_document ? 2 * depth : depth;

	for (;; ask *= 4) {
		size_t got, taken = 0;
		uint64_t *ids = NULL;
		int rc = fn(q, &ids, &got, ask);

		tally_clear(&q->tally);
		for (size_t i = 0; !rc && i < got && taken < depth; i++) {
			bool take;

			rc = share(&take, q, ids[i]);
			if (!rc && take) {
				rc = pool_add(&q->pool, ids[i]);
				taken++;
			}
		}
		mem_free(ids);
		if (rc || taken == depth || got < ask)
			return rc;
	}
}

static int near(struct find *q, uint64_t **ids, size_t *got, size_t n)
{
	struct vectors_hit *hit;
	int rc = dense_search(&hit, got, q->snap, q->vector, q->dim, n, allowed(q));

	if (!rc)
		*ids = mem_alloc((*got ? *got : 1) * sizeof(**ids));
	if (!rc && !*ids)
		rc = RAG_ENOMEM;
	for (size_t i = 0; !rc && i < *got; i++)
		(*ids)[i] = hit[i].id;
	mem_free(hit);
	return rc;
}

/* ---- scores ---------------------------------------------------------------------- */

/* The vectors of the pool's chunks, which are in order of ids. */
static int score_near(struct find *q)
{
	struct pool *p = &q->pool;
	uint64_t *ids = mem_alloc((p->n ? p->n : 1) * sizeof(*ids));
	bool *has = mem_alloc(p->n ? p->n : 1);
	float *rows = mem_aligned(64, (p->n * q->dim + 16) * sizeof(*rows));
	int rc = ids && has && rows ? RAG_OK : RAG_ENOMEM;

	for (size_t i = 0; !rc && i < p->n; i++)
		ids[i] = p->c[i].chunk;
	if (!rc)
		rc = dense_rows(rows, has, q->snap, q->dim, ids, p->n);
	for (size_t i = 0; !rc && i < p->n; i++)
		if (has[i])
			p->c[i].cosine = vectors_score(q->vector, rows + i * q->dim, q->dim);
	mem_free(ids);
	mem_free(has);
	mem_free(rows);
	return rc;
}

/* ---- copies ------------------------------------------------------------------------ */

/* The lowest document that passes, copied into the hit. */
static int name_hit(void *arg, const struct store_doc *d)
{
	struct find *q = arg;
	struct search_hit *h = &q->hits->hit[q->hits->n];
	bool yes;
	int rc = filter_match(&yes, q->o->filter, d);

	if (rc || !yes)
		return rc;
	h->doc = d->id;
	h->uri = mem_strdup(d->uri);
	h->title = mem_strdup(d->title);
	return h->uri && h->title ? 1 : RAG_ENOMEM;
}

void search_hit_release(struct search_hit *h)
{
	mem_free(h->uri);
	mem_free(h->title);
	mem_free(h->heading);
	mem_free(h->text);
}

static int copy_hit(struct find *q, const struct cand *best)
{
	struct search_hit *h = &q->hits->hit[q->hits->n];
	struct store_chunk c;
	int rc = store_chunk(&c, q->snap, best->chunk);

	if (rc == RAG_ENOENT)
		return err_set(RAG_ECORRUPT, "chunk %llu is listed and is none", (unsigned long long)best->chunk);
	if (rc)
		return rc;
	*h = (struct search_hit){
		.chunk = c.id, .content = c.content, .start = c.start, .end = c.end, .page = c.page,
		.line = c.line, .score = best->score, .cosine = best->cosine, .bm25 = best->bm25,
	};
	rc = store_content_docs(q->snap, c.content, name_hit, q);
	if (!rc)
		rc = err_set(RAG_ECORRUPT, "chunk %llu belongs to no document", (unsigned long long)c.id);
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
	search_hit_release(h);
	return rc;
}

static int copy_hits(struct find *q)
{
	size_t k = q->pool.n < q->o->k ? q->pool.n : q->o->k;
	int rc = RAG_OK;

	q->hits->hit = mem_calloc(k ? k : 1, sizeof(*q->hits->hit));
	if (!q->hits->hit)
		return RAG_ENOMEM;
	tally_clear(&q->tally);
	for (size_t i = 0; !rc && i < q->pool.n && q->hits->n < k; i++) {
		bool take;

		rc = share(&take, q, q->pool.c[i].chunk);
		if (!rc && take)
			rc = copy_hit(q, &q->pool.c[i]);
	}
	return rc;
}

/* ---- the whole of it ------------------------------------------------------------------ */

static int rank(struct find *q)
{
	int rc = RAG_OK;

	if (q->vector)
		rc = list(q, near);
	stage_end(q, SEARCH_NEAR);
	pool_settle(&q->pool);
	if (!rc && q->vector)
		rc = score_near(q);
	for (size_t i = 0; i < q->pool.n; i++)
		q->pool.c[i].score = fminf(1, fmaxf(-1, q->pool.c[i].cosine));	/* fp16 rows are of unit length only nearly */
	pool_sort(&q->pool);
	stage_end(q, SEARCH_FUSE);
	return rc;
}

static void find_release(struct find *q)
{
	store_snap_end(q->snap);
	ranges_release(&q->allowed);
	tally_release(&q->tally);
	pool_release(&q->pool);
	mem_free(q->vector);
	buf_release(&q->text);
}

int search(struct search_hits **out, struct store *s, const struct search_question *sq,
	   const struct search_opts *o)
{
	struct find q = { .o = o, .text = BUF_INIT, .since = clock_now() };
	int rc;

	*out = NULL;
	if (o->k < 1 || o->k > SEARCH_K_MAX)
		return err_set(RAG_EINVAL, "%zu hits wanted, 1 to %u are possible", o->k, SEARCH_K_MAX);
	q.hits = mem_calloc(1, sizeof(*q.hits));
	rc = q.hits ? take_vector(&q, sq) : RAG_ENOMEM;
	if (!rc)
		rc = store_snap(&q.snap, s);
	if (!rc && o->filter)
		rc = filter_ranges(&q.allowed, q.snap, o->filter);
	if (!rc) {
		stage_end(&q, SEARCH_FILTER);
		rc = rank(&q);
	}
	if (!rc) {
		rc = copy_hits(&q);
		stage_end(&q, SEARCH_COPY);
	}
	if (rc)
		search_hits_free(q.hits);
	else
		*out = q.hits;
	find_release(&q);
	return rc;
}

void search_hits_free(struct search_hits *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->n; i++)
		search_hit_release(&h->hit[i]);
	mem_free(h->hit);
	mem_free(h);
}
