#include "config.h"
#include "index/words_block.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define GONE UINT32_MAX

struct merge_source {
	const struct wblock_source *src;
	uint32_t *row;			/* (n) owned; in the new block, or GONE */
	uint32_t t;			/* its next term */
	char term[WBLOCK_TERM_MAX];
	size_t len;			/* of that term; 0: there is none */
};

struct merge_row {
	uint64_t id;
	uint32_t source, row;
};

struct merge_post {
	uint32_t row, tf;
	size_t at;			/* of its places */
};

struct merge {
	struct merge_source *s;		/* (n) owned */
	size_t n;
	size_t *heap;			/* (n_heap) owned; sources, that of the lowest term first */
	size_t n_heap;
	struct wblock_writer w;
	struct merge_post *post;	/* owned; of one term */
	size_t n_post, cap_post;
	uint32_t *place;		/* owned */
	size_t n_place, cap_place;
};

static void merge_release(struct merge *m)
{
	for (size_t i = 0; m->s && i < m->n; i++)
		mem_free(m->s[i].row);
	mem_free(m->s);
	mem_free(m->heap);
	mem_free(m->post);
	mem_free(m->place);
	wblock_writer_release(&m->w);
}

static int malformed(void)
{
	return err_set(RAG_ECORRUPT, "a block of words is malformed");
}

/* ---- rows ---------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
	const struct merge_row *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int merge_rows(struct merge *m)
{
	struct merge_row *all;
	uint64_t total = 0;
	size_t n = 0;
	bool sorted = true;
	int rc = RAG_OK;

	for (size_t i = 0; i < m->n; i++)
		total += m->s[i].src->b.n;
	if (total >= GONE)
		return err_set(RAG_ELIMIT, "too many chunks for one block of words");
	all = mem_alloc((total + 1) * sizeof(*all));
	if (!all)
		return RAG_ENOMEM;
	for (size_t i = 0; !rc && i < m->n; i++) {
		const struct wblock_source *src = m->s[i].src;

		m->s[i].row = mem_alloc((size_t)src->b.n * sizeof(*m->s[i].row));
		if (!m->s[i].row) {
			rc = RAG_ENOMEM;
			break;
		}
		for (uint32_t j = 0; j < src->b.n; j++) {
			uint64_t id = wblock_id(&src->b, j) + src->base;

			m->s[i].row[j] = GONE;
			if (src->drop && src->drop[j])
				continue;
			sorted &= !n || all[n - 1].id < id;
			all[n++] = (struct merge_row){ id, (uint32_t)i, j };
		}
	}
	if (!sorted)
		qsort(all, n, sizeof(*all), by_id);
	for (size_t i = 0; !rc && i < n; i++) {
		struct merge_source *s = &m->s[all[i].source];

		if (i && all[i].id == all[i - 1].id)
			rc = err_set(RAG_ECORRUPT, "the words of chunk %llu come twice",
				     (unsigned long long)all[i].id);
		s->row[all[i].row] = (uint32_t)i;
		if (!rc)
			rc = wblock_chunk(&m->w, all[i].id, wblock_len(&s->src->b, all[i].row));
	}
	mem_free(all);
	return rc;
}

/* ---- terms --------------------------------------------------------------------------- */

static bool below(const struct merge *m, size_t a, size_t b)
{
	const struct merge_source *x = &m->s[a], *y = &m->s[b];
	size_t n = x->len < y->len ? x->len : y->len;
	int cmp = memcmp(x->term, y->term, n);

	return cmp ? cmp < 0 : x->len != y->len ? x->len < y->len : a < b;
}

static void sift_down(struct merge *m)
{
	for (size_t i = 0, c; (c = 2 * i + 1) < m->n_heap; i = c) {
		size_t x;

		if (c + 1 < m->n_heap && below(m, m->heap[c + 1], m->heap[c]))
			c++;
		if (!below(m, m->heap[c], m->heap[i]))
			return;
		x = m->heap[i];
		m->heap[i] = m->heap[c];
		m->heap[c] = x;
	}
}

static void push(struct merge *m, size_t source)
{
	size_t i = m->n_heap++;

	for (; i && below(m, source, m->heap[(i - 1) / 2]); i = (i - 1) / 2)
		m->heap[i] = m->heap[(i - 1) / 2];
	m->heap[i] = source;
}

/* Its next term; false: there is none (len 0), or it is malformed. */
static bool step(struct merge_source *s)
{
	char last[WBLOCK_TERM_MAX];
	size_t last_len = s->len;
	int cmp;

	s->len = 0;
	if (s->t == s->src->b.n_terms)
		return false;
	memcpy(last, s->term, last_len);
	s->len = wblock_term(s->term, &s->src->b, s->t);
	cmp = memcmp(last, s->term, last_len < s->len ? last_len : s->len);
	return s->len && (cmp < 0 || (!cmp && last_len < s->len));
}

/* p with room for n; NULL, and p lives, when there is none. */
static void *room(void *p, size_t *cap, size_t n, size_t size)
{
	size_t want = *cap ? *cap : 256;

	if (n <= *cap)
		return p;
	while (want < n)
		want *= 2;
	p = mem_realloc(p, want, size);
	if (p)
		*cap = want;
	return p;
}

/* The postings of a source's open term, by the new rows. */
static int take(struct merge *m, const struct merge_source *s)
{
	struct wlist l;
	uint32_t n = 0;
	void *p;

	if (!wblock_list(&l, &s->src->b, s->t))
		return malformed();
	while (wlist_next(&l)) {
		uint32_t row = s->row[l.row];

		n++;
		if (l.tf > (size_t)(l.pos_end - l.pos))
			return malformed();
		p = room(m->place, &m->cap_place, m->n_place + l.tf, sizeof(*m->place));
		if (!p)
			return RAG_ENOMEM;
		m->place = p;
		if (!wlist_places(m->place + m->n_place, &l))
			return malformed();
		if (row == GONE)
			continue;
		p = room(m->post, &m->cap_post, m->n_post + 1, sizeof(*m->post));
		if (!p)
			return RAG_ENOMEM;
		m->post = p;
		m->post[m->n_post++] = (struct merge_post){ row, l.tf, m->n_place };
		m->n_place += l.tf;
	}
	return l.bad || n != l.df || l.pos != l.pos_end ? malformed() : RAG_OK;
}

static int by_row(const void *a, const void *b)
{
	const struct merge_post *x = a, *y = b;

	return x->row < y->row ? -1 : x->row > y->row;
}

/* The lowest term of all, from every source that has it. */
static int merge_term(struct merge *m)
{
	struct merge_source *first = &m->s[m->heap[0]];
	char term[WBLOCK_TERM_MAX];
	size_t len = first->len;
	int rc;

	memcpy(term, first->term, len);
	m->n_post = m->n_place = 0;
	rc = wblock_begin(&m->w, term, len);
	while (!rc && m->n_heap) {
		struct merge_source *s = &m->s[m->heap[0]];

		if (s->len != len || memcmp(s->term, term, len))
			break;
		rc = take(m, s);
		s->t++;
		if (!rc && !step(s)) {
			if (s->t < s->src->b.n_terms)
				rc = malformed();
			m->heap[0] = m->heap[--m->n_heap];
		}
		sift_down(m);
	}
	for (size_t i = 1; i < m->n_post; i++)
		if (m->post[i].row < m->post[i - 1].row) {
			qsort(m->post, m->n_post, sizeof(*m->post), by_row);
			break;
		}
	for (size_t i = 0; !rc && i < m->n_post; i++)
		rc = wblock_posting(&m->w, m->post[i].row, m->place + m->post[i].at, m->post[i].tf);
	return rc ? rc : wblock_end(&m->w);
}

int wblock_merge(struct buf *out, const struct wblock_source *src, size_t n)
{
	struct merge m = { .n = n };
	int rc = RAG_OK;

	m.s = mem_calloc(n ? n : 1, sizeof(*m.s));
	m.heap = mem_alloc((n + 1) * sizeof(*m.heap));
	if (!m.s || !m.heap)
		rc = RAG_ENOMEM;
	for (size_t i = 0; !rc && i < n; i++)
		m.s[i].src = &src[i];
	if (!rc)
		rc = merge_rows(&m);
	for (size_t i = 0; !rc && i < n; i++) {
		if (step(&m.s[i]))
			push(&m, i);
		else if (src[i].b.n_terms)
			rc = malformed();
	}
	while (!rc && m.w.n && m.n_heap)
		rc = merge_term(&m);
	if (!rc && m.w.n)
		rc = wblock_write(out, &m.w);
	merge_release(&m);
	return rc;
}
