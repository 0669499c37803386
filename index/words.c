#include "config.h"
#include "index/words.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "index/codec.h"
#include "index/words_query.h"

/* tf / (tf + k1 (1 - b + b len / mean)) is tf / (tf + c0 + c1 len) */
struct saturation {
	float c0, c1;
};

static struct saturation saturation_of(const struct words_query *q)
{
	double mean = q->n && q->words ? (double)q->words / (double)q->n : 1;

	return (struct saturation){ q->set.k1 * (1 - q->set.b), (float)((double)q->set.k1 * q->set.b / mean) };
}

static inline float part(const struct saturation *s, float weight, uint32_t tf, const uint8_t *lens, uint32_t row)
{
	float len = (float)(int32_t)codec_get32(lens + 4 * (size_t)row), f = (float)(int32_t)tf;

	return weight * (f / (f + (s->c0 + s->c1 * len)));
}

static int malformed(void)
{
	return err_set(RAG_ECORRUPT, "a block of words is malformed");
}

/* What weighs in a query: all but stop words, or those where there is nothing else. */
static float weight_of(const struct words_query *q, const struct words_entry *e)
{
	return e->kind == WORDS_STOP && q->n_awake ? 0 : e->weight * e->idf;
}

/* wlist_next() inside out, for steps and numbers of one byte: most of a query's time goes by here. */
static int score_list(float *acc, const struct wblock *b, struct wlist *l, const struct saturation *s,
		      float weight)
{
	const uint8_t *p = l->p, *end = l->end, *lens = b->lens;
	uint32_t row = UINT32_MAX, n = b->n;	/* the first step begins before row 0 */

	while (p < end) {
		uint32_t tf;

		if (end - p > 1 && p[0] < 128 && p[1] < 128 && p[1]) {
			row += p[0] + 1u;
			tf = p[1];
			p += 2;
			if (row >= n)
				return malformed();
		} else {
			l->p = p;
			l->row = row;
			l->begun = row != UINT32_MAX;
			if (!wlist_next(l))
				return malformed();
			p = l->p;
			row = l->row;
			tf = l->tf;
		}
		acc[row] += part(s, weight, tf, lens, row);
	}
	return RAG_OK;
}

/* The scores of all rows of a block, dead ones too, into q->acc; terms in order, so that
 * sums are the same in whatever block a chunk lies. */
static int score_block(bool *any, struct words_query *q, size_t block, const struct saturation *s)
{
	const struct wblock *b = &q->block[block].b;
	struct wlist l;
	int rc = RAG_OK;

	*any = false;
	for (size_t i = 0; !rc && i < q->n_terms; i++) {
		const struct words_entry *e = &q->term[i];
		const struct words_list *list = &e->list[block];
		bool made = e->kind == WORDS_PHRASE || e->kind == WORDS_PREFIX;
		float weight = weight_of(q, e);

		if (weight == 0 || (made ? !list->n : list->term == b->n_terms))
			continue;
		if (!*any)
			memset(q->acc, 0, b->n * sizeof(*q->acc));
		*any = true;
		for (uint32_t j = 0; made && j < list->n; j++)
			q->acc[list->made[j].row] += part(s, weight, list->made[j].tf, b->lens,
							  list->made[j].row);
		if (!made)
			rc = wblock_list(&l, b, list->term) ? score_list(q->acc, b, &l, s, weight) : malformed();
	}
	return rc;
}

/* ---- the best ------------------------------------------------------------------------- */

struct best {
	struct words_hit *hit;	/* (k) a heap, the worst first */
	size_t n, k;
};

static bool worse(const struct words_hit *a, const struct words_hit *b)
{
	return a->score < b->score || (a->score == b->score && a->id > b->id);
}

static void keep(struct best *h, struct words_hit x)
{
	struct words_hit *a = h->hit;
	size_t i, c;

	if (h->n < h->k) {
		for (i = h->n++; i && worse(&x, &a[(i - 1) / 2]); i = (i - 1) / 2)
			a[i] = a[(i - 1) / 2];
		a[i] = x;
		return;
	}
	if (!worse(&a[0], &x))
		return;
	for (i = 0; (c = 2 * i + 1) < h->n; i = c) {
		if (c + 1 < h->n && worse(&a[c + 1], &a[c]))
			c++;
		if (!worse(&a[c], &x))
			break;
		a[i] = a[c];
	}
	a[i] = x;
}

static inline bool eight_reach(const float *acc, float least)
{
	int any = 0;

	for (int i = 0; i < 8; i++)
		any |= acc[i] >= least;
	return any;
}

static void keep_rows(struct best *h, const float *acc, const struct wblock *b, uint32_t from, uint32_t to)
{
	float least = h->n == h->k ? h->hit[0].score : FLT_MIN;

	for (uint32_t i = from; i < to; i++) {
		if (to - i >= 8 && !eight_reach(acc + i, least)) {	/* nearly always */
			i += 7;
			continue;
		}
		if (acc[i] < least)
			continue;
		keep(h, (struct words_hit){ wblock_id(b, i), acc[i] });
		least = h->n == h->k ? h->hit[0].score : FLT_MIN;
	}
}

/* Rows [from, to) but those that are dead. */
static void keep_living(struct best *h, const float *acc, const struct words_block *wb, uint32_t from, uint32_t to)
{
	for (size_t i = 0; i < wb->n_dead && from < to; i++) {
		const struct rows *d = &wb->dead[i];

		if (d->to <= from)
			continue;
		if (d->from >= to)
			break;
		if (d->from > from)
			keep_rows(h, acc, &wb->b, from, d->from);
		from = d->to;
	}
	if (from < to)
		keep_rows(h, acc, &wb->b, from, to);
}

static void keep_block(struct best *h, const struct words_query *q, size_t block, const struct ranges *allowed)
{
	const struct words_block *wb = &q->block[block];
	uint64_t last = wblock_id(&wb->b, wb->b.n - 1);

	if (!allowed) {
		keep_living(h, q->acc, wb, 0, wb->b.n);
		return;
	}
	for (size_t i = ranges_from(allowed, wblock_id(&wb->b, 0)); i < allowed->n; i++) {
		if (allowed->r[i].first > last)
			break;
		keep_living(h, q->acc, wb, wblock_row(&wb->b, allowed->r[i].first),
			    wblock_row(&wb->b, allowed->r[i].end));
	}
}

static bool touches(const struct ranges *allowed, const struct wblock *b)
{
	size_t i = ranges_from(allowed, wblock_id(b, 0));

	return i < allowed->n && allowed->r[i].first <= wblock_id(b, b->n - 1);
}

static int best_first(const void *a, const void *b)
{
	return worse(a, b) ? 1 : worse(b, a) ? -1 : 0;
}

int words_search(struct words_hit *out, size_t *n, struct words_query *q, size_t k, const struct ranges *allowed)
{
	struct best h = { out, 0, k };
	struct saturation s = saturation_of(q);
	bool any;
	int rc = RAG_OK;

	*n = 0;
	if (!k || !q->n_terms)
		return RAG_OK;
	for (size_t i = 0; !rc && i < q->n_blocks; i++) {
		if (allowed && !touches(allowed, &q->block[i].b))
			continue;
		rc = score_block(&any, q, i, &s);
		if (!rc && any)
			keep_block(&h, q, i, allowed);
	}
	if (rc)
		return rc;
	qsort(out, h.n, sizeof(*out), best_first);
	*n = h.n;
	return RAG_OK;
}

/* ---- given chunks --------------------------------------------------------------------- */

/* The row of a visible chunk in a block; b.n: it has none. */
static uint32_t living_row(const struct words_block *wb, uint64_t chunk)
{
	uint32_t row = wblock_row(&wb->b, chunk);

	if (row == wb->b.n || wblock_id(&wb->b, row) != chunk)
		return wb->b.n;
	for (size_t i = 0; i < wb->n_dead; i++)
		if (row >= wb->dead[i].from && row < wb->dead[i].to)
			return wb->b.n;
	return row;
}

int words_scores(float *out, struct words_query *q, const uint64_t *chunks, size_t n)
{
	struct saturation s = saturation_of(q);
	int rc = RAG_OK;

	for (size_t i = 0; i < n; i++)
		out[i] = 0;
	if (!n || !q->n_terms)
		return RAG_OK;
	for (size_t i = 0; !rc && i < q->n_blocks; i++) {
		const struct words_block *wb = &q->block[i];
		uint64_t first = wblock_id(&wb->b, 0), last = wblock_id(&wb->b, wb->b.n - 1);
		bool scored = false, any = true;

		for (size_t j = 0; !rc && any && j < n; j++) {
			uint32_t row = chunks[j] < first || chunks[j] > last ? wb->b.n : living_row(wb, chunks[j]);

			if (row == wb->b.n)
				continue;
			if (!scored)
				rc = score_block(&any, q, i, &s);
			scored = true;
			if (!rc && any)
				out[j] = q->acc[row];
		}
	}
	return rc;
}

static int tf_in(uint32_t *tf, const struct words_entry *e, size_t block, const struct wblock *b, uint32_t row)
{
	const struct words_list *list = &e->list[block];
	struct wlist l;

	*tf = 0;
	if (e->kind == WORDS_PHRASE || e->kind == WORDS_PREFIX) {
		for (uint32_t i = 0; i < list->n; i++)
			if (list->made[i].row == row)
				*tf = list->made[i].tf;
		return RAG_OK;
	}
	if (list->term == b->n_terms)
		return RAG_OK;
	if (!wblock_list(&l, b, list->term))
		return malformed();
	while (wlist_next(&l) && l.row <= row)
		if (l.row == row)
			*tf = l.tf;
	return l.bad ? malformed() : RAG_OK;
}

int words_terms(struct words_term **out, size_t *n, struct words_query *q, uint64_t chunk)
{
	struct words_term *t = mem_calloc(q->n_terms + 1, sizeof(*t));
	struct saturation s = saturation_of(q);
	size_t block;
	uint32_t row = 0;
	int rc = RAG_OK;

	if (!t)
		return RAG_ENOMEM;
	for (block = 0; block < q->n_blocks; block++) {
		row = living_row(&q->block[block], chunk);
		if (row < q->block[block].b.n)
			break;
	}
	for (size_t i = 0; !rc && i < q->n_terms; i++) {
		const struct words_entry *e = &q->term[i];
		bool awake = e->kind != WORDS_STOP || !q->n_awake;

		t[i] = (struct words_term){ e->text, e->kind, awake ? e->weight : 0, e->idf, e->df, 0, 0 };
		if (block < q->n_blocks)
			rc = tf_in(&t[i].tf, e, block, &q->block[block].b, row);
		if (!rc && t[i].tf)
			t[i].score = part(&s, weight_of(q, e), t[i].tf, q->block[block].b.lens, row);
	}
	if (rc) {
		mem_free(t);
		return rc;
	}
	*out = t;
	*n = q->n_terms;
	return RAG_OK;
}
