#include "config.h"
#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

#include "base/err.h"

#define REPLACEMENT "\xEF\xBF\xBD"	/* U+FFFD */
#define HIGH_BITS 0x8080808080808080u	/* set in none of eight ASCII bytes */

/* The well-formed sequences are table 3-7 of the Unicode Standard: only the
 * second byte has narrower ranges, behind E0, ED, F0 and F4. */
uint32_t utf8_next(const char *s, size_t n, size_t *len)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned lo = 0x80, hi = 0xBF;
	uint32_t c = p[0];
	size_t need, i;

	*len = 1;
	if (c < 0x80)
		return c;
	if (c < 0xC2 || c > 0xF4)
		return UTF8_BAD;
	if (c < 0xE0) {
		need = 2;
		c &= 0x1F;
	} else if (c < 0xF0) {
		need = 3;
		lo = c == 0xE0 ? 0xA0 : 0x80;
		hi = c == 0xED ? 0x9F : 0xBF;
		c &= 0x0F;
	} else {
		need = 4;
		lo = c == 0xF0 ? 0x90 : 0x80;
		hi = c == 0xF4 ? 0x8F : 0xBF;
		c &= 0x07;
	}
	if (n < need || p[1] < lo || p[1] > hi)
		return UTF8_BAD;
	c = c << 6 | (p[1] & 0x3F);
	for (i = 2; i < need; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return UTF8_BAD;
		c = c << 6 | (p[i] & 0x3F);
	}
	*len = need;
	return c;
}

size_t utf8_put(char out[4], uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xC0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xE0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3F));
		out[2] = (char)(0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | (c >> 18 & 0x07));
	out[1] = (char)(0x80 | (c >> 12 & 0x3F));
	out[2] = (char)(0x80 | (c >> 6 & 0x3F));
	out[3] = (char)(0x80 | (c & 0x3F));
	return 4;
}

size_t utf8_valid(const char *s, size_t n)
{
	size_t i = 0, len;
	uint64_t w;

	while (i < n) {
		if (n - i >= sizeof(w)) {
			memcpy(&w, s + i, sizeof(w));
			if (!(w & HIGH_BITS)) {
				i += sizeof(w);
				continue;
			}
		}
		if (utf8_next(s + i, n - i, &len) == UTF8_BAD)
			return i;
		i += len;
	}
	return n;
}

int utf8_repair(struct buf *out, const char *s, size_t n, size_t *bad)
{
	size_t found = 0, good;
	int rc;

	for (;;) {
		good = utf8_valid(s, n);
		rc = buf_add(out, s, good);
		if (rc)
			return rc;
		if (good == n)
			break;
		rc = buf_adds(out, REPLACEMENT);
		if (rc)
			return rc;
		found++;
		s += good + 1;
		n -= good + 1;
	}
	if (bad)
		*bad = found;
	return RAG_OK;
}

size_t utf8_floor(const char *s, size_t n, size_t at)
{
	size_t back, len;

	if (at >= n)
		return n;
	for (back = 0; back < 4 && back <= at; back++) {
		if (((unsigned char)s[at - back] & 0xC0) == 0x80)
			continue;
		utf8_next(s + at - back, n - (at - back), &len);
		return len > back ? at - back : at;
	}
	return at;
}

static utf8proc_category_t category(uint32_t c)
{
	return utf8proc_category((utf8proc_int32_t)c);
}

bool utf8_is_letter(uint32_t c)
{
	utf8proc_category_t k;

	if (c < 0x80)
		return (c | 0x20) - 'a' < 26u;
	k = category(c);
	if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO)
		return true;
	/* CJK extension I came with Unicode 15.1, behind the tables of utf8proc 2.8. */
	return c >= 0x2EBF0 && c <= 0x2EE5D;
}

bool utf8_is_mark(uint32_t c)
{
	utf8proc_category_t k = category(c);

	return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
}

bool utf8_is_nonspacing(uint32_t c)
{
	return c >= 0x300 && category(c) == UTF8PROC_CATEGORY_MN;
}

bool utf8_is_number(uint32_t c)
{
	utf8proc_category_t k;

	if (c < 0x80)
		return c - '0' < 10u;
	k = category(c);
	return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}

bool utf8_is_punct(uint32_t c)
{
	utf8proc_category_t k = category(c);

	return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

bool utf8_is_symbol(uint32_t c)
{
	utf8proc_category_t k = category(c);

	return k >= UTF8PROC_CATEGORY_SM && k <= UTF8PROC_CATEGORY_SO;
}

bool utf8_is_space(uint32_t c)
{
	utf8proc_category_t k;

	if (c < 0x80)
		return c == ' ' || c - '\t' < 5u;
	if (c == 0x85)
		return true;
	k = category(c);
	return k >= UTF8PROC_CATEGORY_ZS && k <= UTF8PROC_CATEGORY_ZP;
}

bool utf8_is_control(uint32_t c)
{
	utf8proc_category_t k;

	if (c < 0x7F)
		return c < 0x20;
	k = category(c);
	return k == UTF8PROC_CATEGORY_CN || k >= UTF8PROC_CATEGORY_CC;
}

bool utf8_is_assigned(uint32_t c)
{
	return category(c) != UTF8PROC_CATEGORY_CN;
}

bool utf8_is_upper(uint32_t c)
{
	utf8proc_category_t k;

	if (c < 0x80)
		return c - 'A' < 26u;
	k = category(c);
	return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LT;
}

uint32_t utf8_lower(uint32_t c)
{
	if (c < 0x80)
		return c - 'A' < 26u ? c + ('a' - 'A') : c;
	return (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
}

unsigned utf8_combining(uint32_t c)
{
	/* Below U+0300 all are starters. */
	return c < 0x300 ? 0 : (unsigned)utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}

size_t utf8_decompose(uint32_t out[18], uint32_t c)
{
	utf8proc_int32_t d[18];
	utf8proc_ssize_t n = 0, i;
	int last = UTF8PROC_BOUNDCLASS_START;

	if (c >= 0xC0 && c < 0x110000)
		n = utf8proc_decompose_char((utf8proc_int32_t)c, d, 18,
					    UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &last);
	if (n < 1 || n > 18) {
		out[0] = c;
		return 1;
	}
	for (i = 0; i < n; i++)
		out[i] = (uint32_t)d[i];
	return (size_t)n;
}

int utf8_fold(struct buf *out, const char *s, size_t n)
{
	utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE |
				UTF8PROC_CASEFOLD | UTF8PROC_IGNORE;
	utf8proc_int32_t c[18 * UTF8_FOLD_MAX];	/* 18: what one code point gives at most */
	utf8proc_ssize_t len = 0;
	char put[4];
	int rc = RAG_OK;

	if (n > UTF8_FOLD_MAX)
		return err_set(RAG_ELIMIT, "%zu bytes to fold, at most %u are possible", n, UTF8_FOLD_MAX);
	if (n)
		len = utf8proc_decompose((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, c,
					 18 * UTF8_FOLD_MAX, how);
	if (len >= 0)
		len = utf8proc_normalize_utf32(c, len, how);
	if (len < 0)
		return err_set(RAG_EINVAL, "text that is not UTF-8 cannot be folded");
	for (utf8proc_ssize_t i = 0; !rc && i < len; i++)
		rc = buf_add(out, put, utf8_put(put, (uint32_t)c[i]));
	return rc;
}
