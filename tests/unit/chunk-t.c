#include "config.h"

#include <stdlib.h>

#include "base/mem.h"
#include "ingest/chunk.h"
#include "model/tok.h"
#include "tests/tap.h"

#define MAX 256

static const char *const words[] = { "stone", "river", "of", "the", "castle", "Normans", "settle", "unbelievably",
				     "in", "1066", "and", "tribunal", "photosynthesis", "a", "42", "grass" };
static uint32_t seed = 1;

static uint32_t pick(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void sentence(struct buf *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		buf_addf(b, "%s%s", i ? " " : "The ", words[pick(16)]);
	buf_adds(b, ".");
}

static void paragraphs(struct buf *b, int n)
{
	for (int i = 0; i < n; i++) {
		if (b->len)
			buf_adds(b, "\n\n");
		for (uint32_t k = 1 + pick(6); k; k--) {
			sentence(b, 4 + pick(20));
			if (k > 1)
				buf_addc(b, ' ');
		}
	}
}

static size_t tokens(const struct tok *t, const char *prefix, const char *s, size_t n)
{
	struct tok_ids ids = { 0 };
	struct buf b = BUF_INIT;
	size_t len;

	buf_adds(&b, prefix);
	buf_add(&b, s, n);
	tok_encode(&ids, t, buf_str(&b), b.len, TOK_ADD);
	len = ids.len;
	tok_ids_release(&ids);
	buf_release(&b);
	return len;
}

/* Every character that is not white space is in exactly one chunk, in order. */
static bool complete(const struct chunks *c, const char *s, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (c->v[i].start < at || c->v[i].end <= c->v[i].start || c->v[i].end > n)
			return false;
		for (; at < c->v[i].start; at++)
			if (s[at] != ' ' && s[at] != '\n')
				return false;
		at = c->v[i].end;
	}
	for (; at < n; at++)
		if (s[at] != ' ' && s[at] != '\n')
			return false;
	return true;
}

static bool fitting(const struct chunks *c, const char *s, const struct tok *t)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].end - c->v[i].start > CHUNK_MAX_BYTES ||
		    (t && tokens(t, c->v[i].prefix, s + c->v[i].start, c->v[i].end - c->v[i].start) > MAX))
			return false;
	return true;
}

static int cut(struct chunks *c, const char *s, size_t n, const struct store_mark *m, size_t n_m,
	       const char *title, const struct tok *t)
{
	struct chunk_opts o = { t, t ? MAX : 0, title, NULL };

	memset(c, 0, sizeof(*c));
	return chunk_text(c, s, n, m, n_m, &o);
}

static void check(const char *s, size_t n, const struct tok *t, const char *what)
{
	struct chunks c;

	is_int(cut(&c, s, n, NULL, 0, "A title of some words", t), RAG_OK, what);
	ok(complete(&c, s, n), "%s: complete in %zu chunks", what, c.n);
	ok(fitting(&c, s, t), "%s: within the bounds", what);
	chunks_release(&c);
}

static void test_sizes(const struct tok *t)
{
	struct buf b = BUF_INIT;
	struct chunks c;
	size_t small = 0, cuts = 0;

	paragraphs(&b, 60);
	is_int(cut(&c, b.data, b.len, NULL, 0, "", t), RAG_OK, "running text");
	ok(complete(&c, b.data, b.len) && fitting(&c, b.data, t), "complete and within the bounds");
	for (size_t i = 0; i < c.n; i++) {
		small += c.v[i].end - c.v[i].start < 400;
		cuts += i && b.data[c.v[i].start - 1] == '\n';
	}
	ok(c.n > 10 && small == 0, "%zu chunks, none a crumb", c.n);
	ok(cuts * 3 > c.n * 2, "most begin a paragraph (%zu)", cuts);
	chunks_release(&c);
	buf_clear(&b);

	for (int i = 0; i < 5000; i++)
		buf_addf(&b, "%s%s", i ? " " : "", words[pick(16)]);
	check(b.data, b.len, t, "a sentence of 5,000 words");
	is_int(cut(&c, b.data, b.len, NULL, 0, "", t), RAG_OK, "cut");
	for (size_t i = 1, whole = 1; i < c.n; i++) {
		whole &= b.data[c.v[i].start - 1] == ' ';
		if (i + 1 == c.n)
			ok(whole, "no word is cut");
	}
	chunks_release(&c);
	buf_clear(&b);

	for (int i = 0; i < 100000; i++)
		buf_addc(&b, (char)('a' + pick(26)));
	check(b.data, b.len, t, "a word of 100,000 letters");
	buf_clear(&b);
	for (int i = 0; i < 20000; i++)
		buf_adds(&b, i % 3 ? "\xE6\xBC\xA2" : "\xF0\x9F\x98\x80");
	check(b.data, b.len, t, "ideographs and pictures without a space");
	for (size_t i = 0, good = 1; i < 1; i++) {
		is_int(cut(&c, b.data, b.len, NULL, 0, "", t), RAG_OK, "cut");
		for (size_t k = 0; k < c.n; k++)
			good &= ((unsigned char)b.data[c.v[k].start] & 0xC0) != 0x80;
		ok(good, "no character is cut");
		chunks_release(&c);
	}
	buf_clear(&b);
	for (int i = 0; i < 30000; i++)
		buf_adds(&b, i % 2 ? "a\n\n" : ". ");
	check(b.data, b.len, t, "nothing but crumbs");
	buf_clear(&b);
	for (int i = 0; i < 400; i++)
		paragraphs(&b, 1), buf_adds(&b, " ");
	check(b.data, b.len, t, "more than a window");
	buf_release(&b);
	check("word", 4, t, "one word");
	is_int(cut(&c, " \n\n ", 4, NULL, 0, "", t), RAG_OK, "white space alone");
	is_int((long long)c.n, 0, "has no chunk");
	chunks_release(&c);
}

static struct store_mark at(const char *text, const char *where, enum store_mark_kind kind, uint32_t value)
{
	struct store_mark m = { (uint64_t)(strstr(text, where) - text), kind, value, "", 0 };

	if (kind == STORE_HEADING) {
		m.text = where;
		m.text_len = strlen(where);
	}
	return m;
}

static void test_headings(const struct tok *t)
{
	static const char text[] =
		"Before.\n\nAlpha\n\nBeta\n\nText of beta.\n\nGamma\n\nText of gamma,\nline two.\n\nDelta\n\nText of delta.";
	struct store_mark m[] = {
		at(text, "Before.", STORE_PAGE, 1), at(text, "Alpha", STORE_HEADING, 1),
		at(text, "Beta", STORE_HEADING, 2), at(text, "Gamma", STORE_HEADING, 3),
		at(text, "line two", STORE_PAGE, 2), at(text, "Delta", STORE_HEADING, 2),
	};
	struct chunks c;

	m[4].value = 2;
	is_int(cut(&c, text, strlen(text), m, 6, "Alpha", t), RAG_OK, "headings");
	if (!ok(c.n == 4, "four sections (%zu)", c.n))
		return;
	is_str(c.v[0].heading, "", "before the first");
	ok(!memcmp(text + c.v[1].start, "Alpha", 5), "a heading without text goes before the next");
	is_str(c.v[1].heading, "Alpha > Beta", "path");
	is_str(c.v[1].prefix, "Alpha\nBeta\n", "the title is not said twice");
	is_str(c.v[2].heading, "Alpha > Beta > Gamma", "deeper");
	is_str(c.v[3].heading, "Alpha > Delta", "and back");
	is_int(c.v[0].page, 1, "page");
	is_int(c.v[2].page, 1, "of the chunk's start");
	is_int(c.v[3].page, 2, "next page");
	is_int(c.v[2].line, 9, "line");
	is_int(c.v[3].line, 14, "of the text");
	chunks_release(&c);
}

static void test_prefix(const struct tok *t)
{
	struct buf title = BUF_INIT, path = BUF_INIT, text = BUF_INIT;
	struct chunk_opts o = { t, MAX, NULL, NULL };
	struct chunks c;
	char *p;
	size_t n;

	for (int i = 0; i < 300; i++)
		buf_addf(&title, "%s ", words[pick(16)]);
	for (int i = 0; i < 50; i++)
		buf_addf(&path, "%sSection %d of the river", i ? " > " : "", i);
	o.title = title.data;
	is_int(chunk_prefix(&p, &n, path.data, &o), RAG_OK, "a long title and path");
	ok(n <= MAX / 4, "take a quarter at most (%zu)", n);
	ok(strstr(p, "Section 49 of the river\n"), "the path's end is kept");
	mem_free(p);
	paragraphs(&text, 30);
	is_int(cut(&c, text.data, text.len, NULL, 0, title.data, t), RAG_OK, "text under a long title");
	ok(complete(&c, text.data, text.len) && fitting(&c, text.data, t), "is whole all the same");
	chunks_release(&c);
	buf_release(&title);
	buf_release(&path);
	buf_release(&text);
}

static int stop_at_third(void *arg, const struct progress_at *at)
{
	int *n = arg;

	(void)at;
	return ++*n == 3;
}

static void test_stop(void)
{
	int seen = 0;
	struct progress p = { stop_at_third, &seen };
	struct chunk_opts o = { NULL, 0, "", &p };
	struct buf b = BUF_INIT;
	struct chunks c = { 0 };

	while (b.len < (4u << 20))
		buf_adds(&b, "xxxxxxxxxxxxxxxx");
	is_int(chunk_text(&c, b.data, b.len, NULL, 0, &o), RAG_ECANCEL, "a long text is stopped half way");
	is_int(seen, 3, "where it was asked to");
	is_int((long long)c.n, 0, "and leaves nothing");
	buf_release(&b);
}

static void test_memory(void)
{
	struct buf b = BUF_INIT;
	struct chunks c;
	bool good = true;
	unsigned long k = 1;
	int rc = RAG_ENOMEM;

	paragraphs(&b, 20);
	for (; rc == RAG_ENOMEM && k < 2000; k++) {
		mem_fail_at(k);
		rc = cut(&c, b.data, b.len, NULL, 0, "Title", NULL);
		mem_fail_at(0);
		good &= rc == RAG_OK || (rc == RAG_ENOMEM && !c.v && !c.strings);
		chunks_release(&c);
	}
	ok(good && rc == RAG_OK && k > 5, "each of %lu allocations may fail", k - 2);
	buf_release(&b);
}

int main(void)
{
	const char *cache = getenv("RAGSTONE_CACHE"), *home = getenv("HOME");
	char path[512];
	struct tok *t;

	test_sizes(NULL);
	test_headings(NULL);
	test_stop();
	test_memory();
	snprintf(path, sizeof(path), "%s%s/models/all-minilm-l6-v2", cache ? cache : home ? home : "",
		 cache ? "" : "/.cache/ragstone");
	if (tok_open_dir(&t, path)) {
		tap_skip(1, "all-minilm-l6-v2 is not in the cache");
		return tap_done();
	}
	test_sizes(t);
	test_headings(t);
	test_prefix(t);
	tok_close(t);
	return tap_done();
}
