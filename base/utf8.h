/*
 * utf8 - code points, validity and the Unicode tables (through utf8proc).
 *
 * Text inside ragstone is valid UTF-8 from the moment it is extracted; only
 * tokenizers and extractors meet bytes that may not be.
 */
#ifndef RAG_BASE_UTF8_H
#define RAG_BASE_UTF8_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_BAD 0xFFFFFFFFu

/* The code point at s (n >= 1 bytes left) and its length in *len (1 .. 4).
 * Invalid, overlong or surrogate: UTF8_BAD with *len = 1. */
uint32_t utf8_next(const char *s, size_t n, size_t *len);
/* Writes 1 .. 4 bytes, no NUL; returns their number. */
size_t utf8_put(char out[4], uint32_t c);
/* Length of the longest valid prefix; == n when all is valid. */
size_t utf8_valid(const char *s, size_t n);
/* Appends s with each invalid byte replaced by U+FFFD; *bad counts them (may be NULL). */
int utf8_repair(struct buf *out, const char *s, size_t n, size_t *bad);
/* The greatest i <= at that is the start of a code point of s. */
size_t utf8_floor(const char *s, size_t n, size_t at);

bool utf8_is_letter(uint32_t c);	/* general category L* */
bool utf8_is_mark(uint32_t c);		/* M* */
bool utf8_is_nonspacing(uint32_t c);	/* Mn */
bool utf8_is_number(uint32_t c);	/* N* */
bool utf8_is_punct(uint32_t c);		/* P* */
bool utf8_is_symbol(uint32_t c);	/* S* */
bool utf8_is_space(uint32_t c);		/* White_Space */
bool utf8_is_control(uint32_t c);	/* Cc, Cf, Cn, Co, Cs */
bool utf8_is_assigned(uint32_t c);	/* not Cn */
bool utf8_is_upper(uint32_t c);		/* Lu, Lt */
uint32_t utf8_lower(uint32_t c);	/* simple mapping */
unsigned utf8_combining(uint32_t c);	/* canonical combining class, 0 for starters */
/* The canonical decomposition of c: 1 .. 18 code points into out, their number returned. */
size_t utf8_decompose(uint32_t out[18], uint32_t c);
/* Appends s as it compares without regard to case, width and ligatures: NFKC_Casefold,
 * Unicode Standard 3.13 ("\uFB01\u00C9" gives "fi\u00E9").  n: at most UTF8_FOLD_MAX. */
int utf8_fold(struct buf *out, const char *s, size_t n);
#define UTF8_FOLD_MAX 1024u

#endif
