#include "config.h"

#include "ingest/chunk.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"
#include "model/tok.h"

#define WINDOW ((size_t)64 << 10)	/* bytes cut at a time */
#define MAX_LEVEL 6
#define SPECIALS 2			/* [CLS], [SEP]; counted exactly in fits() */
#define MIN_BODY 16			/* tokens that a prefix must leave, whatever the embedder */

/* What it costs to end a chunk there, in squared relative distances from the target:
 * a cut within a paragraph is worth a chunk that is a third too small. */
static const double end_cost[] = { 0, 0.1, 0.5 };
enum end { PARAGRAPH, SENTENCE, PIECE };

struct unit {
	size_t start, end, tokens;
	enum end kind;
};

struct cutter {
	struct chunks *out;
	const struct chunk_opts *o;
	const char *text;
	const struct store_mark *marks;
	size_t n_marks, mark;		/* the next mark behind the last chunk's start */
	uint32_t page, line;
	size_t line_at;			/* line is that of this offset */
	const char *heading, *prefix;	/* of the section */
	size_t room;			/* tokens of text in a chunk of the section */
	/* scratch, kept between windows */
	struct tok_ids ids;
	struct text_spans sentences;
	struct unit *units;
	size_t n_units, cap_units;
	double *best;
	size_t *from, cap_best;
	struct buf embedded;
};

static bool white(char c)
{
	return c == ' ' || c == '\n';
}

/* Without a tokenizer: a short word is one token, a long one several, a sign or an
 * ideograph one.  *len: the longest beginning of at most max of them. */
static size_t estimate_to(size_t *len, const char *s, size_t n, size_t max)
{
	size_t tokens = 0, run = 0;

	for (size_t i = 0, k; i < n; i += k) {
		uint32_t c = utf8_next(s + i, n - i, &k);
		size_t more;

		if (c < 0x2E80 && (utf8_is_letter(c) || utf8_is_number(c) || utf8_is_mark(c))) {
			more = run++ % 7 == 0;
		} else {
			run = 0;
			more = !utf8_is_space(c);
		}
		if (more && tokens == max) {
			*len = i;
			return tokens;
		}
		tokens += more;
	}
	*len = n;
	return tokens;
}

static size_t estimate(const char *s, size_t n)
{
	size_t len;

	return estimate_to(&len, s, n, SIZE_MAX);
}

static int count(size_t *tokens, struct cutter *c, const char *s, size_t n, unsigned flags)
{
	int rc;

	if (!c->o->tok) {
		*tokens = estimate(s, n);
		return RAG_OK;
	}
	c->ids.len = 0;
	rc = tok_encode(&c->ids, c->o->tok, s, n, flags);
	*tokens = c->ids.len;
	return rc;
}

/* The longest beginning of s with at most max tokens. */
static int cut_to(size_t *len, struct tok_ids *ids, const struct tok *tok, const char *s, size_t n, size_t max)
{
	int rc = RAG_OK;

	*len = n;
	if (!tok) {
		estimate_to(len, s, n, max);
		return RAG_OK;
	}
	ids->len = 0;
	rc = tok_encode(ids, tok, s, n, 0);
	if (!rc && ids->len > max)
		*len = max ? ids->end[max - 1] : 0;
	return rc;
}

int chunk_prefix(char **out, size_t *tokens, const char *heading, const struct chunk_opts *o)
{
	const char *title = o->title ? o->title : "";
	size_t quarter = o->max_tokens ? o->max_tokens / 4 : 64, len, n;
	struct tok_ids ids = { 0 };
	struct buf b = BUF_INIT;
	int rc;

	*out = NULL;
	/* A document's first heading is often its title: once is enough. */
	n = strlen(title);
	if (n && !strncmp(heading, title, n) && (!heading[n] || !strncmp(heading + n, " > ", 3)))
		heading += heading[n] ? n + 3 : n;
	rc = cut_to(&len, &ids, o->tok, title, n, quarter / 2);
	if (!rc && len) {
		rc = buf_add(&b, title, len);
		if (!rc)
			rc = buf_addc(&b, '\n');
	}
	/* Of a long path the last parts say most. */
	while (!rc && strstr(heading, " > ")) {
		rc = cut_to(&len, &ids, o->tok, heading, strlen(heading), quarter / 2);
		if (rc || len == strlen(heading))
			break;
		heading = strstr(heading, " > ") + 3;
	}
	if (!rc)
		rc = cut_to(&len, &ids, o->tok, heading, strlen(heading), quarter / 2);
	if (!rc && len) {
		rc = buf_add(&b, heading, len);
		if (!rc)
			rc = buf_addc(&b, '\n');
	}
	if (!rc && tokens) {
		*tokens = estimate(buf_str(&b), b.len);
		if (o->tok) {
			ids.len = 0;
			rc = tok_encode(&ids, o->tok, buf_str(&b), b.len, 0);
			*tokens = ids.len;
		}
	}
	if (!rc) {
		*out = b.len ? buf_detach(&b) : mem_strdup("");
		if (!*out)
			rc = RAG_ENOMEM;
	}
	tok_ids_release(&ids);
	buf_release(&b);
	return rc;
}

/* Takes s over, also on failure. */
static int keep_string(struct chunks *c, char *s)
{
	if (!s)
		return RAG_ENOMEM;
	if (c->n_strings == c->cap_strings) {
		size_t cap = c->cap_strings ? 2 * c->cap_strings : 16;
		char **v = mem_realloc(c->strings, cap, sizeof(*v));

		if (!v) {
			mem_free(s);
			return RAG_ENOMEM;
		}
		c->strings = v;
		c->cap_strings = cap;
	}
	c->strings[c->n_strings++] = s;
	return RAG_OK;
}

static int add_unit(struct cutter *c, size_t start, size_t end, size_t tokens, enum end kind)
{
	if (c->n_units == c->cap_units) {
		size_t cap = c->cap_units ? 2 * c->cap_units : 256;
		struct unit *v = mem_realloc(c->units, cap, sizeof(*v));

		if (!v)
			return RAG_ENOMEM;
		c->units = v;
		c->cap_units = cap;
	}
	/* Characters that a tokenizer drops count all the same: each loop here is bounded by tokens. */
	c->units[c->n_units++] = (struct unit){ start, end, tokens ? tokens : 1, kind };
	return RAG_OK;
}

/* Where to cut [start, limit) so that a word stays whole, if that leaves enough. */
static size_t at_space(const char *s, size_t start, size_t limit)
{
	size_t least = start + (limit - start) / 2;

	for (size_t i = limit; i > least; i--)
		if (white(s[i - 1]))
			return i;
	return limit;
}

/* A sentence that is too long, as pieces.  first, n: its tokens among c->ids (no
 * tokenizer: none, pieces by bytes). */
static int add_pieces(struct cutter *c, size_t base, size_t start, size_t end, size_t first, size_t n,
		      enum end kind)
{
	size_t most = CHUNK_TARGET < c->room ? CHUNK_TARGET : c->room, t = first;
	int rc = RAG_OK;

	while (!rc && start < end) {
		size_t stop = end, tokens = 0, last, fit;

		if (c->o->tok && first + n - t > most)
			stop = base + c->ids.start[t + most];
		if (stop - start > CHUNK_MAX_BYTES / 2)
			stop = utf8_floor(c->text, end, start + CHUNK_MAX_BYTES / 2);
		if (!c->o->tok) {
			estimate_to(&fit, c->text + start, stop - start, most);
			stop = start + fit;
		}
		if (stop < end)
			stop = at_space(c->text, start, stop);
		if (stop <= start) {	/* a token that begins where the piece does */
			size_t k;

			utf8_next(c->text + start, end - start, &k);
			stop = start + k;
		}
		if (c->o->tok) {
			for (; t < first + n && base + c->ids.start[t] < stop; t++)
				tokens++;
		} else {
			tokens = estimate(c->text + start, stop - start);
		}
		last = stop;
		while (last > start + 1 && white(c->text[last - 1]))
			last--;
		rc = add_unit(c, start, last, tokens, stop < end ? PIECE : kind);
		start = stop;
		while (start < end && white(c->text[start]))
			start++;
	}
	return rc;
}

/* The units of [from, to). */
static int find_units(struct cutter *c, size_t from, size_t to)
{
	const char *s = c->text + from;
	size_t t = 0;
	int rc;

	c->n_units = 0;
	c->sentences.n = 0;
	c->ids.len = 0;
	rc = text_sentences(&c->sentences, s, to - from);
	if (!rc && c->o->tok)
		rc = tok_encode(&c->ids, c->o->tok, s, to - from, 0);
	for (size_t i = 0; !rc && i < c->sentences.n; i++) {
		struct text_span u = c->sentences.v[i];
		size_t next = i + 1 < c->sentences.n ? c->sentences.v[i + 1].start : to - from;
		size_t first, tokens = 0;
		enum end kind = SENTENCE;
		size_t breaks = 0;

		for (size_t k = u.end; k < next; k++)
			breaks += s[k] == '\n';
		if (breaks > 1 || i + 1 == c->sentences.n)
			kind = PARAGRAPH;
		while (t < c->ids.len && c->ids.start[t] < u.start)
			t++;
		first = t;
		if (c->o->tok) {
			for (; t < c->ids.len && c->ids.start[t] < u.end; t++)
				tokens++;
		} else {
			tokens = estimate(s + u.start, u.end - u.start);
		}
		if (tokens > c->room || u.end - u.start > CHUNK_MAX_BYTES / 2)
			rc = add_pieces(c, from, from + u.start, from + u.end, first, tokens, kind);
		else
			rc = add_unit(c, from + u.start, from + u.end, tokens, kind);
	}
	return rc;
}

static int add_chunk(struct cutter *c, size_t start, size_t end)
{
	struct chunks *out = c->out;
	const char *nl;

	if (out->n == out->cap) {
		size_t cap = out->cap ? 2 * out->cap : 64;
		struct chunk *v = mem_realloc(out->v, cap, sizeof(*v));

		if (!v)
			return RAG_ENOMEM;
		out->v = v;
		out->cap = cap;
	}
	for (; c->mark < c->n_marks && c->marks[c->mark].at <= start; c->mark++)
		if (c->marks[c->mark].kind == STORE_PAGE)
			c->page = c->marks[c->mark].value;
	while ((nl = memchr(c->text + c->line_at, '\n', start - c->line_at)) != NULL) {
		c->line++;
		c->line_at = (size_t)(nl - c->text) + 1;
	}
	out->v[out->n++] = (struct chunk){ start, end, c->page, c->line, c->heading, c->prefix };
	return RAG_OK;
}

/* The sum of the units' tokens is what a whole chunk has only nearly (words across a
 * cut, words so long that they are one unknown token): the whole is counted too, and
 * a chunk that is too long after all is halved. */
static int add_fitting(struct cutter *c, size_t start, size_t end)
{
	size_t tokens, half;
	int rc = RAG_OK;

	if (c->o->tok && c->o->max_tokens) {
		buf_clear(&c->embedded);
		rc = buf_adds(&c->embedded, c->prefix);
		if (!rc)
			rc = buf_add(&c->embedded, c->text + start, end - start);
		if (!rc)
			rc = count(&tokens, c, buf_str(&c->embedded), c->embedded.len, TOK_ADD);
		if (rc)
			return rc;
		half = at_space(c->text, start, utf8_floor(c->text, end, start + (end - start) / 2));
		if (tokens > c->o->max_tokens && half > start) {
			size_t next = half;

			while (half > start && white(c->text[half - 1]))
				half--;
			rc = add_fitting(c, start, half);
			return rc ? rc : add_fitting(c, next, end);
		}
	}
	return add_chunk(c, start, end);
}

/* Cuts the units into chunks; keeps back the last if more follows.  *next: where to
 * go on. */
static int cut_units(size_t *next, struct cutter *c, bool more)
{
	size_t n = c->n_units, target = CHUNK_TARGET, from, cuts = 0;
	int rc = RAG_OK;

	if (target > c->room - c->room / 10)
		target = c->room - c->room / 10;
	if (n + 1 > c->cap_best) {
		size_t cap = 2 * n + 64;
		double *b = mem_realloc(c->best, cap, sizeof(*b));
		size_t *f;

		if (!b)
			return RAG_ENOMEM;
		c->best = b;
		f = mem_realloc(c->from, cap, sizeof(*f));
		if (!f)
			return RAG_ENOMEM;
		c->from = f;
		c->cap_best = cap;
	}
	c->best[0] = 0;
	for (size_t j = 1; j <= n; j++) {
		size_t tokens = 0;

		c->best[j] = -1;
		for (size_t i = j; i-- > 0;) {
			double off, cost;

			tokens += c->units[i].tokens;
			if (i + 1 < j && (tokens > c->room ||
					  c->units[j - 1].end - c->units[i].start > CHUNK_MAX_BYTES))
				break;
			off = ((double)tokens - (double)target) / (double)target;
			cost = c->best[i] + off * off;
			if (j < n)
				cost += end_cost[c->units[j - 1].kind];
			if (c->best[j] < 0 || cost < c->best[j]) {
				c->best[j] = cost;
				c->from[j] = i;
			}
		}
	}
	/* The way back, turned round in place: from[] becomes the ends in order. */
	for (size_t j = n; j > 0; j = from) {
		from = c->from[j];
		c->units[n - 1 - cuts].tokens = j;	/* from the back; tokens are no longer needed */
		cuts++;
	}
	from = 0;
	for (size_t k = 0; !rc && k < cuts; k++) {
		size_t to = c->units[n - cuts + k].tokens;

		if (more && k + 1 == cuts && k > 0) {
			*next = c->units[from].start;
			return RAG_OK;
		}
		rc = add_fitting(c, c->units[from].start, c->units[to - 1].end);
		from = to;
	}
	return rc;
}

static int cut_section(struct cutter *c, size_t start, size_t end)
{
	size_t prefix;
	char *p;
	int rc = chunk_prefix(&p, &prefix, c->heading, c->o);

	if (!rc)
		rc = keep_string(c->out, p);
	if (rc)
		return rc;
	c->prefix = p;
	c->room = SIZE_MAX / 4;
	if (c->o->max_tokens)
		c->room = c->o->max_tokens > SPECIALS + prefix + MIN_BODY
			? c->o->max_tokens - SPECIALS - prefix : MIN_BODY;
	if (c->room > 4 * CHUNK_TARGET)
		c->room = 4 * CHUNK_TARGET;	/* an embedder of long texts: dynamic programming stays short */
	while (!rc && start < end) {
		size_t stop = end, next;

		rc = progress_tick(c->o->progress, "chunk", NULL, start, end);
		if (rc)
			break;
		if (end - start > WINDOW) {
			stop = utf8_floor(c->text, end, start + WINDOW);
			/* Best cut between paragraphs; a cut elsewhere is mended by the chunk held back. */
			for (size_t i = stop; i > start + WINDOW / 2; i--) {
				if (c->text[i - 1] == '\n' && c->text[i - 2] == '\n') {
					stop = i;
					break;
				}
			}
			if (c->text[stop - 1] != '\n')
				stop = at_space(c->text, start, stop);
		}
		next = stop;
		rc = find_units(c, start, stop);
		if (!rc && c->n_units)
			rc = cut_units(&next, c, stop < end);
		start = next;
	}
	return rc;
}

static int make_path(char **out, const char *const *label, const size_t *len)
{
	struct buf b = BUF_INIT;
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < MAX_LEVEL; i++) {
		if (!len[i])
			continue;
		if (b.len)
			rc = buf_adds(&b, " > ");
		if (!rc)
			rc = buf_add(&b, label[i], len[i]);
	}
	*out = NULL;
	if (!rc) {
		*out = b.len ? buf_detach(&b) : mem_strdup("");
		if (!*out)
			rc = RAG_ENOMEM;
	}
	buf_release(&b);
	return rc;
}

/* Does the section that begins with this heading hold more than it? */
static bool has_body(const char *text, const struct store_mark *m, size_t end)
{
	for (size_t i = (size_t)m->at + m->text_len; i < end; i++)
		if (!white(text[i]))
			return true;
	return false;
}

int chunk_text(struct chunks *out, const char *text, size_t len, const struct store_mark *marks,
	       size_t n_marks, const struct chunk_opts *o)
{
	struct cutter c = { .out = out, .o = o, .text = text, .marks = marks, .n_marks = n_marks, .line = 1 };
	const char *label[MAX_LEVEL] = { NULL };
	size_t label_len[MAX_LEVEL] = { 0 }, start = 0;
	char *path;
	int rc = keep_string(out, mem_strdup(""));

	c.heading = rc ? "" : out->strings[out->n_strings - 1];
	for (size_t i = 0; !rc && i < n_marks; i++) {
		size_t level, next;

		if (marks[i].kind != STORE_HEADING)
			continue;
		if (start < marks[i].at)
			rc = cut_section(&c, start, (size_t)marks[i].at);
		start = (size_t)marks[i].at;
		/* Headings without a text of their own go in front of the first that has some. */
		for (;;) {
			level = marks[i].value < 1 ? 1 : marks[i].value > MAX_LEVEL ? MAX_LEVEL : marks[i].value;
			memset(label_len + level - 1, 0, (MAX_LEVEL - level + 1) * sizeof(*label_len));
			label[level - 1] = marks[i].text;
			label_len[level - 1] = marks[i].text_len;
			for (next = i + 1; next < n_marks && marks[next].kind != STORE_HEADING; next++)
				;
			if (next == n_marks || has_body(text, &marks[i], (size_t)marks[next].at))
				break;
			i = next;
		}
		if (!rc)
			rc = make_path(&path, label, label_len);
		if (!rc)
			rc = keep_string(out, path);
		if (!rc)
			c.heading = path;
	}
	if (!rc && start < len)
		rc = cut_section(&c, start, len);
	tok_ids_release(&c.ids);
	text_spans_release(&c.sentences);
	mem_free(c.units);
	mem_free(c.best);
	mem_free(c.from);
	buf_release(&c.embedded);
	if (rc)
		chunks_release(out);
	return rc;
}

void chunks_release(struct chunks *c)
{
	for (size_t i = 0; i < c->n_strings; i++)
		mem_free(c->strings[i]);
	mem_free(c->strings);
	mem_free(c->v);
	memset(c, 0, sizeof(*c));
}
