#include "config.h"
#include "base/text.h"

#include <libstemmer.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"

#define ABBR_MAX 12	/* bytes: longer than every entry of the lists below */

/* The code point at i and its length; a byte that is not UTF-8 is U+FFFD. */
static uint32_t at(const char *s, size_t n, size_t i, size_t *len)
{
	uint32_t c = utf8_next(s + i, n - i, len);

	return c == UTF8_BAD ? 0xFFFD : c;
}


static int add_span(struct text_spans *out, size_t start, size_t end)
{
	struct text_span *v;
	size_t cap;

	if (out->n == out->cap) {
		cap = out->cap ? 2 * out->cap : 32;
		v = mem_realloc(out->v, cap, sizeof(*v));
		if (!v)
			return RAG_ENOMEM;
		out->v = v;
		out->cap = cap;
	}
	out->v[out->n].start = start;
	out->v[out->n++].end = end;
	return RAG_OK;
}

void text_spans_release(struct text_spans *spans)
{
	mem_free(spans->v);
	spans->v = NULL;
	spans->n = spans->cap = 0;
}

/* Words */

/* Written without spaces: each character is a word. */
static bool stands_alone(uint32_t c)
{
	return c >= 0x3040 && ((c <= 0x30FF && c != 0x30FC) ||	/* hiragana, katakana */
			       (c >= 0x31F0 && c <= 0x31FF) ||
			       (c >= 0x3400 && c <= 0x4DBF) ||	/* ideographs */
			       (c >= 0x4E00 && c <= 0x9FFF) ||
			       (c >= 0xF900 && c <= 0xFAFF) ||
			       (c >= 0x20000 && c <= 0x3FFFF));
}

static bool is_digit(uint32_t c)
{
	return c - '0' < 10u;
}

static bool in_word(uint32_t c)
{
	return utf8_is_letter(c) || utf8_is_number(c) || (c >= 0x300 && utf8_is_mark(c));
}

/* UAX #29, WB6, WB7, WB11, WB12: what joins the characters on its two sides. */
static bool joins(uint32_t left, uint32_t c, uint32_t right)
{
	if (!in_word(right) || stands_alone(right))
		return false;
	if (c == '\'' || c == 0x2019)
		return !is_digit(left) && !is_digit(right);
	if (c == '.')
		return is_digit(left) == is_digit(right);
	return c == ',' && is_digit(left) && is_digit(right);
}

int text_words(struct text_spans *out, const char *s, size_t n)
{
	size_t i = 0, start, len, len2;
	uint32_t c, last;
	int rc;

	while (i < n) {
		c = at(s, n, i, &len);
		if (!in_word(c)) {
			i += len;
			continue;
		}
		start = i;
		i += len;
		for (last = c; i < n && !stands_alone(c); i += len) {
			c = at(s, n, i, &len);
			if (in_word(c) && !stands_alone(c)) {
				last = c;
				continue;
			}
			if (i + len >= n || !joins(last, c, at(s, n, i + len, &len2)))
				break;
		}
		/* Marks belong to the ideograph that they stand behind. */
		while (i < n && (c = at(s, n, i, &len)) >= 0x300 && utf8_is_mark(c))
			i += len;
		rc = add_span(out, start, i);
		if (rc)
			return rc;
	}
	return RAG_OK;
}

/* Sentences */

static bool in_list(const char *const *list, size_t count, const char *w, size_t n)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strlen(list[i]) == n && !memcmp(list[i], w, n))
			return true;
	return false;
}
#define IN_LIST(list, w, n) in_list(list, sizeof(list) / sizeof(*(list)), w, n)

/* Behind these a sentence goes on, whatever follows. */
static const char *const opening[] = {
	"mr", "mrs", "ms", "dr", "prof", "st", "mt", "ft", "rev", "hon", "gen", "col",
	"capt", "lt", "sgt", "gov", "sen", "rep", "pres", "vs", "cf", "e.g", "i.e", "eg",
	"ie", "viz", "approx", "messrs", "mme", "mlle",
};

/* These are abbreviations only before a number ("Fig. 3", but "he said no. Then"). */
static const char *const counting[] = {
	"fig", "figs", "eq", "eqs", "no", "nos", "vol", "vols", "p", "pp", "ch", "chap",
	"sec", "sect", "ref", "refs", "tab", "art", "par", "app", "ca", "nr", "jan", "feb",
	"mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
};

/* What often follows a sentence that ends in an initial or an acronym. */
static const char *const starters[] = {
	"the", "in", "it", "he", "she", "they", "we", "this", "that", "these", "those",
	"but", "and", "however", "if", "when", "as", "at", "for", "on", "there", "an",
	"his", "her", "its", "their", "our", "after", "while", "although", "since",
};

static bool is_stop(uint32_t c)
{
	return c == '.' || c == '!' || c == '?' || c == 0x2026 || c == 0x203C ||
	       c == 0x2047 || c == 0x2048 || c == 0x2049 || c == 0x61F || c == 0x6D4 ||
	       c == 0x964 || c == 0x965;
}

/* Full stops of scripts that put no space behind them. */
static bool is_cjk_stop(uint32_t c)
{
	return c == 0x3002 || c == 0xFF01 || c == 0xFF1F || c == 0xFF61 || c == 0xFF0E;
}

static bool is_closer(uint32_t c)
{
	return c == '"' || c == '\'' || c == ')' || c == ']' || c == '}' || c == 0x2019 ||
	       c == 0x201D || c == 0xBB || c == 0x203A || c == 0x300D || c == 0x300F ||
	       c == 0x3011 || c == 0x3009 || c == 0x300B || c == 0xFF09;
}

static bool is_opener(uint32_t c)
{
	return c == '"' || c == '\'' || c == '(' || c == '[' || c == 0x2018 ||
	       c == 0x201C || c == 0xAB || c == 0xBF || c == 0xA1;
}

/* "- ", "* ", "3. ", "b) ", "# ", "| " at the beginning of a line. */
static bool is_item(const char *s, size_t n)
{
	size_t i = 0, len;
	uint32_t c = at(s, n, 0, &len);

	if (c == '-' || c == '*' || c == '+' || c == 0x2022 || c == 0x25E6 || c == 0x2013)
		return n > len && (s[len] == ' ' || s[len] == '\t');
	if (c == '|' || c == '#')
		return true;
	while (i < n && i < 3 && is_digit((unsigned char)s[i]))
		i++;
	if (!i && n > 1 && utf8_is_letter(c) && c < 0x80 && s[1] == ')')
		i = 1;
	return i && i + 1 < n && (s[i] == '.' || s[i] == ')') && s[i + 1] == ' ';
}

/* White space from i: its end, and whether a paragraph or an item begins there. */
static size_t skip_space(const char *s, size_t n, size_t i, bool *paragraph)
{
	size_t len, lines = 0;
	uint32_t c;

	while (i < n) {
		c = at(s, n, i, &len);
		if (!utf8_is_space(c))
			break;
		lines += c == '\n' || c == 0x2029 || (c == '\r' && (i + 1 == n || s[i + 1] != '\n'));
		if (c == '\f' || c == 0x2029)
			lines = 2;
		i += len;
	}
	*paragraph = lines > 1 || (lines == 1 && i < n && is_item(s + i, n - i));
	return i;
}

/* The word (letters and inner full stops) that ends before i, small, if it is short. */
static size_t word_before(char out[ABBR_MAX], const char *s, size_t start, size_t i)
{
	size_t from = i, k;

	while (from > start && ((unsigned char)s[from - 1] >= 0x80 || s[from - 1] == '.' ||
				utf8_is_letter((unsigned char)s[from - 1]) ||
				is_digit((unsigned char)s[from - 1]))) {
		if (i - --from > ABBR_MAX)
			return 0;
	}
	for (k = from; k < i; k++)
		out[k - from] = (char)utf8_lower((unsigned char)s[k]);
	return i - from;
}

static bool is_starter(const char *s, size_t n, size_t i)
{
	char w[ABBR_MAX];
	size_t k = 0;

	while (i < n && k < ABBR_MAX && utf8_is_letter((unsigned char)s[i]))
		w[k++] = (char)utf8_lower((unsigned char)s[i++]);
	return IN_LIST(starters, w, k);
}

/* Does the full stop at i end the sentence from start?  first: what comes behind
 * the space, next: the same without opening quotes and brackets. */
static bool full_stop_ends(const char *s, size_t n, size_t start, size_t i,
			   size_t first, size_t next)
{
	char w[ABBR_MAX];
	size_t k = word_before(w, s, start, i), d;
	bool bracket = s[first] == '(' || s[first] == '[';

	if (!k)
		return true;
	if (IN_LIST(opening, w, k))
		return false;
	if (IN_LIST(counting, w, k))
		return !is_digit((unsigned char)s[next]) && !bracket;
	for (d = 0; d < k && is_digit((unsigned char)w[d]); d++)
		;
	if (d == k)
		return k > 3 || i != start + k;	/* the number of a list item */
	if (k >= 3 && w[1] == '.')	/* U.S., a.m. */
		return is_starter(s, n, next);
	if (k == 1 && utf8_is_upper((unsigned char)s[i - 1]))
		return is_starter(s, n, next);
	if (k == 2 && w[0] == 'a' && w[1] == 'l')	/* et al. (1999) */
		return !bracket;
	return true;
}

/* Behind the stop: more stops, closing quotes and brackets, note marks like [12]. */
static size_t skip_closers(const char *s, size_t n, size_t i, bool *single)
{
	size_t len, k;
	uint32_t c;

	while (i < n) {
		c = at(s, n, i, &len);
		if (is_stop(c) || is_cjk_stop(c)) {
			*single = false;
		} else if (c == '[') {
			for (k = i + 1; k < n && k < i + 5 && is_digit((unsigned char)s[k]); k++)
				;
			if (k == i + 1 || k == n || s[k] != ']')
				break;
			len = k + 1 - i;
		} else if (!is_closer(c)) {
			break;
		}
		i += len;
	}
	return i;
}

/* Is there an end of a sentence behind the stop c at i (end: behind all that closes)? */
static bool ends(const char *s, size_t n, size_t start, size_t i, size_t end, bool single)
{
	size_t len, first, next;
	uint32_t c = at(s, n, i, &len);
	bool paragraph;

	if (end == n || is_cjk_stop(c))
		return true;
	first = skip_space(s, n, end, &paragraph);
	if (first == end)
		return false;
	if (first == n || paragraph)
		return true;
	for (next = first; next < n && is_opener(at(s, n, next, &len)); next += len)
		;
	if (next == n)
		return true;
	c = at(s, n, next, &len);
	if (utf8_is_letter(c) && utf8_lower(c) == c && c < 0x590 && !utf8_is_upper(c))
		return false;	/* a small letter of a script that has large ones */
	return s[i] != '.' || !single || full_stop_ends(s, n, start, i, first, next);
}

int text_sentences(struct text_spans *out, const char *s, size_t n)
{
	size_t i, start, end, len;
	bool paragraph, single;
	uint32_t c;
	int rc;

	i = start = skip_space(s, n, 0, &paragraph);
	while (i < n) {
		c = at(s, n, i, &len);
		if (is_stop(c) || is_cjk_stop(c)) {
			single = true;
			end = skip_closers(s, n, i + len, &single);
			if (!ends(s, n, start, i, end, single)) {
				i = end;
				continue;
			}
			i = skip_space(s, n, end, &paragraph);
		} else if (utf8_is_space(c)) {
			end = i;
			i = skip_space(s, n, i, &paragraph);
			if (!paragraph && i < n)
				continue;
		} else {
			i += len;
			end = i;
			if (i < n)
				continue;
		}
		rc = add_span(out, start, end);
		if (rc)
			return rc;
		start = i;
	}
	if (start < n)	/* a stop at the very end that ended nothing */
		return add_span(out, start, n);
	return RAG_OK;
}

/* Stems */

struct text_stemmer {
	struct sb_stemmer *sb;	/* owned */
	struct buf word;
};

static int no_stemmer(const char *language)
{
	struct buf known = BUF_INIT;
	int rc = RAG_OK;

	for (const char **l = sb_stemmer_list(); !rc && *l; l++)
		rc = buf_addf(&known, "%s%s", known.len ? ", " : "", *l);
	if (!rc)
		rc = err_set(RAG_EUNSUP, "no stemmer for language '%.40s'; there are %s", language,
			     buf_str(&known));
	buf_release(&known);
	return rc;
}

int text_stemmer_new(struct text_stemmer **out, const char *language)
{
	struct text_stemmer *st = mem_calloc(1, sizeof(*st));

	*out = NULL;
	if (!st)
		return RAG_ENOMEM;
	st->sb = sb_stemmer_new(language, "UTF_8");
	if (!st->sb) {
		mem_free(st);
		return no_stemmer(language);
	}
	*out = st;
	return RAG_OK;
}

void text_stemmer_free(struct text_stemmer *st)
{
	if (!st)
		return;
	sb_stemmer_delete(st->sb);
	buf_release(&st->word);
	mem_free(st);
}

/* Snowball's buffer takes an int; no word of a language is near it. */
#define WORD_MAX 1024

int text_stem_of(const char **out, size_t *out_n, struct text_stemmer *st, const char *word, size_t n)
{
	const sb_symbol *stem;

	*out = word;
	*out_n = n;
	if (n > WORD_MAX)
		return RAG_OK;
	stem = sb_stemmer_stem(st->sb, (const sb_symbol *)word, (int)n);
	if (!stem)
		return err_set(RAG_ENOMEM, "out of memory, cannot stem a word");
	*out = (const char *)stem;
	*out_n = (size_t)sb_stemmer_length(st->sb);
	return RAG_OK;
}

int text_stem(struct buf *out, struct text_stemmer *st, const char *word, size_t n)
{
	const char *stem;
	size_t i, len;
	char put[4];
	uint32_t c;
	int rc;

	buf_clear(&st->word);
	for (i = 0; i < n; i += len) {
		c = utf8_lower(at(word, n, i, &len));
		if (c == 0x2019)
			c = '\'';
		rc = buf_add(&st->word, put, utf8_put(put, c));
		if (rc)
			return rc;
	}
	rc = text_stem_of(&stem, &len, st, buf_str(&st->word), st->word.len);
	return rc ? rc : buf_add(out, stem, len);
}
