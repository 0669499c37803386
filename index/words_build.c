#include "config.h"
#include "index/words_build.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "index/analyze.h"
#include "index/words_block.h"

struct entry {			/* a term met */
	uint32_t at, n;		/* of its bytes */
	uint32_t hash;
	uint32_t count;		/* occurrences; then where they begin */
	uint32_t next;		/* of the same bucket, number + 1; 0: none */
	uint32_t row, place;	/* of the last occurrence */
};

struct occurrence {
	uint32_t term, row, place;
};

struct words_build {
	struct analyze *a;		/* owned */
	struct buf bytes;		/* of the terms */
	struct buf entries;		/* struct entry */
	struct buf occurrences;		/* struct occurrence, by row, then place */
	struct buf chunks;		/* uint64_t id, uint64_t words that count */
	uint32_t *bucket;		/* (n_buckets) owned */
	size_t n_buckets;
	uint32_t words;			/* of the chunk */
};

int words_build_new(struct words_build **out, const char *language, bool stop)
{
	struct words_build *b = mem_calloc(1, sizeof(*b));
	int rc = b ? analyze_new(&b->a, language, stop) : RAG_ENOMEM;

	*out = b;
	if (rc) {
		words_build_free(b);
		*out = NULL;
	}
	return rc;
}

void words_build_free(struct words_build *b)
{
	if (!b)
		return;
	words_build_clear(b);
	analyze_free(b->a);
	mem_free(b);
}

void words_build_clear(struct words_build *b)
{
	buf_release(&b->bytes);
	buf_release(&b->entries);
	buf_release(&b->occurrences);
	buf_release(&b->chunks);
	mem_free(b->bucket);
	b->bucket = NULL;
	b->n_buckets = 0;
}

static struct entry *entries(const struct words_build *b)
{
	return (struct entry *)(void *)b->entries.data;
}

static size_t n_entries(const struct words_build *b)
{
	return b->entries.len / sizeof(struct entry);
}

static uint32_t hash_of(const char *s, size_t n)
{
	uint32_t h = 2166136261u;	/* FNV-1a */

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return h ^ h >> 15;
}

static int grow(struct words_build *b)
{
	size_t n = b->n_buckets ? 2 * b->n_buckets : 256;
	uint32_t *p = mem_calloc(n, sizeof(*p));

	if (!p)
		return RAG_ENOMEM;
	for (uint32_t i = 0; i < n_entries(b); i++) {
		struct entry *e = &entries(b)[i];

		e->next = p[e->hash & (n - 1)];
		p[e->hash & (n - 1)] = i + 1;
	}
	mem_free(b->bucket);
	b->bucket = p;
	b->n_buckets = n;
	return RAG_OK;
}

/* The number of a term; it may be new. */
static int number_of(uint32_t *out, struct words_build *b, const char *s, size_t n)
{
	uint32_t h = hash_of(s, n);
	struct entry e = { .at = (uint32_t)b->bytes.len, .n = (uint32_t)n, .hash = h };
	int rc = RAG_OK;

	if (n_entries(b) >= b->n_buckets)
		rc = grow(b);
	if (rc)
		return rc;
	for (uint32_t i = b->bucket[h & (b->n_buckets - 1)]; i; i = entries(b)[i - 1].next) {
		const struct entry *x = &entries(b)[i - 1];

		if (x->hash == h && x->n == n && !memcmp(b->bytes.data + x->at, s, n)) {
			*out = i - 1;
			return RAG_OK;
		}
	}
	e.next = b->bucket[h & (b->n_buckets - 1)];
	*out = (uint32_t)n_entries(b);
	rc = buf_add(&b->bytes, s, n);
	if (!rc)
		rc = buf_add(&b->entries, &e, sizeof(e));
	if (!rc)
		b->bucket[h & (b->n_buckets - 1)] = *out + 1;
	return rc;
}

static int note(void *arg, const struct term *t)
{
	struct words_build *b = arg;
	struct occurrence o = { .row = (uint32_t)(b->chunks.len / 16), .place = t->at };
	struct entry *e;
	int rc = number_of(&o.term, b, t->s, t->n);

	if (rc)
		return rc;
	e = &entries(b)[o.term];
	if (e->count && e->row == o.row && e->place == o.place)
		return RAG_OK;		/* an identifier whose stem is its first part's: dnaS */
	e->row = o.row;
	e->place = o.place;
	e->count++;
	b->words += t->kind == TERM_WORD || t->kind == TERM_WHOLE;
	return buf_add(&b->occurrences, &o, sizeof(o));
}

int words_build_add(struct words_build *b, uint64_t id, const struct words_field *f, size_t n)
{
	uint64_t chunk[2] = { id, 0 };
	uint32_t at = 0;
	int rc = RAG_OK;

	b->words = 0;
	for (size_t i = 0; !rc && i < n; i++) {
		rc = analyze_text(b->a, f[i].s, f[i].n, &at, note, b);
		at += WORDS_GAP;
	}
	chunk[1] = b->words;
	return rc ? rc : buf_add(&b->chunks, chunk, sizeof(chunk));
}

/* ---- the block -------------------------------------------------------------------- */

struct sorted {
	const char *s;
	uint32_t n, entry;
};

static int by_bytes(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	int cmp = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);

	return cmp ? cmp : (x->n > y->n) - (x->n < y->n);
}

/* The occurrences of one term, by row, then place. */
static int write_term(struct wblock_writer *w, const struct sorted *t, const struct occurrence *o, size_t n,
		      uint32_t *places)
{
	int rc = wblock_begin(w, t->s, t->n);

	for (size_t i = 0, tf; !rc && i < n; i += tf) {
		for (tf = 0; i + tf < n && o[i + tf].row == o[i].row; tf++)
			places[tf] = o[i + tf].place;
		rc = wblock_posting(w, o[i].row, places, (uint32_t)tf);
	}
	return rc ? rc : wblock_end(w);
}

/* by_term: the occurrences by term, each term's where its entry says. */
static int write_block(struct buf *out, struct words_build *b, const struct sorted *terms,
		       struct occurrence *by_term, uint32_t *places)
{
	const struct occurrence *o = (const void *)b->occurrences.data;
	size_t n = b->occurrences.len / sizeof(*o);
	struct wblock_writer w = { 0 };
	struct entry *e = entries(b);
	uint32_t from = 0;
	int rc = RAG_OK;

	for (size_t i = 0; i < n_entries(b); i++) {
		uint32_t count = e[i].count;

		e[i].count = from;
		from += count;
	}
	for (size_t i = 0; i < n; i++)
		by_term[e[o[i].term].count++] = o[i];
	for (size_t i = 0; !rc && i < b->chunks.len; i += 16) {
		uint64_t chunk[2];

		memcpy(chunk, b->chunks.data + i, sizeof(chunk));
		rc = wblock_chunk(&w, chunk[0], (uint32_t)chunk[1]);
	}
	for (size_t i = 0; !rc && i < n_entries(b); i++) {
		uint32_t t = terms[i].entry;

		from = t ? e[t - 1].count : 0;
		rc = write_term(&w, &terms[i], by_term + from, e[t].count - from, places);
	}
	if (!rc)
		rc = wblock_write(out, &w);
	wblock_writer_release(&w);
	return rc;
}

int words_build_end(struct buf *out, struct words_build *b)
{
	size_t n = n_entries(b), count = b->occurrences.len / sizeof(struct occurrence);
	struct sorted *terms;
	struct occurrence *by_term;
	uint32_t *places;
	int rc = RAG_ENOMEM;

	if (!b->chunks.len)
		return RAG_OK;
	terms = mem_alloc((n + 1) * sizeof(*terms));
	by_term = mem_alloc((count + 1) * sizeof(*by_term));
	places = mem_alloc((count + 1) * sizeof(*places));
	if (terms && by_term && places) {
		for (size_t i = 0; i < n; i++)
			terms[i] = (struct sorted){ b->bytes.data + entries(b)[i].at, entries(b)[i].n,
						    (uint32_t)i };
		if (n)
			qsort(terms, n, sizeof(*terms), by_bytes);
		rc = write_block(out, b, terms, by_term, places);
	}
	mem_free(terms);
	mem_free(by_term);
	mem_free(places);
	words_build_clear(b);
	return rc;
}
