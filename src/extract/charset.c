#include "config.h"

#include "src/extract/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"

#define PRESCAN 4096		/* bytes in which a page must declare its encoding */
#define MAX_CONTROLS 100	/* one control character in so many is still text */
#define MAX_BAD_PERCENT 30	/* more bytes than that are no damage but another encoding */

enum form { UTF8, UTF16LE, UTF16BE, UTF32LE, UTF32BE, WINDOWS_1252, OTHER, UNKNOWN };

struct charset {
	enum form form;
	size_t bom;	/* bytes to leave out */
	iconv_t cd;	/* form OTHER */
};

/* Labels in use, and iconv's name ("" for those done here).  Where browsers take a
 * superset (latin-1 is windows-1252, gb2312 is gb18030), so do we. */
static const struct label {
	const char *label;
	enum form form;
	const char *iconv;
} labels[] = {
	{ "utf-8", UTF8, "" }, { "utf8", UTF8, "" }, { "us-ascii", WINDOWS_1252, "" },
	{ "ascii", WINDOWS_1252, "" }, { "iso-8859-1", WINDOWS_1252, "" }, { "latin1", WINDOWS_1252, "" },
	{ "l1", WINDOWS_1252, "" }, { "iso8859-1", WINDOWS_1252, "" }, { "iso_8859-1", WINDOWS_1252, "" },
	{ "windows-1252", WINDOWS_1252, "" }, { "cp1252", WINDOWS_1252, "" },
	{ "utf-16", UTF16LE, "" }, { "utf-16le", UTF16LE, "" }, { "utf-16be", UTF16BE, "" },
	{ "windows-1250", OTHER, "CP1250" }, { "windows-1251", OTHER, "CP1251" },
	{ "windows-1253", OTHER, "CP1253" }, { "windows-1254", OTHER, "CP1254" },
	{ "windows-1255", OTHER, "CP1255" }, { "windows-1256", OTHER, "CP1256" },
	{ "windows-1257", OTHER, "CP1257" }, { "windows-1258", OTHER, "CP1258" },
	{ "windows-874", OTHER, "CP874" }, { "tis-620", OTHER, "CP874" },
	{ "cp1250", OTHER, "CP1250" }, { "cp1251", OTHER, "CP1251" },
	{ "iso-8859-2", OTHER, "ISO-8859-2" }, { "iso-8859-3", OTHER, "ISO-8859-3" },
	{ "iso-8859-4", OTHER, "ISO-8859-4" }, { "iso-8859-5", OTHER, "ISO-8859-5" },
	{ "iso-8859-6", OTHER, "ISO-8859-6" }, { "iso-8859-7", OTHER, "ISO-8859-7" },
	{ "iso-8859-8", OTHER, "ISO-8859-8" }, { "iso-8859-9", OTHER, "CP1254" },
	{ "iso-8859-10", OTHER, "ISO-8859-10" }, { "iso-8859-13", OTHER, "ISO-8859-13" },
	{ "iso-8859-14", OTHER, "ISO-8859-14" }, { "iso-8859-15", OTHER, "ISO-8859-15" },
	{ "iso-8859-16", OTHER, "ISO-8859-16" }, { "koi8-r", OTHER, "KOI8-R" },
	{ "koi8-u", OTHER, "KOI8-U" }, { "ibm866", OTHER, "CP866" }, { "cp866", OTHER, "CP866" },
	{ "macintosh", OTHER, "MACINTOSH" }, { "shift_jis", OTHER, "CP932" },
	{ "shift-jis", OTHER, "CP932" }, { "sjis", OTHER, "CP932" }, { "windows-31j", OTHER, "CP932" },
	{ "euc-jp", OTHER, "EUC-JP" }, { "iso-2022-jp", OTHER, "ISO-2022-JP" },
	{ "euc-kr", OTHER, "CP949" }, { "ks_c_5601-1987", OTHER, "CP949" }, { "gb2312", OTHER, "GB18030" },
	{ "gbk", OTHER, "GB18030" }, { "gb18030", OTHER, "GB18030" }, { "big5", OTHER, "BIG5-HKSCS" },
	{ "big5-hkscs", OTHER, "BIG5-HKSCS" },
};

static const uint16_t cp1252[32] = {	/* 0x80 .. 0x9F; 0: not assigned */
	0x20AC, 0, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039,
	0x0152, 0, 0x017D, 0, 0, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC,
	0x2122, 0x0161, 0x203A, 0x0153, 0, 0x017E, 0x0178,
};

static const struct label *find_label(const char *s, size_t n)
{
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (strlen(labels[i].label) == n && !strncasecmp(labels[i].label, s, n))
			return &labels[i];
	return NULL;
}

/* The label behind `word` (charset, encoding), an equals sign and perhaps a quote. */
static const struct label *declared(const char *s, size_t n, const char *word)
{
	size_t w = strlen(word);

	for (size_t i = 0; i + w < n; i++) {
		size_t k = i + w, end;

		if (strncasecmp(s + i, word, w))
			continue;
		while (k < n && (s[k] == ' ' || s[k] == '\t'))
			k++;
		if (k == n || s[k] != '=')
			continue;
		k++;
		while (k < n && (s[k] == ' ' || s[k] == '"' || s[k] == '\''))
			k++;
		for (end = k; end < n && !strchr(" \t\r\n\"'>;/?", s[end]); end++)
			if (!s[end])
				break;
		if (find_label(s + k, end - k))
			return find_label(s + k, end - k);
	}
	return NULL;
}

/* Is every other byte zero, as in UTF-16 text of a western language? */
static enum form bare_utf16(const char *s, size_t n)
{
	size_t even = 0, odd = 0, look = n < PRESCAN ? n & ~(size_t)1 : PRESCAN;

	for (size_t i = 0; i < look; i++)
		if (!s[i])
			++*(i & 1 ? &odd : &even);
	if (n % 2 || look < 8)
		return UNKNOWN;
	if (odd >= look * 2 / 5 && even * 20 < look)
		return UTF16LE;
	if (even >= look * 2 / 5 && odd * 20 < look)
		return UTF16BE;
	return UNKNOWN;
}

int charset_choose(struct charset **out, const char *s, size_t n, const char *type, bool html)
{
	static const struct { const char *bytes; size_t n; enum form form; } boms[] = {
		{ "\xEF\xBB\xBF", 3, UTF8 }, { "\xFF\xFE\0\0", 4, UTF32LE }, { "\0\0\xFE\xFF", 4, UTF32BE },
		{ "\xFF\xFE", 2, UTF16LE }, { "\xFE\xFF", 2, UTF16BE },
	};
	const struct label *l;
	struct charset *c = mem_calloc(1, sizeof(*c));
	size_t scan = n < PRESCAN ? n : PRESCAN;

	*out = c;
	if (!c)
		return RAG_ENOMEM;
	c->form = UNKNOWN;
	c->cd = (iconv_t)-1;
	for (size_t i = 0; i < sizeof(boms) / sizeof(boms[0]); i++) {
		if (n >= boms[i].n && !memcmp(s, boms[i].bytes, boms[i].n)) {
			c->form = boms[i].form;
			c->bom = boms[i].n;
			return RAG_OK;
		}
	}
	l = declared(type, strlen(type), "charset");
	if (!l && html)
		l = declared(s, scan, "charset");
	if (!l && html)
		l = declared(s, scan, "encoding");
	if (l && html && (l->form == UTF16LE || l->form == UTF16BE) && !declared(type, strlen(type), "charset"))
		l = find_label("utf-8", 5);	/* the declaration was readable, so it is wrong */
	if (!l) {
		c->form = bare_utf16(s, n);
		return RAG_OK;
	}
	c->form = l->form;
	if (l->form == OTHER) {
		c->cd = iconv_open("UTF-8", l->iconv);
		if (c->cd == (iconv_t)-1)
			c->form = UNKNOWN;
	}
	return RAG_OK;
}

void charset_free(struct charset *c)
{
	if (!c)
		return;
	if (c->cd != (iconv_t)-1)
		iconv_close(c->cd);
	mem_free(c);
}

static int add(struct buf *b, uint32_t c)
{
	char u[4];

	return buf_add(b, u, utf8_put(u, c));
}

static int from_wide(struct buf *out, size_t *bad, const char *s, size_t n, int unit, bool big)
{
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i + (size_t)unit <= n; i += (size_t)unit) {
		uint32_t c = 0, d;

		for (int k = 0; k < unit; k++)
			c |= (uint32_t)(unsigned char)s[i + (size_t)k] << 8 * (big ? unit - 1 - k : k);
		if (unit == 2 && c >= 0xD800 && c < 0xDC00 && i + 4 <= n) {
			const unsigned char *p = (const unsigned char *)s + i + 2;

			d = big ? (uint32_t)(p[0] << 8 | p[1]) : (uint32_t)(p[1] << 8 | p[0]);
			if (d >= 0xDC00 && d < 0xE000) {
				c = 0x10000 + ((c - 0xD800) << 10) + (d - 0xDC00);
				i += 2;
			}
		}
		if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) {
			c = 0xFFFD;
			++*bad;
		}
		rc = add(out, c);
	}
	*bad += n % (size_t)unit;
	return rc;
}

static int from_1252(struct buf *out, size_t *bad, const char *s, size_t n)
{
	int rc = buf_reserve(out, n + n / 4);

	for (size_t i = 0; !rc && i < n; i++) {
		uint32_t c = (unsigned char)s[i];

		if (c >= 0x80 && c < 0xA0) {
			c = cp1252[c - 0x80];
			if (!c) {
				c = 0xFFFD;
				++*bad;
			}
		}
		rc = add(out, c);
	}
	return rc;
}

static int from_iconv(struct buf *out, size_t *bad, iconv_t cd, const char *s, size_t n)
{
	char *in = (char *)(uintptr_t)s;	/* iconv() does not write to it */
	int rc = RAG_OK;

	while (!rc && n) {
		char block[4096], *o = block;
		size_t room = sizeof(block);
		size_t k = iconv(cd, &in, &n, &o, &room);

		rc = buf_add(out, block, sizeof(block) - room);
		if (rc || k != (size_t)-1 || errno == E2BIG)
			continue;
		in++;		/* EILSEQ, EINVAL: not in this encoding */
		n--;
		++*bad;
		iconv(cd, NULL, NULL, NULL, NULL);
		rc = add(out, 0xFFFD);
	}
	return rc;
}

/* Western text in a one-byte encoding: no sequence of two or more bytes is UTF-8,
 * and nearly each high byte is a letter, a quote or a dash. */
static bool western(const char *s, size_t n, size_t bad)
{
	size_t high = 0, good = 0;

	for (size_t i = 0, k; i < n; i += k) {
		unsigned char c = (unsigned char)s[i];

		if (utf8_next(s + i, n - i, &k) == UTF8_BAD) {
			high++;
			good += c >= 0xC0 ? c != 0xD7 && c != 0xF7 && c < 0xFE : c >= 0xA0 || cp1252[c - 0x80];
		} else if (k > 1) {
			return false;
		}
	}
	return high && high == bad && good * 20 >= high * 19;
}

static int check_text(const char *s, size_t n)
{
	size_t controls = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		controls += c < 0x20 ? !(c >= '\b' && c <= '\r') && c != 0x1B : c == 0x7F;
	}
	if (controls * MAX_CONTROLS > n)
		return err_set(RAG_EUNSUP, "not text: %zu of %zu bytes are control characters", controls, n);
	return RAG_OK;
}

int charset_decode(const char **text, size_t *len, struct buf *tmp, char *warning, size_t size,
		   struct charset *c, const char *s, size_t n)
{
	size_t bad = 0;
	int rc = RAG_OK;

	warning[0] = 0;
	s += c->bom;
	n -= c->bom;
	switch (c->form) {
	case UTF16LE:
	case UTF16BE:
		rc = from_wide(tmp, &bad, s, n, 2, c->form == UTF16BE);
		break;
	case UTF32LE:
	case UTF32BE:
		rc = from_wide(tmp, &bad, s, n, 4, c->form == UTF32BE);
		break;
	case OTHER:
		rc = from_iconv(tmp, &bad, c->cd, s, n);
		break;
	case WINDOWS_1252:
	case UTF8:
	case UNKNOWN:
		rc = check_text(s, n);
		if (rc)
			return rc;
		/* A declared latin-1 that is valid UTF-8 is UTF-8 all the same. */
		if (utf8_valid(s, n) == n) {
			*text = s;
			*len = n;
			return RAG_OK;
		}
		if (c->form == WINDOWS_1252) {
			rc = from_1252(tmp, &bad, s, n);
			break;
		}
		rc = utf8_repair(tmp, s, n, &bad);
		if (rc)
			return rc;
		if (bad * 100 > n * MAX_BAD_PERCENT)
			return err_set(RAG_EUNSUP, "not text: %zu of %zu bytes are no UTF-8", bad, n);
		if (c->form == UNKNOWN && western(s, n, bad)) {
			size_t lost = 0;

			buf_clear(tmp);
			rc = from_1252(tmp, &lost, s, n);
			if (!rc && lost)
				snprintf(warning, size, "not UTF-8: read as windows-1252, "
					 "%zu invalid byte%s replaced", lost, lost == 1 ? "" : "s");
			else
				snprintf(warning, size, "not UTF-8: %zu bytes read as windows-1252", bad);
			bad = 0;
		}
		break;
	}
	if (rc)
		return rc;
	if (bad)
		snprintf(warning, size, "%zu invalid byte%s replaced", bad, bad == 1 ? "" : "s");
	*text = buf_str(tmp);
	*len = tmp->len;
	return check_text(*text, *len);
}
