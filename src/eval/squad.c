#include "config.h"
#include "src/eval/squad.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"

/* What an article may not be part of. */
static bool in_word(uint32_t c)
{
	return utf8_is_letter(c) || utf8_is_number(c);
}

static bool is_article(const char *s, size_t n)
{
	return (n == 1 && *s == 'a') || (n == 2 && !memcmp(s, "an", 2)) || (n == 3 && !memcmp(s, "the", 3));
}

/* Small letters, without ASCII punctuation. */
static int fold(struct buf *out, const char *text)
{
	size_t len = strlen(text), n;
	int rc = RAG_OK;
	char bytes[4];

	for (size_t i = 0; !rc && i < len; i += n) {
		uint32_t c = utf8_next(text + i, len - i, &n);

		if (c == UTF8_BAD)
			rc = buf_add(out, text + i, n);
		else if (c >= 128 || !ispunct((int)c))
			rc = buf_add(out, bytes, utf8_put(bytes, utf8_lower(c)));
	}
	return rc;
}

/* Where the word at i ends; i if there is none. */
static size_t word_end(const struct buf *b, size_t i)
{
	size_t n;

	for (; i < b->len && in_word(utf8_next(b->data + i, b->len - i, &n)); i += n)
		;
	return i;
}

int squad_normalise(struct buf *out, const char *text)
{
	struct buf low = BUF_INIT;
	bool gap = false;
	int rc = fold(&low, text);

	buf_clear(out);
	for (size_t i = 0, start = 0; !rc && i < low.len; start = i) {
		bool space;
		size_t n = 0;

		i = word_end(&low, start);
		if (i > start) {
			space = is_article(low.data + start, i - start);
		} else {
			space = utf8_is_space(utf8_next(low.data + i, low.len - i, &n));
			i += n;
		}
		if (space) {
			gap = true;
			continue;
		}
		if (gap && out->len)
			rc = buf_addc(out, ' ');
		gap = false;
		if (!rc)
			rc = buf_add(out, low.data + start, i - start);
	}
	buf_release(&low);
	return rc;
}

struct words {
	char **v;		/* owned array into the text */
	size_t n;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Cuts text apart where it is, and sorts. */
static int split(struct words *out, char *text)
{
	out->n = 0;
	out->v = mem_calloc(strlen(text) / 2 + 1, sizeof(*out->v));
	if (!out->v)
		return RAG_ENOMEM;
	for (char *save = NULL, *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		out->v[out->n++] = p;
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_text);
	return RAG_OK;
}

static double f1_of(const struct words *a, const struct words *b)
{
	size_t same = 0;

	if (!a->n || !b->n)
		return a->n == b->n;
	for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
		int order = strcmp(a->v[i], b->v[k]);

		same += !order;
		i += order <= 0;
		k += order >= 0;
	}
	return 2 * (double)same / (double)(a->n + b->n);
}

/* Spaces or the ends around it. */
static bool holds(const char *text, const char *part)
{
	size_t n = strlen(part);

	for (const char *p = text; n && (p = strstr(p, part)); p++)
		if ((p == text || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
	return false;
}

static int score_one(struct squad *out, struct buf *answer, struct buf *wanted)
{
	struct words a = { NULL, 0 }, w = { NULL, 0 };
	double f1;
	int rc;

	out->exact = !strcmp(buf_str(answer), buf_str(wanted)) ? 1 : out->exact;
	out->contains |= holds(buf_str(answer), buf_str(wanted));
	rc = split(&a, answer->data);
	if (!rc)
		rc = split(&w, wanted->data);
	f1 = rc ? 0 : f1_of(&a, &w);
	if (f1 > out->f1)
		out->f1 = f1;
	mem_free(a.v);
	mem_free(w.v);
	return rc;
}

int squad_score(struct squad *out, const char *answer, const char *const *wanted, size_t n)
{
	struct buf a = BUF_INIT, w = BUF_INIT;
	int rc = RAG_OK;

	*out = (struct squad){ .contains = false };
	for (size_t i = 0; !rc && i < n; i++) {
		rc = squad_normalise(&a, answer);
		if (!rc)
			rc = squad_normalise(&w, wanted[i]);
		if (!rc)	/* also of nothing there is a string to cut */
			rc = buf_reserve(&a, 1);
		if (!rc)
			rc = buf_reserve(&w, 1);
		if (!rc)
			rc = score_one(out, &a, &w);
	}
	buf_release(&a);
	buf_release(&w);
	return rc;
}
