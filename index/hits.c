#include "config.h"
#include "index/hits.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct run {		/* of neighbouring chunks */
	struct store_chunk best;	/* of the best candidate; its pointers live as long as the snapshot */
	const struct cand *cand;
	size_t rank;			/* of the best */
	uint64_t first, last;		/* chunk ids */
	uint64_t start, end;		/* bytes of the text */
	uint32_t page, line;		/* of start */
};

struct copy {
	struct store_snap *snap;
	const struct filter *filter;
	struct words_query *words;	/* NULL: no terms wanted */
	struct search_hits *hits;
	struct buf text;
};

static int chunk_of(struct store_chunk *out, struct store_snap *v, uint64_t id)
{
	int rc = store_chunk(out, v, id);

	return rc == RAG_ENOENT ? err_set(RAG_ECORRUPT, "chunk %llu is listed and is none",
					  (unsigned long long)id) : rc;
}

static int run_of(struct run *out, struct store_snap *v, const struct cand *c, size_t rank)
{
	int rc = chunk_of(&out->best, v, c->chunk);

	out->cand = c;
	out->rank = rank;
	out->first = out->last = c->chunk;
	out->start = out->best.start;
	out->end = out->best.end;
	out->page = out->best.page;
	out->line = out->best.line;
	return rc;
}

/* ---- neighbours ---------------------------------------------------------------- */

static int by_chunk(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static int by_rank(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static size_t join_neighbours(struct run *r, size_t n)
{
	size_t m = 0;

	qsort(r, n, sizeof(*r), by_chunk);
	for (size_t i = 0; i < n; i++) {
		struct run *a = m ? &r[m - 1] : NULL, b = r[i];

		if (!a || b.first != a->last + 1 || b.best.content != a->best.content) {
			r[m++] = b;
			continue;
		}
		a->last = b.last;
		a->end = b.end > a->end ? b.end : a->end;
		if (b.rank < a->rank) {
			a->rank = b.rank;
			a->cand = b.cand;
			a->best = b.best;
		}
	}
	qsort(r, m, sizeof(*r), by_rank);
	return m;
}

/* ---- sections ------------------------------------------------------------------------ */

/* Takes the chunk with that id in if it stands in the same section and there is room. */
static int widen(bool *taken, struct run *r, struct store_snap *v, uint64_t id)
{
	struct store_chunk c;
	uint64_t start, end;
	int rc = store_chunk(&c, v, id);

	*taken = false;
	if (rc == RAG_ENOENT)
		return RAG_OK;
	if (rc || c.content != r->best.content || c.heading_len != r->best.heading_len ||
	    memcmp(c.heading, r->best.heading, c.heading_len))
		return rc;
	start = c.start < r->start ? c.start : r->start;
	end = c.end > r->end ? c.end : r->end;
	if (end - start > SECTION_BYTES)
		return RAG_OK;
	if (c.start < r->start) {
		r->page = c.page;
		r->line = c.line;
	}
	r->start = start;
	r->end = end;
	r->first = id < r->first ? id : r->first;
	r->last = id > r->last ? id : r->last;
	*taken = true;
	return RAG_OK;
}

/* By turns before and behind, so that a section which is too long is shown around the chunk. */
static int section_of(struct run *r, struct store_snap *v)
{
	bool before = true, behind = true;
	int rc = RAG_OK;

	while (!rc && (before || behind)) {
		if (before)
			rc = widen(&before, r, v, r->first - 1);
		if (!rc && behind)
			rc = widen(&behind, r, v, r->last + 1);
	}
	return rc;
}

/* Of sections that several candidates stand in, the first. */
static size_t drop_covered(struct run *r, size_t n)
{
	size_t m = 0;

	for (size_t i = 0; i < n; i++) {
		bool covered = false;

		for (size_t j = 0; j < m && !covered; j++)
			covered = r[j].first <= r[i].cand->chunk && r[i].cand->chunk <= r[j].last;
		if (!covered)
			r[m++] = r[i];
	}
	return m;
}

/* ---- copies ------------------------------------------------------------------------------ */

/* The lowest document that passes, copied into the hit. */
static int name_hit(void *arg, const struct store_doc *d)
{
	struct copy *q = arg;
	struct search_hit *h = &q->hits->hit[q->hits->n];
	bool passes;
	int rc = filter_match(&passes, q->filter, d);

	if (rc || !passes)
		return rc;
	h->doc = d->id;
	h->uri = mem_strdup(d->uri);
	h->title = mem_strdup(d->title);
	return h->uri && h->title ? 1 : RAG_ENOMEM;
}

static int copy_terms(struct search_hit *h, struct words_query *words)
{
	struct words_term *t;
	size_t n;
	int rc = words_terms(&t, &n, words, h->chunk);

	if (rc)
		return rc;
	h->term = mem_calloc(n ? n : 1, sizeof(*h->term));
	if (!h->term)
		rc = RAG_ENOMEM;
	for (size_t i = 0; !rc && i < n; i++) {
		struct search_term *out = &h->term[h->n_terms];

		*out = (struct search_term){ mem_strdup(t[i].text), t[i].idf, t[i].score, t[i].df, t[i].tf };
		if (!out->text)
			rc = RAG_ENOMEM;
		else
			h->n_terms++;
	}
	mem_free(t);
	return rc;
}

static int copy_run(struct copy *q, const struct run *r)
{
	struct search_hit *h = &q->hits->hit[q->hits->n];
	int rc;

	*h = (struct search_hit){
		.chunk = r->best.id, .content = r->best.content, .start = r->start, .end = r->end,
		.page = r->page, .line = r->line, .score = r->cand->score,
		.cosine = r->cand->cosine, .bm25 = r->cand->bm25, .late = r->cand->late,
		.at_dense = r->cand->at_dense, .at_bm25 = r->cand->at_bm25, .at_fused = r->cand->at_fused,
	};
	rc = store_content_docs(q->snap, r->best.content, name_hit, q);
	if (!rc)
		rc = err_set(RAG_ECORRUPT, "chunk %llu belongs to no document", (unsigned long long)r->best.id);
	if (rc < 0)
		goto fail;
	buf_clear(&q->text);
	rc = store_text(&q->text, q->snap, r->best.content, r->start, r->end);
	if (rc)
		goto fail;
	h->heading = mem_strndup(r->best.heading, r->best.heading_len);
	h->text = mem_strndup(buf_str(&q->text), q->text.len);
	h->text_len = q->text.len;
	if (!h->heading || !h->text)
		rc = RAG_ENOMEM;
	if (!rc && q->words)
		rc = copy_terms(h, q->words);
	if (rc)
		goto fail;
	q->hits->n++;
	return RAG_OK;
fail:
	search_hit_release(h);
	return rc;
}

int hits_copy(struct search_hits *h, struct store_snap *v, const struct search_opts *o,
	      struct words_query *words, const struct cand *best, size_t n)
{
	struct copy q = { v, o->filter, words, h, BUF_INIT };
	struct run *r = mem_calloc(n ? n : 1, sizeof(*r));
	int rc = RAG_OK;

	h->hit = mem_calloc(n ? n : 1, sizeof(*h->hit));
	if (!r || !h->hit)
		rc = RAG_ENOMEM;
	for (size_t i = 0; !rc && i < n; i++) {
		rc = run_of(&r[i], v, &best[i], i);
		if (!rc && o->extent == SEARCH_SECTIONS)
			rc = section_of(&r[i], v);
	}
	if (!rc && n && o->extent == SEARCH_MERGED)
		n = join_neighbours(r, n);
	if (!rc && o->extent == SEARCH_SECTIONS)
		n = drop_covered(r, n);
	for (size_t i = 0; !rc && i < n; i++)
		rc = copy_run(&q, &r[i]);
	buf_release(&q.text);
	mem_free(r);
	return rc;
}

void search_hit_release(struct search_hit *h)
{
	for (size_t i = 0; i < h->n_terms; i++)
		mem_free(h->term[i].text);
	mem_free(h->term);
	mem_free(h->uri);
	mem_free(h->title);
	mem_free(h->heading);
	mem_free(h->text);
	memset(h, 0, sizeof(*h));
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
