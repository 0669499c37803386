#include "config.h"
#include "index/retrieve.h"

#include <math.h>

#include "base/err.h"
#include "base/mem.h"
#include "index/dense.h"
#include "index/vectors.h"

void retrieve_count(struct retriever *r)
{
	tally_clear(&r->tally);
}

int retrieve_share(bool *take, struct retriever *r, uint64_t chunk)
{
	struct store_chunk c;
	size_t seen;
	int rc;

	*take = true;
	if (!r->per_document)
		return RAG_OK;
	rc = store_chunk(&c, r->snap, chunk);
	if (rc == RAG_ENOENT)
		return err_set(RAG_ECORRUPT, "chunk %llu is listed and is none", (unsigned long long)chunk);
	if (!rc)
		rc = tally_add(&seen, &r->tally, c.content);
	*take = !rc && seen <= r->per_document;
	return rc;
}

/* n at most, best first.  The caller frees *ids. */
static int best_of(uint64_t **ids, size_t *got, struct retriever *r, enum retriever_list list,
		   const struct wording *w, size_t n)
{
	struct vectors_hit *near = NULL;
	struct words_hit *words = NULL;
	int rc;

	*ids = NULL;
	*got = 0;
	if (list == LIST_DENSE) {
		rc = dense_search(&near, got, r->snap, w->vector, r->dim, n, r->allowed);
	} else {
		words = mem_realloc(NULL, n, sizeof(*words));
		rc = words ? words_search(words, got, w->words, n, r->allowed) : RAG_ENOMEM;
	}
	if (!rc)
		*ids = mem_realloc(NULL, *got ? *got : 1, sizeof(**ids));
	if (!rc && !*ids)
		rc = RAG_ENOMEM;
	for (size_t i = 0; !rc && i < *got; i++)
		(*ids)[i] = near ? near[i].id : words[i].id;
	mem_free(near);
	mem_free(words);
	return rc;
}

int retrieve(struct pool *p, struct retriever *r, enum retriever_list list, const struct wording *w)
{
	size_t ask = r->per_document ? 2 * r->depth : r->depth;

	if (list == LIST_DENSE ? !w->vector : !w->words)
		return RAG_OK;
	for (;; ask *= 4) {	/* further down where chunks of the same documents take the places */
		uint32_t taken = 0;
		uint64_t *ids;
		size_t got;
		int rc = best_of(&ids, &got, r, list, w, ask);

		retrieve_count(r);
		for (size_t i = 0; !rc && i < got && taken < r->depth; i++) {
			struct cand c = { .chunk = ids[i] };
			bool take;

			rc = retrieve_share(&take, r, ids[i]);
			if (rc || !take)
				continue;
			taken++;
			*(list == LIST_DENSE ? &c.at_dense : &c.at_bm25) = taken;
			rc = pool_add(p, c);
		}
		mem_free(ids);
		if (rc || taken == r->depth || got < ask)
			return rc;
	}
}

static int ids_of(uint64_t **ids, const struct pool *p)
{
	*ids = mem_realloc(NULL, p->n ? p->n : 1, sizeof(**ids));
	for (size_t i = 0; *ids && i < p->n; i++)
		(*ids)[i] = p->c[i].chunk;
	return *ids ? RAG_OK : RAG_ENOMEM;
}

int retrieve_rows(float **rows, struct pool *p, struct retriever *r)
{
	bool *has = mem_calloc(p->n ? p->n : 1, sizeof(*has));
	uint64_t *ids;
	int rc = ids_of(&ids, p);

	*rows = mem_aligned(64, (p->n * r->dim + 16) * sizeof(**rows));
	if (!has || !*rows)
		rc = RAG_ENOMEM;
	if (!rc)
		rc = dense_rows(*rows, has, r->snap, r->dim, ids, p->n);
	for (size_t i = 0; !rc && i < p->n; i++)
		p->c[i].row = has[i] ? i : CAND_NO_ROW;
	mem_free(ids);
	mem_free(has);
	return rc;
}

static int word_scores(struct pool *p, struct words_query *words)
{
	float *score = mem_realloc(NULL, p->n ? p->n : 1, sizeof(*score));
	uint64_t *ids;
	int rc = ids_of(&ids, p);

	if (!score)
		rc = RAG_ENOMEM;
	if (!rc)
		rc = words_scores(score, words, ids, p->n);
	for (size_t i = 0; !rc && i < p->n; i++)
		p->c[i].bm25 = score[i];
	mem_free(ids);
	mem_free(score);
	return rc;
}

int retrieve_scores(struct pool *p, struct retriever *r, const struct wording *w, const float *rows)
{
	for (size_t i = 0; w->vector && i < p->n; i++) {
		struct cand *c = &p->c[i];

		if (c->row != CAND_NO_ROW)	/* fp16 rows are of unit length only nearly */
			c->cosine = fminf(1, fmaxf(-1, vectors_score(w->vector, rows + c->row * r->dim,
								     r->dim)));
	}
	return w->words ? word_scores(p, w->words) : RAG_OK;
}
