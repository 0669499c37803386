#include "config.h"
#include "index/words_query.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"

#define PHRASE_MAX 64u		/* words */
#define PREFIX_MIN 2u		/* bytes */
#define PAIRS_FROM 0x0E00u	/* scripts whose lone characters are prefixes of pairs */

/* ---- blocks -------------------------------------------------------------------- */

static int add_block(void *arg, const struct wblock *b)
{
	struct words_query *q = arg;

	if (q->n_blocks == q->cap_blocks) {
		size_t cap = q->cap_blocks ? 2 * q->cap_blocks : 8;
		void *p = mem_realloc(q->block, cap, sizeof(*q->block));

		if (!p)
			return RAG_ENOMEM;
		q->block = p;
		q->cap_blocks = cap;
	}
	q->block[q->n_blocks++] = (struct words_block){ *b, NULL, 0 };
	q->longest = b->n > q->longest ? b->n : q->longest;
	return RAG_OK;
}

/* Which rows are hidden, and what is left. */
static int hide(struct words_query *q, struct words_block *wb, const struct ranges *hidden)
{
	const struct wblock *b = &wb->b;
	uint64_t last = wblock_id(b, b->n - 1);
	size_t first = ranges_from(hidden, wblock_id(b, 0)), n = 0;

	q->n += b->n;
	q->words += b->words;
	for (size_t i = first; i < hidden->n && hidden->r[i].first <= last; i++)
		n++;
	if (!n)
		return RAG_OK;
	wb->dead = mem_alloc(n * sizeof(*wb->dead));
	if (!wb->dead)
		return RAG_ENOMEM;
	for (size_t i = first; i < first + n; i++) {
		struct rows r = { wblock_row(b, hidden->r[i].first), wblock_row(b, hidden->r[i].end) };

		if (r.from == r.to)
			continue;
		wb->dead[wb->n_dead++] = r;
		q->n -= r.to - r.from;
		for (uint32_t j = r.from; j < r.to; j++)
			q->words -= wblock_len(b, j);
	}
	return RAG_OK;
}

static int load(struct words_query *q)
{
	struct ranges hidden = RANGES_INIT;
	int rc = store_wblocks(q->v, add_block, q);

	if (!rc)
		rc = store_words_hidden(&hidden.r, &hidden.n, q->v);
	for (size_t i = 0; !rc && i < q->n_blocks; i++)
		rc = hide(q, &q->block[i], &hidden);
	ranges_release(&hidden);
	if (rc)
		return rc;
	q->acc = mem_alloc(((size_t)q->longest + 1) * sizeof(*q->acc));
	return q->acc ? RAG_OK : RAG_ENOMEM;
}

/* ---- a term in the blocks -------------------------------------------------------- */

static int malformed(void)
{
	return err_set(RAG_ECORRUPT, "a block of words is malformed");
}

static int made_add(struct words_list *l, size_t *cap, struct posting p)
{
	if (l->n == *cap) {
		size_t more = *cap ? 2 * *cap : 16;
		void *made = mem_realloc(l->made, more, sizeof(*l->made));

		if (!made)
			return RAG_ENOMEM;
		l->made = made;
		*cap = more;
	}
	l->made[l->n++] = p;
	return RAG_OK;
}

struct walk {			/* one word of a phrase through a block */
	struct wlist l;
	uint32_t *place;	/* owned, (cap) */
	size_t cap;
	bool open;		/* the places of its row were not read yet */
};

static int walk_next(bool *more, struct walk *w)
{
	if (w->open && !wlist_places(NULL, &w->l))
		return malformed();
	*more = w->open = wlist_next(&w->l);
	return w->l.bad ? malformed() : RAG_OK;
}

static int walk_places(struct walk *w)
{
	if (w->l.tf > (size_t)(w->l.pos_end - w->l.pos))
		return malformed();
	if (w->l.tf > w->cap) {
		void *p = mem_realloc(w->place, w->l.tf, sizeof(*w->place));

		if (!p)
			return RAG_ENOMEM;
		w->place = p;
		w->cap = w->l.tf;
	}
	w->open = false;
	return wlist_places(w->place, &w->l) ? RAG_OK : malformed();
}

static bool has_place(const struct walk *w, uint64_t place)
{
	uint32_t lo = 0, hi = w->l.tf;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (w->place[mid] < place)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->l.tf && w->place[lo] == place;
}

/* All stand at the same row: how often the phrase is there. */
static int count_phrase(uint32_t *tf, const struct words_entry *e, struct walk *w)
{
	int rc = RAG_OK;

	*tf = 0;
	for (size_t i = 0; !rc && i < e->n_parts; i++)
		rc = walk_places(&w[i]);
	for (uint32_t j = 0; !rc && j < w[0].l.tf; j++) {
		size_t i = 1;

		while (i < e->n_parts && has_place(&w[i], (uint64_t)w[0].place[j] + e->part[i].place))
			i++;
		*tf += i == e->n_parts;
	}
	return rc;
}

static int phrase_rows(struct words_list *out, const struct words_entry *e, struct walk *w)
{
	uint32_t row = 0, tf;
	size_t cap = 0, i = 0, same = 0;	/* so many of them stand at row */
	bool more;
	int rc = RAG_OK;

	while (!rc) {
		rc = walk_next(&more, &w[i]);
		while (!rc && more && same && w[i].l.row < row)
			rc = walk_next(&more, &w[i]);
		if (rc || !more)
			break;
		same = same && w[i].l.row == row ? same + 1 : 1;
		row = w[i].l.row;
		if (same == e->n_parts) {
			rc = count_phrase(&tf, e, w);
			if (!rc && tf)
				rc = made_add(out, &cap, (struct posting){ row, tf });
			same = 0;
		}
		i = (i + 1) % e->n_parts;
	}
	return rc;
}

static int find_phrase(struct words_list *out, const struct words_entry *e, const struct wblock *b)
{
	struct walk w[PHRASE_MAX] = { 0 };
	bool all = true;
	int rc = RAG_OK;

	for (size_t i = 0; !rc && all && i < e->n_parts; i++) {
		uint32_t t = wblock_find(b, e->key + e->part[i].at, e->part[i].n);

		all = t < b->n_terms;
		if (all && !wblock_list(&w[i].l, b, t))
			rc = malformed();
	}
	if (!rc && all)
		rc = phrase_rows(out, e, w);
	for (size_t i = 0; i < e->n_parts; i++)
		mem_free(w[i].place);
	return rc;
}

/* All terms that begin so; most[row]: the largest tf of one of them. */
static int prefix_terms(uint32_t *most, const struct wblock *b, const char *key, size_t len)
{
	char term[WBLOCK_TERM_MAX];

	for (uint32_t t = wblock_lower(b, key, len); t < b->n_terms; t++) {
		size_t n = wblock_term(term, b, t);
		struct wlist l;

		if (n < len || memcmp(term, key, len))
			return n ? RAG_OK : malformed();
		if (!wblock_list(&l, b, t))
			return malformed();
		while (wlist_next(&l))
			most[l.row] = l.tf > most[l.row] ? l.tf : most[l.row];
		if (l.bad)
			return malformed();
	}
	return RAG_OK;
}

static int find_prefix(struct words_list *out, const struct words_entry *e, const struct wblock *b)
{
	uint32_t *most = mem_calloc(b->n, sizeof(*most));
	char form[WBLOCK_TERM_MAX] = { ANALYZE_FORM };
	size_t cap = 0;
	int rc = most ? prefix_terms(most, b, e->key, e->len) : RAG_ENOMEM;

	memcpy(form + 1, e->key, e->len);
	if (!rc)
		rc = prefix_terms(most, b, form, e->len + 1);
	for (uint32_t row = 0; !rc && row < b->n; row++)
		if (most[row])
			rc = made_add(out, &cap, (struct posting){ row, most[row] });
	mem_free(most);
	return rc;
}

/* Postings whose rows are not dead.  Rows ascend. */
struct living {
	const struct words_block *wb;
	size_t dead;
	uint64_t n;
};

static void count_living(struct living *c, uint32_t row)
{
	while (c->dead < c->wb->n_dead && c->wb->dead[c->dead].to <= row)
		c->dead++;
	c->n += c->dead == c->wb->n_dead || row < c->wb->dead[c->dead].from;
}

static int find_in(struct words_entry *e, struct words_list *out, const struct words_block *wb)
{
	struct living c = { wb, 0, 0 };
	struct wlist l;
	int rc = RAG_OK;

	if (e->kind == WORDS_PHRASE || e->kind == WORDS_PREFIX) {
		rc = e->kind == WORDS_PHRASE ? find_phrase(out, e, &wb->b) : find_prefix(out, e, &wb->b);
		for (uint32_t i = 0; !rc && i < out->n; i++)
			count_living(&c, out->made[i].row);
		e->df += c.n;
		return rc;
	}
	out->term = wblock_find(&wb->b, e->key, e->len);
	if (out->term == wb->b.n_terms)
		return RAG_OK;
	if (!wblock_list(&l, &wb->b, out->term))
		return malformed();
	if (!wb->n_dead) {
		e->df += l.df;
		return RAG_OK;
	}
	while (wlist_next(&l))
		count_living(&c, l.row);
	e->df += c.n;
	return l.bad ? malformed() : RAG_OK;
}

float words_idf_of(const struct words_query *q, uint64_t df)
{
	return (float)log(1 + ((double)q->n - (double)df + .5) / ((double)df + .5));
}

static int find(struct words_query *q, struct words_entry *e)
{
	int rc = RAG_OK;

	e->list = mem_calloc(q->n_blocks + 1, sizeof(*e->list));
	if (!e->list)
		return RAG_ENOMEM;
	for (size_t i = 0; !rc && i < q->n_blocks; i++)
		rc = find_in(e, &e->list[i], &q->block[i]);
	if (!rc && e->df > q->n)
		rc = malformed();
	e->idf = rc ? 0 : words_idf_of(q, e->df);
	return rc;
}

/* ---- terms --------------------------------------------------------------------------- */

static void entry_release(struct words_entry *e, size_t n_blocks)
{
	for (size_t i = 0; e->list && i < n_blocks; i++)
		mem_free(e->list[i].made);
	mem_free(e->list);
	mem_free(e->key);
	mem_free(e->text);
	mem_free(e->part);
}

static uint32_t hash_of(const struct words_entry *e)
{
	uint32_t h = 2166136261u ^ (uint32_t)e->kind;	/* FNV-1a */

	for (size_t i = 0; i < e->len; i++)
		h = (h ^ (unsigned char)e->key[i]) * 16777619u;
	return h ^ h >> 15;
}

static bool same(const struct words_entry *a, const struct words_entry *b)
{
	return a->kind == b->kind && a->len == b->len && !memcmp(a->key, b->key, a->len) &&
	       a->n_parts == b->n_parts &&
	       (!a->n_parts || !memcmp(a->part, b->part, a->n_parts * sizeof(*a->part)));
}

static int grow(struct words_query *q)
{
	size_t cap = q->cap_terms ? 2 * q->cap_terms : 32;
	void *p = mem_realloc(q->term, cap, sizeof(*q->term));
	uint32_t *bucket;

	if (!p)
		return RAG_ENOMEM;
	q->term = p;
	bucket = mem_calloc(2 * cap, sizeof(*bucket));
	if (!bucket)
		return RAG_ENOMEM;
	q->cap_terms = cap;
	q->n_buckets = 2 * cap;
	mem_free(q->bucket);
	q->bucket = bucket;
	for (size_t i = 0; i < q->n_terms; i++) {
		uint32_t *head = &bucket[hash_of(&q->term[i]) & (q->n_buckets - 1)];

		q->term[i].next = *head;
		*head = (uint32_t)i + 1;
	}
	return RAG_OK;
}

/* One occurrence more of a term, whose strings are only lent. */
static int add_term(struct words_query *q, const struct words_entry *like, const char *text, size_t text_len)
{
	struct words_entry e = *like, *have;
	uint32_t *head;
	int rc = q->n_terms == q->cap_terms ? grow(q) : RAG_OK;

	if (rc)
		return rc;
	head = &q->bucket[hash_of(like) & (q->n_buckets - 1)];
	for (uint32_t i = *head; i; i = q->term[i - 1].next) {
		have = &q->term[i - 1];
		if (same(have, like)) {
			if (!q->round || have->round != q->round)
				have->weight += q->add;
			have->round = q->round;
			return RAG_OK;
		}
	}
	e.key = mem_strndup(like->key, like->len);
	e.text = mem_strndup(text, text_len);
	e.part = like->n_parts ? mem_dup(like->part, like->n_parts * sizeof(*like->part)) : NULL;
	e.weight = q->add;
	e.round = q->round;
	if (!e.key || !e.text || (like->n_parts && !e.part))
		rc = RAG_ENOMEM;
	if (!rc)
		rc = find(q, &e);
	if (rc) {
		entry_release(&e, q->n_blocks);
		return rc;
	}
	e.next = *head;
	q->term[q->n_terms++] = e;
	*head = (uint32_t)q->n_terms;
	q->n_awake += e.kind != WORDS_STOP;
	return RAG_OK;
}

static bool lone_character(const struct term *t)
{
	size_t len;
	uint32_t c = utf8_next(t->s, t->n, &len);

	return c != UTF8_BAD && len == t->n && c >= PAIRS_FROM;
}

static int one_term(void *arg, const struct term *t)
{
	struct words_query *q = arg;
	struct words_entry e = { .kind = WORDS_WORD, .key = (char *)(uintptr_t)t->s, .len = t->n };
	size_t mark = t->kind == TERM_STOP;

	if (t->kind == TERM_FORM)
		return RAG_OK;
	if (t->kind == TERM_STOP)
		e.kind = WORDS_STOP;
	else if (lone_character(t))
		e.kind = WORDS_PREFIX;
	return add_term(q, &e, t->s + mark, t->n - mark);
}

/* ---- phrases and prefixes ---------------------------------------------------------------- */

static int phrase_part(void *arg, const struct term *t)
{
	struct words_query *q = arg;
	struct part *p;

	if (t->kind == TERM_WHOLE || t->kind == TERM_FORM)
		return RAG_OK;
	if (q->phrase.n_parts == PHRASE_MAX)
		return 1;
	if (!q->phrase.n_parts)
		q->phrase_from = t->at;
	p = &q->phrase.part[q->phrase.n_parts++];
	memset(p, 0, sizeof(*p));	/* compared as bytes */
	p->at = q->bytes.len;
	p->n = t->n;
	p->place = t->at - q->phrase_from;
	return buf_add(&q->bytes, t->s, t->n);
}

static int add_phrase(struct words_query *q, const char *s, size_t n)
{
	struct part parts[PHRASE_MAX];
	uint32_t at = 0;
	int rc;

	q->phrase = (struct words_entry){ .kind = WORDS_PHRASE, .part = parts };
	buf_clear(&q->bytes);
	rc = analyze_text(q->a, s, n, &at, phrase_part, q);
	if (rc < 0 || q->phrase.n_parts < 2)
		return rc < 0 ? rc : RAG_OK;
	q->phrase.key = q->bytes.data;
	q->phrase.len = q->bytes.len;
	return add_term(q, &q->phrase, s, n);
}

static int add_prefix(struct words_query *q, const char *s, size_t n)
{
	struct words_entry e = { .kind = WORDS_PREFIX };
	int rc;

	buf_clear(&q->bytes);
	rc = analyze_fold(&q->bytes, q->a, s, n);
	if (rc || !q->bytes.len)
		return rc;
	e.key = q->bytes.data;
	e.len = q->bytes.len;
	return add_term(q, &e, s, n + 1);
}

/* Is the word that ends at i a prefix: "word*", with nothing behind the star that goes on? */
static bool is_prefix(const char *s, size_t n, size_t start, size_t i)
{
	return i - start >= PREFIX_MIN && i < n && s[i] == '*' &&
	       (i + 1 == n || strchr(" \t\r\n\",.;:?!)", s[i + 1]));
}

static int add_words(struct words_query *q, const char *s, size_t n)
{
	size_t from = 0, end;
	uint32_t at = 0;
	bool word;
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < n; i = end) {
		end = analyze_next(s, n, i, &word);
		if (!word || !is_prefix(s, n, i, end))
			continue;
		rc = analyze_text(q->a, s + from, i - from, &at, one_term, q);
		if (!rc)
			rc = add_prefix(q, s + i, end - i);
		from = end;
	}
	return rc ? rc : analyze_text(q->a, s + from, n - from, &at, one_term, q);
}

/* The length of a double quote at s, straight or typographic; 0: there is none. */
static size_t quote_at(const char *s, size_t n)
{
	if (*s == '"')
		return 1;
	if (n >= 3 && (!memcmp(s, "\xe2\x80\x9c", 3) || !memcmp(s, "\xe2\x80\x9d", 3)))
		return 3;
	return 0;
}

static int add_phrases(struct words_query *q, const char *s, size_t n)
{
	size_t open = 0, len;	/* behind the quote that is open; 0: none is */
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < n; i += len ? len : 1) {
		len = quote_at(s + i, n - i);
		if (!len)
			continue;
		if (open)
			rc = add_phrase(q, s + open, i - open);
		open = open ? 0 : i + len;
	}
	return rc;
}

/* ---- query --------------------------------------------------------------------------------- */

int words_query_new(struct words_query **out, struct store_snap *v, const char *text, size_t n)
{
	struct words_query *q = mem_calloc(1, sizeof(*q));
	int rc;

	*out = NULL;
	if (!q)
		return RAG_ENOMEM;
	q->v = v;
	q->add = 1;
	rc = store_words(&q->set, v);
	if (!rc)
		rc = analyze_new(&q->a, q->set.language, q->set.stop);
	if (!rc)
		rc = load(q);
	if (!rc)
		rc = add_words(q, text, n);
	if (!rc)
		rc = add_phrases(q, text, n);
	if (rc)
		words_query_free(q);
	else
		*out = q;
	return rc;
}

int words_query_add(struct words_query *q, const char *text, size_t n, float weight)
{
	uint32_t at = 0;

	q->add = weight;
	q->round++;
	return analyze_text(q->a, text, n, &at, one_term, q);
}

void words_query_free(struct words_query *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < q->n_terms; i++)
		entry_release(&q->term[i], q->n_blocks);
	for (size_t i = 0; i < q->n_blocks; i++)
		mem_free(q->block[i].dead);
	mem_free(q->term);
	mem_free(q->block);
	mem_free(q->bucket);
	mem_free(q->acc);
	buf_release(&q->bytes);
	analyze_free(q->a);
	mem_free(q);
}

struct idf {
	struct words_query *q;
	float most;
	bool any;
};

static int idf_term(void *arg, const struct term *t)
{
	struct idf *job = arg;
	struct words_entry e = { .kind = WORDS_WORD, .key = (char *)(uintptr_t)t->s, .len = t->n };
	int rc;

	if (t->kind == TERM_FORM || t->kind == TERM_STOP)
		return RAG_OK;
	if (lone_character(t))
		e.kind = WORDS_PREFIX;
	rc = find(job->q, &e);
	e.key = NULL;
	entry_release(&e, job->q->n_blocks);
	job->most = job->any && job->most > e.idf ? job->most : e.idf;
	job->any = true;
	return rc;
}

int words_idf(float *out, struct words_query *q, const char *word, size_t n)
{
	struct idf job = { q, 0, false };
	uint32_t at = 0;
	int rc = analyze_text(q->a, word, n, &at, idf_term, &job);

	*out = job.most;
	return rc;
}
