#include "config.h"
#include "index/search.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "index/hits.h"
#include "index/late.h"
#include "index/pool.h"
#include "index/retrieve.h"

#define DEPTH 200	/* of each list that is fused: against 100, .001 nDCG@10; 500 adds nothing in the end */

/* Late interaction: the first RERANKED, by both scores as parts of their spread. */
#define RERANKED 30
#define LATE_WEIGHT .3f	/* more helps where words decide (covidqa), and hurts where code is found (cosqa) */
#define REREAD_WEIGHT .7f	/* a reranker was trained for this; not measured, as none is to be had here */

/* The second step: what is behind the first KEPT is found anew from the first SEEDS of them,
 * whose words count SEED_WORDS each against the question's 1 (each once, not by its
 * frequency: that is worth .001 nDCG@10, and .02 where two passages are needed). */
#define KEPT 5
#define SEEDS 2
#define SEED_WORDS .2f
#define SECOND_DEPTH 1000	/* of lists; longer ones are not asked for to get the tail right */

struct find {
	const struct search_opts *o;
	struct store_snap *snap;
	struct ranges allowed;		/* used if there is a filter */
	const struct search_question *sq;
	float *vector;			/* (dim) of unit length, owned; NULL: none */
	struct wording w;		/* the question's; words owned */
	struct retriever r;
	float weight;
	struct pool pool;
	float *rows;			/* (n_rows, dim) the candidates' vectors, owned */
	size_t n_rows;
	struct search_hits *hits;
	double since;			/* the stage in hand began */
};

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

static int take_vector(struct find *q)
{
	const struct search_question *sq = q->sq;

	if (!sq->vector || q->o->mode == SEARCH_BM25)
		return RAG_OK;
	q->r.dim = sq->dim;
	q->vector = mem_realloc(NULL, sq->dim, sizeof(*q->vector));
	if (!q->vector)
		return RAG_ENOMEM;
	memcpy(q->vector, sq->vector, sq->dim * sizeof(*q->vector));
	if (!unit(q->vector, sq->dim))
		return err_set(RAG_EINVAL, "the query's vector is all zeros or not finite");
	q->w.vector = q->vector;
	return RAG_OK;
}

/* The question's words, and what is looked for as well. */
static int words_of(struct words_query **out, const struct find *q)
{
	const struct search_question *sq = q->sq;
	int rc = words_query_new(out, q->snap, sq->text, sq->len);

	for (size_t i = 0; !rc && i < sq->n_also; i++)
		rc = words_query_add(*out, sq->also[i].text, sq->also[i].len, sq->also[i].weight);
	return rc;
}

/* A store without words leaves the vectors alone to answer. */
static int take_words(struct find *q)
{
	int rc;

	if (!q->sq->len || q->o->mode == SEARCH_DENSE)
		return RAG_OK;
	rc = words_of(&q->w.words, q);
	return rc == RAG_ENOENT && q->vector ? RAG_OK : rc;
}

static int begin(struct find *q, struct store *s)
{
	const struct search_opts *o = q->o;
	bool fuses = o->mode == SEARCH_HYBRID || o->mode == SEARCH_FUSION;
	int rc = take_vector(q);

	if (!rc)
		rc = store_snap(&q->snap, s);
	if (!rc)
		rc = take_words(q);
	q->weight = o->weight;
	if (!rc && !(o->weight > 0))
		rc = store_weight(&q->weight, q->snap);
	if (!rc && o->filter)
		rc = filter_ranges(&q->allowed, q->snap, o->filter);
	q->r.snap = q->snap;
	q->r.allowed = o->filter ? &q->allowed : NULL;
	q->r.depth = fuses && o->k < DEPTH ? DEPTH : o->k;
	q->r.per_document = o->per_document;
	return rc;
}

static void find_release(struct find *q)
{
	ranges_release(&q->allowed);
	tally_release(&q->r.tally);
	pool_release(&q->pool);
	words_query_free(q->w.words);
	mem_free(q->vector);
	mem_free(q->rows);
	store_snap_end(q->snap);
}

/* The stage that ends here took the time since the last one. */
static void stage_end(struct find *q, enum search_stage stage)
{
	double now = clock_now();

	q->hits->seconds[stage] += now - q->since;
	q->since = now;
}

/* ---- fusion --------------------------------------------------------------------- */

static void order(struct pool *p, const struct wording *w, float weight)
{
	if (w->vector && w->words)
		pool_fuse(p, weight);
	else
		for (size_t i = 0; i < p->n; i++)
			p->c[i].score = w->vector ? p->c[i].cosine : p->c[i].bm25;
}

/* The pool of both lists, with the scores of both for each, in the order of the fused ones. */
static int fuse(struct find *q)
{
	struct pool *p = &q->pool;
	int rc = retrieve(p, &q->r, LIST_DENSE, &q->w);

	stage_end(q, SEARCH_NEAR);
	if (!rc)
		rc = retrieve(p, &q->r, LIST_BM25, &q->w);
	stage_end(q, SEARCH_WORDS);
	pool_settle(p);
	if (!rc && q->vector)
		rc = retrieve_rows(&q->rows, p, &q->r);
	q->n_rows = p->n;
	if (!rc)
		rc = retrieve_scores(p, &q->r, &q->w, q->rows);
	order(p, &q->w, q->weight);
	pool_sort(p);
	for (size_t i = 0; i < p->n; i++)
		p->c[i].at_fused = (uint32_t)i + 1;
	stage_end(q, SEARCH_FUSE);
	return rc;
}

/* ---- the second step -------------------------------------------------------------- */

/* The question and a passage that answers it, as one wording; both parts owned. */
static int wording_from(struct wording *out, float **vector, const struct find *q, const struct cand *c)
{
	struct store_chunk chunk;
	struct buf text = BUF_INIT;
	int rc = RAG_OK;

	if (q->vector && c->row != CAND_NO_ROW) {
		*vector = mem_realloc(NULL, q->r.dim, sizeof(**vector));
		if (!*vector)
			return RAG_ENOMEM;
		for (size_t i = 0; i < q->r.dim; i++)
			(*vector)[i] = q->vector[i] + q->rows[c->row * q->r.dim + i];
		out->vector = unit(*vector, q->r.dim) ? *vector : q->vector;
	}
	if (q->w.words) {
		rc = words_of(&out->words, q);
		if (!rc)
			rc = store_chunk(&chunk, q->snap, c->chunk);
		if (!rc)
			rc = store_text(&text, q->snap, chunk.content, chunk.start, chunk.end);
		if (!rc)
			rc = words_query_add(out->words, text.data, text.len, SEED_WORDS);
	}
	buf_release(&text);
	return rc;
}

/* What seeds lead to, by the sum of their fused scores; with the question's own scores. */
static int find_more(struct pool *more, float **rows, struct find *q, const struct wording *w, size_t n)
{
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < n; i++) {
		rc = retrieve(more, &q->r, LIST_DENSE, &w[i]);
		if (!rc)
			rc = retrieve(more, &q->r, LIST_BM25, &w[i]);
	}
	pool_settle(more);
	if (!rc && q->vector)
		rc = retrieve_rows(rows, more, &q->r);
	for (size_t i = 0; !rc && i < n; i++) {
		rc = retrieve_scores(more, &q->r, &w[i], *rows);
		order(more, &w[i], q->weight);
		for (size_t k = 0; k < more->n; k++)
			more->c[k].gain = i ? more->c[k].gain + more->c[k].score : more->c[k].score;
	}
	if (!rc)
		rc = retrieve_scores(more, &q->r, &q->w, *rows);
	for (size_t k = 0; k < more->n; k++) {
		more->c[k].score = more->c[k].gain;
		more->c[k].at_dense = more->c[k].at_bm25 = 0;	/* of other lists */
	}
	pool_sort(more);
	return rc;
}

static struct cand *find_in(struct pool *p, size_t n, uint64_t chunk)
{
	for (size_t i = 0; i < n; i++)
		if (p->c[i].chunk == chunk)
			return &p->c[i];
	return NULL;
}

/* The first `kept` of the pool, then what more has, then the pool's rest. */
static int refill(struct find *q, size_t kept, struct pool *more, const float *rows)
{
	struct pool *p = &q->pool, out = { 0 };
	size_t dim = q->r.dim, n = q->n_rows;
	float *all = q->rows, part[SECOND_DEPTH * 2 * SEEDS];
	int rc = RAG_OK;

	if (q->vector) {
		all = mem_realloc(NULL, (n + more->n) * dim + 1, sizeof(*all));
		if (!all)
			return RAG_ENOMEM;
		memcpy(all, q->rows, n * dim * sizeof(*all));
		memcpy(all + n * dim, rows, more->n * dim * sizeof(*all));
		mem_free(q->rows);
		q->rows = all;
		q->n_rows = n + more->n;
	}
	pool_parts(part, more, more->n);
	for (size_t i = 0; !rc && i < kept; i++)
		rc = pool_put(&out, &p->c[i]);
	for (size_t i = 0; !rc && i < more->n; i++) {
		struct cand c = more->c[i], *first = find_in(p, p->n, c.chunk);

		if (first && first < p->c + kept)
			continue;
		if (first)
			c = *first;
		else if (c.row != CAND_NO_ROW)
			c.row += n;
		c.score = part[i] / 2;
		rc = pool_put(&out, &c);
	}
	for (size_t i = kept; !rc && i < p->n; i++) {
		struct cand c = p->c[i];

		c.score = 0;
		if (!find_in(more, more->n, c.chunk))
			rc = pool_put(&out, &c);
	}
	if (!rc) {
		struct pool t = *p;

		*p = out;
		out = t;
	}
	pool_release(&out);
	return rc;
}

/* Questions that need two passages find both: the second one resembles the first more than
 * the question. */
static int second_step(struct find *q)
{
	size_t n = q->pool.n < SEEDS ? q->pool.n : SEEDS, kept = q->pool.n < KEPT ? q->pool.n : KEPT;
	struct wording w[SEEDS] = { { NULL, NULL } };
	float *vector[SEEDS] = { NULL }, *rows = NULL;
	struct pool more = { 0 };
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < n; i++)
		rc = wording_from(&w[i], &vector[i], q, &q->pool.c[i]);
	if (!rc)
		rc = find_more(&more, &rows, q, w, n);
	if (!rc)
		rc = refill(q, kept, &more, rows);
	for (size_t i = 0; i < n; i++) {
		words_query_free(w[i].words);
		mem_free(vector[i]);
	}
	mem_free(rows);
	pool_release(&more);
	stage_end(q, SEARCH_SECOND);
	return rc;
}

/* ---- late interaction ---------------------------------------------------------------- */

/* A token counts as much as its word is rare; stop words and punctuation don't. */
static int token_weights(float *out, struct find *q)
{
	const struct search_question *sq = q->sq;
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < sq->tokens.n; i++) {
		struct text_span w = sq->tokens.word[i];

		out[i] = w.end > w.start;
		if (q->w.words && w.end > w.start)
			rc = words_idf(&out[i], q->w.words, sq->text + w.start, w.end - w.start);
	}
	return rc;
}

/* The late scores of the first n, NAN for those without token vectors. */
static int late_of(struct find *q, size_t n)
{
	const struct search_tokens *t = &q->sq->tokens;
	float *weight = mem_realloc(NULL, t->n ? t->n : 1, sizeof(*weight)), score[RERANKED];
	struct late_query *late = NULL;
	uint64_t chunk[RERANKED];
	int rc = weight ? token_weights(weight, q) : RAG_ENOMEM;

	for (size_t i = 0; i < n; i++)
		chunk[i] = q->pool.c[i].chunk;
	if (!rc)
		rc = late_query_new(&late, q->snap, t->x, weight, t->n);
	if (!rc)
		rc = late_scores(score, q->snap, late, chunk, n);
	for (size_t i = 0; !rc && i < n; i++)
		q->pool.c[i].late = score[i];
	late_query_free(late);
	mem_free(weight);
	return rc;
}

/* The same from a reranker, which reads the passages. */
static int reread(struct find *q, size_t n)
{
	struct search_text text[RERANKED];
	struct buf all = BUF_INIT;
	size_t at[RERANKED + 1] = { 0 };
	float score[RERANKED];
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < n; i++) {
		struct store_chunk c;

		rc = store_chunk(&c, q->snap, q->pool.c[i].chunk);
		if (!rc)
			rc = store_text(&all, q->snap, c.content, c.start, c.end);
		at[i + 1] = all.len;
	}
	for (size_t i = 0; i < n; i++)
		text[i] = (struct search_text){ all.data + at[i], at[i + 1] - at[i], 1 };
	if (!rc && n)
		rc = q->o->reranker->score(q->o->reranker->arg, score, text, n);
	for (size_t i = 0; !rc && i < n; i++)
		q->pool.c[i].late = score[i];
	buf_release(&all);
	return rc;
}

/* part: (n) each fused score's place between the least and the greatest.  Becomes the sum
 * with the late score's, by weight; what has no late score keeps its own. */
static void add_late(float *part, const struct pool *p, size_t n, float weight)
{
	float low = INFINITY, high = -INFINITY;

	for (size_t i = 0; i < n; i++) {	/* fminf() passes over a NAN */
		low = fminf(low, p->c[i].late);
		high = fmaxf(high, p->c[i].late);
	}
	for (size_t i = 0; high > low && i < n; i++)
		if (!isnan(p->c[i].late))
			part[i] += weight * ((p->c[i].late - low) / (high - low) - part[i]);
}

static int rerank(struct find *q)
{
	struct pool *p = &q->pool;
	size_t n = p->n < RERANKED ? p->n : RERANKED;
	float part[RERANKED];
	int rc = RAG_OK;

	pool_parts(part, p, n);
	if (!(q->o->skip & SEARCH_SKIP_LATE) && q->o->reranker)
		rc = reread(q, n);
	else if (!(q->o->skip & SEARCH_SKIP_LATE) && q->sq->tokens.n)
		rc = late_of(q, n);
	if (!rc)
		add_late(part, p, n, q->o->reranker ? REREAD_WEIGHT : LATE_WEIGHT);
	for (size_t i = 0; i < p->n; i++)	/* the others stay behind, in their order */
		p->c[i].score = i < n ? (1 + part[i]) / 2 : (float)(p->n - i) / (float)(2 * p->n);
	pool_sort(p);
	stage_end(q, SEARCH_LATE);
	return rc;
}

/* ---- the whole of it ------------------------------------------------------------------ */

static int hybrid(struct find *q)
{
	int rc = rerank(q);

	if (!rc && !(q->o->skip & SEARCH_SKIP_SECOND) && q->r.depth <= SECOND_DEPTH)
		rc = second_step(q);
	pool_falling(&q->pool);
	return rc;
}

/* Moves the best k to the front, no more of a document than may be. */
static int choose(size_t *n, struct find *q)
{
	int rc = RAG_OK;

	*n = 0;
	retrieve_count(&q->r);
	for (size_t i = 0; !rc && i < q->pool.n && *n < q->o->k; i++) {
		bool take;

		rc = retrieve_share(&take, &q->r, q->pool.c[i].chunk);
		if (!rc && take)
			q->pool.c[(*n)++] = q->pool.c[i];
	}
	return rc;
}

static int find(struct find *q, struct store *s)
{
	const struct search_opts *o = q->o;
	size_t n;
	int rc = begin(q, s);

	stage_end(q, SEARCH_FILTER);
	if (!rc)
		rc = fuse(q);
	if (!rc && o->mode == SEARCH_HYBRID)
		rc = hybrid(q);
	if (!rc && q->vector && o->diversity > 0)
		pool_diversify(&q->pool, o->diversity, q->rows, q->r.dim);
	if (!rc)
		rc = choose(&n, q);
	if (!rc)
		rc = hits_copy(q->hits, q->snap, o, o->explain ? q->w.words : NULL, q->pool.c, n);
	stage_end(q, SEARCH_COPY);
	return rc;
}

int search(struct search_hits **out, struct store *s, const struct search_question *sq,
	   const struct search_opts *o)
{
	size_t most = o->extent == SEARCH_SECTIONS ? SEARCH_SECTIONS_MAX : SEARCH_K_MAX;
	struct find q = { .o = o, .sq = sq, .since = clock_now() };
	int rc;

	*out = NULL;
	if (o->k < 1 || o->k > most)
		return err_set(RAG_EINVAL, "%zu hits wanted, 1 to %zu are possible", o->k, most);
	q.hits = mem_calloc(1, sizeof(*q.hits));
	if (!q.hits)
		return RAG_ENOMEM;
	rc = find(&q, s);
	find_release(&q);
	if (rc)
		search_hits_free(q.hits);
	else
		*out = q.hits;
	return rc;
}
