#include "config.h"
#include "index/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "index/dense.h"
#include "index/hits.h"
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
	float *rows;			/* (pool.n, dim) the candidates' vectors, owned */
	struct search_hits *hits;
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
	int rc;

	mem_free(q->rows);
	q->rows = mem_aligned(64, (p->n * q->dim + 16) * sizeof(*q->rows));
	rc = ids && has && q->rows ? RAG_OK : RAG_ENOMEM;
	for (size_t i = 0; !rc && i < p->n; i++)
		ids[i] = p->c[i].chunk;
	if (!rc)
		rc = dense_rows(q->rows, has, q->snap, q->dim, ids, p->n);
	for (size_t i = 0; !rc && i < p->n; i++) {
		p->c[i].row = i;
		if (has[i])	/* fp16 rows are of unit length only nearly */
			p->c[i].cosine = fminf(1, fmaxf(-1, vectors_score(q->vector, q->rows + i * q->dim,
									  q->dim)));
	}
	mem_free(ids);
	mem_free(has);
	return rc;
}

/* ---- the choice ------------------------------------------------------------------- */

/* Moves the best k to the front, no more of a document than may be. */
static int choose(size_t *n, struct find *q)
{
	int rc = RAG_OK;

	*n = 0;
	tally_clear(&q->tally);
	for (size_t i = 0; !rc && i < q->pool.n && *n < q->o->k; i++) {
		bool take;

		rc = share(&take, q, q->pool.c[i].chunk);
		if (!rc && take)
			q->pool.c[(*n)++] = q->pool.c[i];
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
		q->pool.c[i].score = q->pool.c[i].cosine;
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
	mem_free(q->rows);
}

int search(struct search_hits **out, struct store *s, const struct search_question *sq,
	   const struct search_opts *o)
{
	struct find q = { .o = o, .since = clock_now() };
	size_t n, most = o->extent == SEARCH_SECTIONS ? SEARCH_SECTIONS_MAX : SEARCH_K_MAX;
	int rc;

	*out = NULL;
	if (o->k < 1 || o->k > most)
		return err_set(RAG_EINVAL, "%zu hits wanted, 1 to %zu are possible", o->k, most);
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
	if (!rc && q.vector && o->diversity > 0)
		pool_diversify(&q.pool, SEARCH_DIVERSE, o->diversity, q.rows, q.dim);
	if (!rc)
		rc = choose(&n, &q);
	if (!rc) {
		rc = hits_copy(q.hits, q.snap, o->filter, o->extent, q.pool.c, n);
		stage_end(&q, SEARCH_COPY);
	}
	if (rc)
		search_hits_free(q.hits);
	else
		*out = q.hits;
	find_release(&q);
	return rc;
}
