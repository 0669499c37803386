/*
 * Byte-level BPE.  Files write a byte as a printable code point (GPT-2's
 * alphabet); we decode that once, at opening, and work on the text's own
 * bytes.  The pair with the lowest rank is merged first, the leftmost of
 * equals: by looking at all pairs in a short word, by a heap in a long one.
 */
#include "config.h"
#include "model/tok_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "model/gguf.h"

#define SHORT_WORD 64		/* bytes: up to here a scan of all pairs beats the heap */
#define NO_RANK UINT32_MAX
#define BYTES_MIN 200		/* SmolLM2 lacks 6 of the 256; a file that lacks most is broken */

/* GPT-2's alphabet: printable Latin-1 stands for itself, the 68 other bytes
 * are U+0100 .. U+0143 in their order. */
static int byte_of(uint32_t c)
{
	if ((c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF))
		return (int)c;
	if (c < 0x100 || c > 0x143)
		return -1;
	c -= 0x100;
	if (c <= 0x20)
		return (int)c;
	return c == 0x43 ? 0xAD : (int)(0x7F + c - 0x21);
}

/* Nearly all of a vocabulary is ASCII and U+0120, the space. */
static size_t decode(char *out, const char *s, size_t n)
{
	size_t i, len, k = 0;
	int b;

	for (i = 0; i < n; i += len) {
		unsigned char c = (unsigned char)s[i];

		if (c > 0x20 && c < 0x7F) {
			out[k++] = s[i];
			len = 1;
			continue;
		}
		if (c == 0xC4 && n - i > 1 && (unsigned char)s[i + 1] == 0xA0) {
			out[k++] = ' ';
			len = 2;
			continue;
		}
		b = byte_of(utf8_next(s + i, n - i, &len));
		if (b < 0)
			return n + 1;
		out[k++] = (char)b;
	}
	return k;
}

static struct merge *merge_home(const struct tok *t, uint64_t pair)
{
	uint64_t h = pair * 0x9E3779B97F4A7C15u;	/* 2^64 over the golden ratio */

	return &t->merges[(uint32_t)(h >> 32) & t->merge_mask];
}

/* The pair's slot, or the free one where it belongs. */
static struct merge *merge_at(const struct tok *t, uint64_t pair)
{
	struct merge *m = merge_home(t, pair);

	while (m->id1 && m->pair != pair)
		m = m == &t->merges[t->merge_mask] ? t->merges : m + 1;
	return m;
}

static uint64_t pair_of(int32_t left, int32_t right)
{
	return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* The rank of merging two neighbours, and what they become. */
static uint32_t rank_of(const struct tok *t, int32_t left, int32_t right, int32_t *id)
{
	const struct merge *m;

	if (left < 0 || right < 0)
		return NO_RANK;
	m = merge_at(t, pair_of(left, right));
	*id = (int32_t)m->id1 - 1;
	return m->id1 ? m->rank : NO_RANK;
}

/* Opening */

/* Where a decoded word stands in the vocabulary; guess: where it often does. */
static int32_t find_word(const struct vocab *v, const char *s, size_t n, size_t guess)
{
	size_t len;
	const char *piece;

	if (guess < v->n && v->kind[guess] == PIECE_NORMAL) {
		piece = vocab_piece(v, (int32_t)guess, &len);
		if (len == n && !memcmp(piece, s, n))
			return (int32_t)guess;
	}
	return vocab_get(v, &v->words, s, n);
}

/* A line "left right".  Lines are read some at a time, in steps, so that the
 * memory that each step needs is on its way while the others are at work. */
struct line {
	const char *s;		/* the decoded words, one behind the other */
	size_t n[2];		/* their bytes */
	uint64_t hash[2];
	uint64_t pair;
	uint32_t id1;
};

#define LINES 32	/* some 100 ns a miss, a few ns a step: enough to hide it */

static int decode_line(struct line *l, const struct vocab *v, const struct gguf_str *text, char *out)
{
	const char *space = text->len > 2 ? memchr(text->s + 1, ' ', text->len - 2) : NULL;
	size_t n, m;

	if (!space)
		return -1;
	n = (size_t)(space - text->s);
	m = text->len - n - 1;
	l->s = out;
	l->n[0] = decode(out, text->s, n);
	if (l->n[0] > n)
		return 1;
	l->n[1] = decode(out + l->n[0], space + 1, m);
	if (l->n[1] > m)
		return 1;
	l->hash[0] = vocab_hash(v, l->s, l->n[0]);
	l->hash[1] = vocab_hash(v, l->s + l->n[0], l->n[1]);
	table_fetch(&v->words, l->hash[0]);
	table_fetch(&v->words, l->hash[1]);
	return 0;
}

/* False when a word of the line, or both together, is no token. */
static bool find_line(struct line *l, const struct tok *t, size_t *guess)
{
	const struct vocab *v = &t->v;
	int32_t left = vocab_get_hashed(v, &v->words, l->hash[0], l->s, l->n[0]);
	int32_t right = vocab_get_hashed(v, &v->words, l->hash[1], l->s + l->n[0], l->n[1]);
	int32_t whole = find_word(v, l->s, l->n[0] + l->n[1], *guess);

	if (left < 0 || right < 0 || whole < 0)
		return false;
	*guess = (size_t)whole + 1;
	l->pair = pair_of(left, right);
	l->id1 = (uint32_t)whole + 1;
	__builtin_prefetch(merge_home(t, l->pair));
	return true;
}

static int bad_merge(const struct gguf *g, size_t rank, bool pair)
{
	return err_set(RAG_EFORMAT, "'%s': merge %zu %s", gguf_path(g), rank,
		       pair ? "joins what are no tokens" : "is no pair");
}

static int read_lines(struct tok *t, const struct gguf *g, const struct gguf_str *text,
		      size_t rank, size_t n, struct buf *scratch, size_t *guess)
{
	struct line lines[LINES];
	size_t i, room = 0, at = 0;
	struct merge *slot;
	int rc;

	for (i = 0; i < n; i++)
		room += text[i].len;
	buf_clear(scratch);
	rc = buf_reserve(scratch, room);
	if (rc)
		return rc;
	for (i = 0; i < n; at += text[i++].len) {
		rc = decode_line(&lines[i], &t->v, &text[i], scratch->data + at);
		if (rc)
			return bad_merge(g, rank + i, rc > 0);
	}
	for (i = 0; i < n; i++)
		if (!find_line(&lines[i], t, guess))
			return bad_merge(g, rank + i, true);
	for (i = 0; i < n; i++) {
		slot = merge_at(t, lines[i].pair);
		if (slot->id1)
			continue;	/* the first of equal ones counts */
		slot->pair = lines[i].pair;
		slot->rank = (uint32_t)(rank + i);
		slot->id1 = lines[i].id1;
	}
	return RAG_OK;
}

static int read_merges(struct tok *t, const struct gguf *g)
{
	struct buf scratch = BUF_INIT;
	struct gguf_str *text = NULL;
	size_t n, i, cap = 16, guess = 0;
	int rc = gguf_arr_strs(&text, &n, g, "tokenizer.ggml.merges");

	if (rc)
		return rc;
	if (!n || n >= INT32_MAX) {
		rc = err_set(RAG_EFORMAT, "'%s': tokenizer.ggml.merges has %zu entries",
			     gguf_path(g), n);
		goto fail;
	}
	while (cap < n + n / 2)
		cap *= 2;
	t->merges = mem_calloc(cap, sizeof(*t->merges));
	if (!t->merges) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	t->merge_mask = (uint32_t)(cap - 1);
	for (i = 0; !rc && i < n; i += LINES)
		rc = read_lines(t, g, text + i, i, n - i < LINES ? n - i : LINES, &scratch, &guess);
fail:
	buf_release(&scratch);
	mem_free(text);
	return rc;
}

int tok_bpe_open(struct tok *t, const struct gguf *g)
{
	struct gguf_str pre;
	int rc, b, found = 0;
	char c;

	t->class = &tok_bpe;
	if (!gguf_get_str(&pre, g, "tokenizer.ggml.pre"))
		return err_set(RAG_EUNSUP, "'%s': the pre-tokenizer is not named", gguf_path(g));
	t->scan = tok_scanner(pre.s, pre.len);
	if (!t->scan)
		return err_set(RAG_EUNSUP, "'%s': unknown pre-tokenizer '%.*s'", gguf_path(g),
			       (int)(pre.len < 64 ? pre.len : 64), pre.s);
	snprintf(t->name, sizeof(t->name), "bpe/%.*s", (int)pre.len, pre.s);
	t->whole_words = t->scan == tok_scanner("llama-bpe", 9);
	t->add_bos = t->whole_words;
	rc = tok_read_gguf(t, g, decode);
	if (rc)
		return rc;
	for (b = 0; b < 256; b++) {
		c = (char)b;
		t->byte_id[b] = vocab_get(&t->v, &t->v.words, &c, 1);
		found += t->byte_id[b] >= 0;
	}
	if (found < BYTES_MIN)
		return err_set(RAG_EFORMAT, "'%s': only %d of the 256 bytes are tokens",
			       gguf_path(g), found);
	return read_merges(t, g);
}

/* Encoding */

/* A piece of text and where it stands in the caller's: base + i, or map[i]. */
struct word {
	const char *s;
	size_t n, base;
	const uint32_t *map;	/* (n + 1) borrowed, or NULL */
};

static int push(struct tok_ids *out, const struct word *w, int32_t id, size_t from, size_t to)
{
	if (id < 0)
		return RAG_OK;	/* llama.cpp drops a byte that is no token */
	if (w->map)
		return tok_push(out, id, w->map[from], w->map[to]);
	return tok_push(out, id, w->base + from, w->base + to);
}

static int merge_short(struct tok_ids *out, const struct tok *t, const struct word *w)
{
	int32_t id[SHORT_WORD], into[SHORT_WORD];
	uint32_t rank[SHORT_WORD], best;
	uint8_t start[SHORT_WORD + 1];
	size_t n = w->n, i, at;
	int rc;

	for (i = 0; i < n; i++) {
		id[i] = t->byte_id[(unsigned char)w->s[i]];
		start[i] = (uint8_t)i;
	}
	start[n] = (uint8_t)n;
	for (i = 0; i + 1 < n; i++)
		rank[i] = rank_of(t, id[i], id[i + 1], &into[i]);
	for (;;) {
		best = NO_RANK;
		at = 0;
		for (i = 0; i + 1 < n; i++)
			if (rank[i] < best) {
				best = rank[i];
				at = i;
			}
		if (best == NO_RANK)
			break;
		id[at] = into[at];
		n--;
		for (i = at + 1; i < n; i++) {
			id[i] = id[i + 1];
			start[i] = start[i + 1];
			rank[i - 1] = rank[i];
			into[i - 1] = into[i];
		}
		start[n] = (uint8_t)w->n;
		if (at)
			rank[at - 1] = rank_of(t, id[at - 1], id[at], &into[at - 1]);
		if (at + 1 < n)
			rank[at] = rank_of(t, id[at], id[at + 1], &into[at]);
	}
	for (i = 0; i < n; i++) {
		rc = push(out, w, id[i], start[i], start[i + 1]);
		if (rc)
			return rc;
	}
	return RAG_OK;
}

struct symbol {
	int32_t id;
	uint32_t len;		/* 0: merged away */
	uint32_t prev, next;	/* NONE at the ends */
};

#define NONE UINT32_MAX

struct pair {
	uint32_t rank, left, right;
	uint32_t len;		/* of both: tells whether they still are what they were */
	int32_t into;
};

struct heap {
	struct pair *v;		/* (n) owned; v[0] first */
	size_t n, cap;
};

static bool first_of(const struct pair *a, const struct pair *b)
{
	return a->rank != b->rank ? a->rank < b->rank : a->left < b->left;
}

static int heap_push(struct heap *h, const struct pair *p)
{
	struct pair *v;
	size_t i, up;

	if (h->n == h->cap) {
		h->cap = h->cap ? 2 * h->cap : 256;
		v = mem_realloc(h->v, h->cap, sizeof(*v));
		if (!v)
			return RAG_ENOMEM;
		h->v = v;
	}
	for (i = h->n++; i; i = up) {
		up = (i - 1) / 2;
		if (!first_of(p, &h->v[up]))
			break;
		h->v[i] = h->v[up];
	}
	h->v[i] = *p;
	return RAG_OK;
}

static struct pair heap_pop(struct heap *h)
{
	struct pair top = h->v[0], *last = &h->v[--h->n];
	size_t i = 0, down;

	while ((down = 2 * i + 1) < h->n) {
		if (down + 1 < h->n && first_of(&h->v[down + 1], &h->v[down]))
			down++;
		if (!first_of(&h->v[down], last))
			break;
		h->v[i] = h->v[down];
		i = down;
	}
	h->v[i] = *last;
	return top;
}

static int offer(struct heap *h, const struct tok *t, const struct symbol *sym,
		 uint32_t left, uint32_t right)
{
	struct pair p;

	if (left == NONE || right == NONE)
		return RAG_OK;
	p.rank = rank_of(t, sym[left].id, sym[right].id, &p.into);
	if (p.rank == NO_RANK)
		return RAG_OK;
	p.left = left;
	p.right = right;
	p.len = sym[left].len + sym[right].len;
	return heap_push(h, &p);
}

static int merge_long(struct tok_ids *out, const struct tok *t, const struct word *w)
{
	struct symbol *sym = mem_calloc(w->n, sizeof(*sym));
	struct heap h = { NULL, 0, 0 };
	uint32_t n = (uint32_t)w->n, i;
	struct pair p;
	int rc = sym ? RAG_OK : RAG_ENOMEM;

	for (i = 0; !rc && i < n; i++) {
		sym[i].id = t->byte_id[(unsigned char)w->s[i]];
		sym[i].len = 1;
		sym[i].prev = i ? i - 1 : NONE;
		sym[i].next = i + 1 < n ? i + 1 : NONE;
		if (i)
			rc = offer(&h, t, sym, i - 1, i);
	}
	while (!rc && h.n) {
		p = heap_pop(&h);
		if (!sym[p.left].len || !sym[p.right].len ||
		    sym[p.left].len + sym[p.right].len != p.len)
			continue;
		sym[p.left].id = p.into;
		sym[p.left].len = p.len;
		sym[p.left].next = sym[p.right].next;
		sym[p.right].len = 0;
		if (sym[p.left].next != NONE)
			sym[sym[p.left].next].prev = p.left;
		rc = offer(&h, t, sym, sym[p.left].prev, p.left);
		if (!rc)
			rc = offer(&h, t, sym, p.left, sym[p.left].next);
	}
	for (i = 0; !rc && i != NONE; i = sym[i].next)
		rc = push(out, w, sym[i].id, i, i + sym[i].len);
	mem_free(sym);
	mem_free(h.v);
	return rc;
}

static int encode_word(struct tok_ids *out, const struct tok *t, const struct word *w)
{
	int32_t id = t->whole_words ? vocab_get(&t->v, &t->v.words, w->s, w->n) : -1;

	if (id >= 0)
		return push(out, w, id, 0, w->n);
	return w->n <= SHORT_WORD ? merge_short(out, t, w) : merge_long(out, t, w);
}

static int encode_words(struct tok_ids *out, const struct tok *t, struct word w)
{
	size_t left = w.n;
	int rc = RAG_OK;

	for (; !rc && left; left -= w.n) {
		w.n = t->scan(w.s, left);
		rc = encode_word(out, t, &w);
		w.s += w.n;
		w.base += w.n;
		if (w.map)
			w.map += w.n;
	}
	return rc;
}

/* The code point at s as llama.cpp reads it: it checks the shape of a sequence
 * only, so that overlong forms and surrogates pass. */
static uint32_t lenient(const char *s, size_t n, size_t *len)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t need = p[0] < 0x80 ? 1 : p[0] < 0xC0 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 :
		      p[0] < 0xF8 ? 4 : 0, i;
	uint32_t c = p[0];

	*len = 1;
	if (need == 1)
		return c;
	if (!need || need > n)
		return 0xFFFD;
	c &= 0x7Fu >> need;
	for (i = 1; i < need; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 0xFFFD;
		c = c << 6 | (p[i] & 0x3F);
	}
	*len = need;
	return c < 0x110000 ? c : 0xFFFD;
}

/* A copy of invalid UTF-8 with its mistakes mended, and where each byte came from. */
static int encode_mended(struct tok_ids *out, const struct tok *t, const char *text,
			 size_t from, size_t to)
{
	size_t room = 3 * (to - from), i, len, put, k = 0;
	char *s = mem_alloc(room);
	uint32_t *map = mem_calloc(room + 1, sizeof(*map));
	struct word w = { s, 0, 0, map };
	int rc = RAG_ENOMEM;

	if (!s || !map)
		goto fail;
	for (i = from; i < to; i += len) {
		char c[4];

		put = utf8_put(c, lenient(text + i, to - i, &len));
		memcpy(s + k, c, put);
		for (; put; put--)
			map[k++] = (uint32_t)i;
	}
	map[k] = (uint32_t)to;
	w.n = k;
	rc = encode_words(out, t, w);
fail:
	mem_free(s);
	mem_free(map);
	return rc;
}

static int encode(struct tok_ids *out, const struct tok *t, const char *text,
		  size_t from, size_t to, bool head)
{
	struct word w = { text + from, to - from, from, NULL };

	(void)head;
	if (utf8_valid(w.s, w.n) != w.n)
		return encode_mended(out, t, text, from, to);
	return encode_words(out, t, w);
}

static int piece(struct buf *out, const struct tok *t, int32_t id)
{
	size_t n;
	const char *s = vocab_piece(&t->v, id, &n);

	return buf_add(out, s, n);
}

static int32_t find(const struct tok *t, const char *s, size_t n)
{
	int32_t id = -1;
	size_t len;
	char *bytes;

	if (n > 2 * t->v.longest || !(bytes = mem_alloc(n)))
		return -1;
	len = decode(bytes, s, n);
	if (len <= n)
		id = vocab_get(&t->v, &t->v.words, bytes, len);
	mem_free(bytes);
	return id;
}

const struct tok_class tok_bpe = { encode, piece, find };
