/*
 * Where byte-level BPE cuts text before it merges: hand-written scanners, each
 * the twin of a regular expression (tests/unit/tok-t.c compares them).
 * A scanner gives the length of the first piece of s (n >= 1 bytes that are
 * whole code points; surrogates are let through, as llama.cpp does).
 */
#include "config.h"
#include "model/tok_impl.h"

#include <string.h>

#include "base/utf8.h"

enum { LETTER = 1, NUMBER = 2, SPACE = 4, OTHER = 8 };	/* 0: the end */

struct at {
	uint32_t c;
	unsigned class;
	size_t len;
};

static unsigned class_of(uint32_t c)
{
	if (utf8_is_letter(c))
		return LETTER;
	if (utf8_is_space(c))
		return SPACE;
	return utf8_is_number(c) ? NUMBER : OTHER;
}

static struct at look(const char *s, size_t n, size_t i)
{
	const unsigned char *p = (const unsigned char *)s + i;
	struct at a = { 0, 0, 0 };

	if (i >= n)
		return a;
	a.c = p[0];
	a.len = a.c < 0x80 ? 1 : a.c < 0xE0 ? 2 : a.c < 0xF0 ? 3 : 4;
	if (a.len == 2)
		a.c = (a.c & 0x1F) << 6 | (p[1] & 0x3F);
	else if (a.len == 3)
		a.c = (a.c & 0x0F) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3F);
	else if (a.len == 4)
		a.c = (a.c & 0x07) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3F);
	a.class = class_of(a.c);
	return a;
}

/* The end of the run of one class from i on. */
static size_t run(const char *s, size_t n, size_t i, unsigned class)
{
	struct at a;

	while ((a = look(s, n, i)).class == class)
		i += a.len;
	return i;
}

/* 's 't 'm 'd 're 've 'll behind an apostrophe: the length with it, or 0. */
static size_t contraction(const char *s, size_t n, char fold)
{
	char a, b;

	if (s[0] != '\'' || n < 2)
		return 0;
	a = (char)(s[1] | fold);
	if (a == 's' || a == 't' || a == 'm' || a == 'd')
		return 2;
	if (n < 3)
		return 0;
	b = (char)(s[2] | fold);
	return ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* \s+(?!\S)|\s+ where s begins with white space: leaves the last one to the
 * word that follows. */
static size_t spaces(const char *s, size_t n, bool to_end)
{
	size_t i = 0, last = 0;
	struct at a;

	while ((a = look(s, n, i)).class == SPACE) {
		last = i;
		i += a.len;
	}
	return a.class == 0 || to_end || last == 0 ? i : last;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t scan_gpt2(const char *s, size_t n)
{
	size_t len = contraction(s, n, 0);
	struct at a;

	if (len)
		return len;
	a = look(s, n, s[0] == ' ');
	if (a.class & (LETTER | NUMBER | OTHER))
		return run(s, n, (s[0] == ' ') + a.len, a.class);
	return spaces(s, n, false);
}

/* \p{N} on its own first; then the pieces between as above.  A number ends the
 * piece before it, so that white space there has nothing to leave over for. */
static size_t scan_smollm(const char *s, size_t n)
{
	size_t len = contraction(s, n, 0), end;
	struct at a;

	if (len)
		return len;
	a = look(s, n, s[0] == ' ');
	if (a.class == NUMBER)
		return s[0] == ' ' ? 1 : a.len;
	if (a.class & (LETTER | OTHER))
		return run(s, n, (s[0] == ' ') + a.len, a.class);
	end = run(s, n, 0, SPACE);
	return spaces(s, n, look(s, n, end).class == NUMBER);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}|
 *  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t scan_llama(const char *s, size_t n, int digits)
{
	size_t len = contraction(s, n, 0x20), i, line = 0;
	struct at a, b;

	if (len)
		return len;
	a = look(s, n, 0);
	if (a.class == LETTER)
		return run(s, n, a.len, LETTER);
	if (a.class == NUMBER) {
		for (i = a.len; --digits > 0 && (b = look(s, n, i)).class == NUMBER;)
			i += b.len;
		return i;
	}
	if (a.c != '\r' && a.c != '\n') {
		b = look(s, n, a.len);
		if (b.class == LETTER)
			return run(s, n, a.len + b.len, LETTER);
		if (a.class == OTHER || (a.c == ' ' && b.class == OTHER)) {
			i = run(s, n, a.len, OTHER);
			while (i < n && (s[i] == '\r' || s[i] == '\n'))
				i++;
			return i;
		}
	}
	for (i = 0; (b = look(s, n, i)).class == SPACE; i += b.len)
		if (b.c == '\r' || b.c == '\n')
			line = i + 1;
	return line ? line : spaces(s, n, false);
}

static size_t scan_qwen2(const char *s, size_t n)
{
	return scan_llama(s, n, 1);
}

static size_t scan_llama3(const char *s, size_t n)
{
	return scan_llama(s, n, 3);
}

size_t (*tok_scanner(const char *pre, size_t n))(const char *s, size_t n)
{
	static const struct {
		const char *pre;
		size_t (*scan)(const char *s, size_t n);
	} known[] = {
		{ "gpt-2", scan_gpt2 }, { "smollm", scan_smollm }, { "qwen2", scan_qwen2 },
		{ "deepseek-r1-qwen", scan_qwen2 }, { "llama-bpe", scan_llama3 },
		{ "llama3", scan_llama3 }, { "llama-v3", scan_llama3 },
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strlen(known[i].pre) == n && !memcmp(known[i].pre, pre, n))
			return known[i].scan;
	return NULL;
}
