#include "config.h"
#include "index/analyze.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

#define PARTS_MAX 16u		/* of an identifier; what has more is a blob */
#define SCAN_MAX ((size_t)1 << 16)	/* bytes of a run that are looked at as one word */

_Static_assert(ANALYZE_TERM_MAX <= UTF8_FOLD_MAX, "a word can be folded");

struct analyze {
	struct text_stemmer *stem;	/* owned; NULL: none */
	bool english, stop;
	struct buf word, out;		/* folded; as handed out */
	/* of the call */
	analyze_fn *fn;
	void *arg;
};

int analyze_new(struct analyze **out, const char *language, bool stop)
{
	struct analyze *a = mem_calloc(1, sizeof(*a));
	int rc = RAG_OK;

	*out = NULL;
	if (!a)
		return RAG_ENOMEM;
	a->stop = stop;
	a->english = !strcmp(language, "english");
	if (strcmp(language, "none"))
		rc = text_stemmer_new(&a->stem, language);
	if (rc)
		analyze_free(a);
	else
		*out = a;
	return rc;
}

void analyze_free(struct analyze *a)
{
	if (!a)
		return;
	text_stemmer_free(a->stem);
	buf_release(&a->word);
	buf_release(&a->out);
	mem_free(a);
}

/* ---- characters -------------------------------------------------------------- */

enum class { OTHER, WORD, DENSE };

/* Written without spaces, or in words too long to be found by one another's. */
static bool is_dense(uint32_t c)
{
	return (c >= 0x0E00 && c <= 0x0EFF) ||		/* Thai, Lao */
	       (c >= 0x1000 && c <= 0x109F) ||		/* Burmese */
	       (c >= 0x1780 && c <= 0x17FF) ||		/* Khmer */
	       (c >= 0x3040 && c <= 0x30FF) || (c >= 0x31F0 && c <= 0x31FF) ||	/* kana */
	       (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) ||	/* ideographs */
	       (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF) ||
	       (c >= 0xAC00 && c <= 0xD7A3) ||		/* Hangul */
	       (c >= 0xFF66 && c <= 0xFF9F);		/* kana of half width */
}

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static bool is_upper(unsigned char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_lower(unsigned char c)
{
	return c >= 'a' && c <= 'z';
}

static enum class class_at(const char *s, size_t n, size_t *len)
{
	unsigned char b = (unsigned char)*s;
	uint32_t c;

	*len = 1;
	if (b < 0x80)
		return is_lower(b) || is_upper(b) || is_digit(b) || b == '_' ? WORD : OTHER;
	c = utf8_next(s, n, len);
	if (c == UTF8_BAD || !(utf8_is_letter(c) || utf8_is_number(c) || utf8_is_mark(c)))
		return OTHER;
	return is_dense(c) ? DENSE : WORD;
}

/* Behind a number's first digits: does what stands at i go on with it? */
static bool number_goes_on(const char *s, size_t n, size_t i)
{
	size_t d = i + 1;

	if (i + 1 >= n || !is_digit((unsigned char)s[i + 1]))
		return false;
	while (d < n && d < i + 5 && is_digit((unsigned char)s[d]))
		d++;
	return s[i] == '.' || (s[i] == ',' && d == i + 4);
}

size_t analyze_next(const char *s, size_t n, size_t i, bool *word)
{
	size_t len, start = i, end;
	enum class first = class_at(s + i, n - i, &len);
	bool number = is_digit((unsigned char)s[i]);

	*word = first != OTHER;
	end = n - start > SCAN_MAX ? start + SCAN_MAX : n;
	for (i += len; i < end; i += len) {
		enum class k = class_at(s + i, n - i, &len);

		if (number && k == OTHER && number_goes_on(s, n, i))
			continue;
		if (k != first)
			break;
		number &= is_digit((unsigned char)s[i]);
	}
	return i;
}

/* ---- words ------------------------------------------------------------------- */

static const char *const english_stop[] = {	/* those of Lucene's EnglishAnalyzer; sorted */
	"a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is",
	"it", "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there",
	"these", "they", "this", "to", "was", "will", "with",
};

static bool is_stop(const struct analyze *a, const char *s, size_t n)
{
	size_t lo = 0, hi = sizeof(english_stop) / sizeof(english_stop[0]), len;

	if (!a->stop)
		return false;
	if (n <= 4 && (utf8_next(s, n, &len) != UTF8_BAD && len == n))
		return true;
	if (!a->english || n > 5)
		return false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int cmp = strncmp(english_stop[mid], s, n);

		if (!cmp && !english_stop[mid][n])
			return true;
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* Latin and Greek letters lose their marks; elsewhere marks are letters. */
static int add_plain(struct buf *out, const char *s, size_t n)
{
	uint32_t parts[18];
	char put[4];
	size_t len;
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < n; i += len) {
		uint32_t c = utf8_next(s + i, n - i, &len);

		if (c >= 0x80 && (c < 0x400 || (c >= 0x1E00 && c < 0x2000))) {
			size_t k = utf8_decompose(parts, c);

			for (size_t j = 0; !rc && j < k; j++)
				if (!utf8_is_nonspacing(parts[j]))
					rc = buf_add(out, put, utf8_put(put, parts[j]));
		} else {
			rc = buf_add(out, s + i, len);
		}
	}
	return rc;
}

/* Into out, which is empty. */
static int fold(struct buf *out, bool *ascii, const char *s, size_t n)
{
	int rc;

	if (n > ANALYZE_TERM_MAX)
		n = utf8_floor(s, n, ANALYZE_TERM_MAX);
	*ascii = true;
	for (size_t i = 0; i < n; i++)
		*ascii &= !((unsigned char)s[i] & 0x80);
	if (!*ascii) {
		rc = utf8_fold(out, s, n);
		if (!rc && out->len > ANALYZE_TERM_MAX)
			out->len = utf8_floor(out->data, out->len, ANALYZE_TERM_MAX);
		return rc;
	}
	rc = buf_reserve(out, n);
	for (size_t i = 0; !rc && i < n; i++)
		if (s[i] != ',')	/* a number's */
			out->data[out->len++] = is_upper((unsigned char)s[i]) ? (char)(s[i] + 'a' - 'A') : s[i];
	return rc;
}

static int give(struct analyze *a, const char *s, size_t n, uint32_t at, enum term_kind kind)
{
	struct term t = { s, n, at, kind };

	return n ? a->fn(a->arg, &t) : RAG_OK;
}

static int stem_and_give(struct analyze *a, bool ascii, uint32_t at, enum term_kind kind)
{
	const char *stem = a->word.data;
	size_t n = a->word.len;
	bool same;
	int rc = RAG_OK;

	if (a->stem)
		rc = text_stem_of(&stem, &n, a->stem, stem, n);
	if (rc)
		return rc;
	same = n == a->word.len && !memcmp(stem, a->word.data, n);
	if (ascii) {
		rc = give(a, stem, n, at, kind);
	} else {
		buf_clear(&a->out);
		rc = add_plain(&a->out, stem, n);
		if (!rc)
			rc = give(a, a->out.data, a->out.len, at, kind);
	}
	if (rc || same)
		return rc;
	buf_clear(&a->out);
	rc = buf_addc(&a->out, ANALYZE_FORM);
	if (!rc)
		rc = add_plain(&a->out, a->word.data, a->word.len);
	return rc ? rc : give(a, a->out.data, a->out.len, at, TERM_FORM);
}

static int one_word(struct analyze *a, const char *s, size_t n, uint32_t at, enum term_kind kind)
{
	bool ascii;
	int rc;

	buf_clear(&a->word);
	rc = fold(&a->word, &ascii, s, n);
	if (rc || !a->word.len)
		return rc;
	if (!is_stop(a, a->word.data, a->word.len))
		return stem_and_give(a, ascii, at, kind);
	buf_clear(&a->out);
	rc = buf_addc(&a->out, ANALYZE_STOP);
	if (!rc)
		rc = add_plain(&a->out, a->word.data, a->word.len);
	return rc ? rc : give(a, a->out.data, a->out.len, at, TERM_STOP);
}

/* Where the part of an identifier that begins at i ends: at '_', before a capital behind
 * a small letter, before the last of some capitals where small letters follow ("HTTP|Response"),
 * but for one plural s ("URLs"). */
static size_t part_end(const char *s, size_t n, size_t i)
{
	size_t start = i;

	for (i++; i < n && s[i] != '_'; i++) {
		unsigned char c = (unsigned char)s[i], before = (unsigned char)s[i - 1];

		if (is_upper(c) && !is_upper(before))
			return i;
		if (is_lower(c) && is_upper(before) && i - 1 > start &&
		    !(c == 's' && (i + 1 == n || s[i + 1] == '_')))
			return i - 1;
	}
	return i;
}

static int identifier(struct analyze *a, const char *s, size_t n, uint32_t *at)
{
	size_t start[PARTS_MAX], end[PARTS_MAX], parts = 0;
	int rc = RAG_OK;

	while (n && s[n - 1] == '_')
		n--;
	while (n && *s == '_') {
		s++;
		n--;
	}
	if (!n)
		return RAG_OK;
	for (size_t i = 0; i < n && n <= ANALYZE_TERM_MAX && parts < PARTS_MAX; parts++) {
		start[parts] = i;
		end[parts] = i = part_end(s, n, i);
		while (i < n && s[i] == '_')
			i++;
		if (i < n && parts + 1 == PARTS_MAX)
			parts = PARTS_MAX;	/* too many: it is a blob */
	}
	/* two parts that begin with a capital (YouTube, McDonald) are a name rather than code */
	if (parts < 2 || parts > PARTS_MAX || (parts == 2 && is_upper((unsigned char)*s) && !memchr(s, '_', n)))
		return one_word(a, s, n, (*at)++, TERM_WORD);
	rc = one_word(a, s, n, *at, TERM_WHOLE);
	for (size_t i = 0; !rc && i < parts; i++)
		rc = one_word(a, s + start[i], end[i] - start[i], (*at)++, TERM_WORD);
	return rc;
}

/* A character with the marks behind it. */
static size_t cluster(const char *s, size_t n)
{
	size_t i, len;

	utf8_next(s, n, &i);
	while (i < n && utf8_is_mark(utf8_next(s + i, n - i, &len)))
		i += len;
	return i;
}

static int pairs(struct analyze *a, const char *s, size_t n, uint32_t *at)
{
	size_t first = cluster(s, n), second;
	int rc = RAG_OK;

	/* one alone is a term, too: a question for it looks for pairs that begin so */
	for (size_t i = 0; !rc && (i + first < n || !i); i += first, first = second) {
		bool ascii;

		second = i + first < n ? cluster(s + i + first, n - i - first) : 0;
		buf_clear(&a->word);
		rc = fold(&a->word, &ascii, s + i, first + second);
		if (!rc)
			rc = give(a, a->word.data, a->word.len, (*at)++, TERM_WORD);
	}
	return rc;
}

int analyze_text(struct analyze *a, const char *s, size_t n, uint32_t *at, analyze_fn *fn, void *arg)
{
	size_t i = 0, end, len;
	bool word;
	int rc = RAG_OK;

	a->fn = fn;
	a->arg = arg;
	for (; !rc && i < n; i = end) {
		end = analyze_next(s, n, i, &word);
		if (word && class_at(s + i, n - i, &len) == DENSE)
			rc = pairs(a, s + i, end - i, at);
		else if (word)
			rc = identifier(a, s + i, end - i, at);
	}
	return rc;
}

int analyze_fold(struct buf *out, struct analyze *a, const char *s, size_t n)
{
	bool ascii;
	int rc;

	buf_clear(&a->word);
	rc = fold(&a->word, &ascii, s, n);
	return rc ? rc : add_plain(out, a->word.data, a->word.len);
}
