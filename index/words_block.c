#include "config.h"
#include "index/words_block.h"

#include <string.h>

#include "base/err.h"
#include "index/codec.h"

#define HEAD 32u
#define ENTRY 24u		/* key 8, rest 4, df 4, post 4, pos 4 */
#define KEY 8u			/* bytes of a term in its entry */

static const char magic[4] = { 'R', 'W', 'B', '1' };

/* ---- reading ------------------------------------------------------------------- */

bool wblock_open(struct wblock *out, const void *base, size_t n)
{
	const uint8_t *p = base;
	uint64_t want;

	if (n < HEAD || memcmp(p, magic, sizeof(magic)))
		return false;
	out->n = codec_get32(p + 8);
	out->n_terms = codec_get32(p + 12);
	out->rest_len = codec_get32(p + 16);
	out->post_len = codec_get32(p + 20);
	out->pos_len = codec_get32(p + 24);
	out->words = codec_get32(p + 28);
	want = HEAD + 12 * (uint64_t)out->n + ENTRY * ((uint64_t)out->n_terms + 1) + out->rest_len +
	       out->post_len + out->pos_len;
	if (!out->n || want != n)
		return false;
	out->ids = p + HEAD;
	out->lens = out->ids + 8 * (size_t)out->n;
	out->terms = out->lens + 4 * (size_t)out->n;
	out->rest = out->terms + ENTRY * ((size_t)out->n_terms + 1);
	out->post = out->rest + out->rest_len;
	out->pos = out->post + out->post_len;
	return true;
}

static uint32_t crc(const uint8_t *p, size_t n)
{
	return codec_crc(codec_crc(0, p, 4), p + 8, n - 8);
}

bool wblock_check(const void *p, size_t n)
{
	return codec_get32((const uint8_t *)p + 4) == crc(p, n);
}

uint64_t wblock_id(const struct wblock *b, uint32_t i)
{
	return codec_get64(b->ids + 8 * (size_t)i);
}

uint32_t wblock_len(const struct wblock *b, uint32_t i)
{
	return codec_get32(b->lens + 4 * (size_t)i);
}

uint32_t wblock_row(const struct wblock *b, uint64_t id)
{
	uint32_t lo = 0, hi = b->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (wblock_id(b, mid) < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The first bytes of a term as a number that is ordered as they are. */
static uint64_t key_of(const char *term, size_t n)
{
	uint64_t k = 0;

	for (size_t i = 0; i < KEY; i++)
		k = k << 8 | (i < n ? (unsigned char)term[i] : 0);
	return k;
}

static const uint8_t *entry(const struct wblock *b, uint32_t t)
{
	return b->terms + ENTRY * (size_t)t;
}

/* What lies behind the first bytes of term t. */
static bool rest_of(const uint8_t **p, size_t *n, const struct wblock *b, uint32_t t)
{
	uint32_t from = codec_get32(entry(b, t) + 8), to = codec_get32(entry(b, t + 1) + 8);

	*p = b->rest + from;
	*n = to - from;
	return from <= to && to <= b->rest_len && *n <= WBLOCK_TERM_MAX - KEY;
}

/* Of a term and term t of the block, which begin alike. */
static int compare_rest(const char *term, size_t n, const struct wblock *b, uint32_t t)
{
	const uint8_t *p;
	size_t m, k;
	int cmp;

	n = n > KEY ? n - KEY : 0;
	if (!rest_of(&p, &m, b, t))
		return -1;
	k = n < m ? n : m;
	cmp = k ? memcmp(term + KEY, p, k) : 0;
	return cmp ? cmp : (n > m) - (n < m);
}

uint32_t wblock_lower(const struct wblock *b, const char *term, size_t n)
{
	uint64_t key = key_of(term, n), k;
	uint32_t lo = 0, hi = b->n_terms;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		k = codec_get64(entry(b, mid));
		if (k < key || (k == key && compare_rest(term, n, b, mid) > 0))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t wblock_find(const struct wblock *b, const char *term, size_t n)
{
	uint32_t t = wblock_lower(b, term, n);

	if (t < b->n_terms && (codec_get64(entry(b, t)) != key_of(term, n) || compare_rest(term, n, b, t)))
		t = b->n_terms;
	return t;
}

size_t wblock_term(char out[WBLOCK_TERM_MAX], const struct wblock *b, uint32_t t)
{
	uint64_t key = codec_get64(entry(b, t));
	const uint8_t *p;
	size_t n, len = 0;

	while (len < KEY && (key >> (56 - 8 * len) & 0xff)) {
		out[len] = (char)(key >> (56 - 8 * len) & 0xff);
		len++;
	}
	if (!rest_of(&p, &n, b, t) || (n && len < KEY))
		return 0;
	memcpy(out + len, p, n);
	return len + n;
}

bool wblock_list(struct wlist *out, const struct wblock *b, uint32_t t)
{
	const uint8_t *e = entry(b, t), *next = entry(b, t + 1);
	uint32_t post = codec_get32(e + 16), post_end = codec_get32(next + 16);
	uint32_t pos = codec_get32(e + 20), pos_end = codec_get32(next + 20);

	if (post > post_end || post_end > b->post_len || pos > pos_end || pos_end > b->pos_len)
		return false;
	*out = (struct wlist){
		.p = b->post + post, .end = b->post + post_end, .pos = b->pos + pos,
		.pos_end = b->pos + pos_end, .df = codec_get32(e + 12), .n = b->n,
	};
	return out->df > 0 && out->df <= b->n;
}

/* Seven bits a byte, the lowest first.  False: it does not end, or is no 32-bit number. */
static bool get_number(uint32_t *out, const uint8_t **p, const uint8_t *end)
{
	uint32_t v = 0;

	for (unsigned shift = 0; *p < end && shift < 35; shift += 7) {
		uint8_t c = *(*p)++;

		if (shift == 28 && c > 15)
			return false;
		v |= (uint32_t)(c & 127) << shift;
		if (!(c & 128)) {
			*out = v;
			return true;
		}
	}
	return false;
}

bool wlist_next(struct wlist *l)
{
	uint32_t step;

	if (l->p == l->end)
		return false;
	l->bad = true;
	if (!get_number(&step, &l->p, l->end) || !get_number(&l->tf, &l->p, l->end) || !l->tf)
		return false;
	if (l->begun ? step >= l->n - l->row - 1 : step >= l->n)
		return false;
	l->row = l->begun ? l->row + step + 1 : step;
	l->begun = true;
	l->bad = false;
	return true;
}

bool wlist_places(uint32_t *out, struct wlist *l)
{
	uint32_t at = 0, step;

	for (uint32_t i = 0; i < l->tf; i++) {
		if (!get_number(&step, &l->pos, l->pos_end))
			return false;
		at += step;
		if (out)
			out[i] = at;
	}
	return true;
}

/* ---- writing ----------------------------------------------------------------------- */

void wblock_writer_release(struct wblock_writer *w)
{
	buf_release(&w->ids);
	buf_release(&w->lens);
	buf_release(&w->terms);
	buf_release(&w->rest);
	buf_release(&w->post);
	buf_release(&w->pos);
	memset(w, 0, sizeof(*w));
}

int wblock_chunk(struct wblock_writer *w, uint64_t id, uint32_t len)
{
	int rc = codec_add64(&w->ids, id);

	if (!rc)
		rc = codec_add32(&w->lens, len);
	w->n += !rc;
	w->words += len;
	return rc;
}

int wblock_begin(struct wblock_writer *w, const char *term, size_t n)
{
	if (!n || n > WBLOCK_TERM_MAX)
		return err_set(RAG_EINVAL, "a term of %zu bytes, 1 to %u are possible", n, WBLOCK_TERM_MAX);
	if (w->post.len > UINT32_MAX || w->pos.len > UINT32_MAX)
		return err_set(RAG_ELIMIT, "too many words for one block");
	memcpy(w->term, term, n);
	w->term_len = n;
	w->df = w->row = 0;
	w->post_at = (uint32_t)w->post.len;
	w->pos_at = (uint32_t)w->pos.len;
	return RAG_OK;
}

static size_t put_number(uint8_t out[5], uint32_t v)
{
	size_t n = 0;

	while (v > 127) {
		out[n++] = (uint8_t)(v | 128);
		v >>= 7;
	}
	out[n++] = (uint8_t)v;
	return n;
}

int wblock_posting(struct wblock_writer *w, uint32_t row, const uint32_t *places, uint32_t tf)
{
	uint32_t step = w->df ? row - w->row - 1 : row, last = 0;
	uint8_t p[10];
	size_t n = put_number(p, step);
	int rc;

	n += put_number(p + n, tf);
	rc = buf_add(&w->post, p, n);
	for (uint32_t i = 0; !rc && i < tf; i++) {
		rc = buf_add(&w->pos, p, put_number(p, places[i] - last));
		last = places[i];
	}
	w->row = row;
	w->df++;
	return rc;
}

static int add_entry(struct wblock_writer *w, uint64_t key, uint32_t df, size_t post, size_t pos)
{
	uint8_t e[ENTRY];

	codec_put64(e, key);
	codec_put32(e + 8, (uint32_t)w->rest.len);
	codec_put32(e + 12, df);
	codec_put32(e + 16, (uint32_t)post);
	codec_put32(e + 20, (uint32_t)pos);
	return buf_add(&w->terms, e, sizeof(e));
}

int wblock_end(struct wblock_writer *w)
{
	int rc;

	if (!w->df)
		return RAG_OK;
	rc = add_entry(w, key_of(w->term, w->term_len), w->df, w->post_at, w->pos_at);
	if (!rc && w->term_len > KEY)
		rc = buf_add(&w->rest, w->term + KEY, w->term_len - KEY);
	w->n_terms += !rc;
	return rc;
}

int wblock_write(struct buf *out, struct wblock_writer *w)
{
	const struct buf *parts[] = { &w->ids, &w->lens, &w->terms, &w->rest, &w->post, &w->pos };
	size_t from = out->len, len = HEAD;
	uint8_t head[HEAD] = { 0 };
	int rc;

	if (w->rest.len > UINT32_MAX || w->post.len > UINT32_MAX || w->pos.len > UINT32_MAX ||
	    w->words > UINT32_MAX)
		return err_set(RAG_ELIMIT, "too many words for one block");
	rc = add_entry(w, UINT64_MAX, 0, w->post.len, w->pos.len);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		len += parts[i]->len;
	if (!rc)
		rc = buf_reserve(out, len);
	if (rc)
		return rc;
	memcpy(head, magic, sizeof(magic));
	codec_put32(head + 8, w->n);
	codec_put32(head + 12, w->n_terms);
	codec_put32(head + 16, (uint32_t)w->rest.len);
	codec_put32(head + 20, (uint32_t)w->post.len);
	codec_put32(head + 24, (uint32_t)w->pos.len);
	codec_put32(head + 28, (uint32_t)w->words);
	rc = buf_add(out, head, sizeof(head));
	for (size_t i = 0; !rc && i < sizeof(parts) / sizeof(parts[0]); i++)
		rc = buf_add(out, buf_str(parts[i]), parts[i]->len);
	if (rc)
		return rc;
	codec_put32((uint8_t *)out->data + from + 4, crc((uint8_t *)out->data + from, len));
	wblock_writer_release(w);
	return RAG_OK;
}
