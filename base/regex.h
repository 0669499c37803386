/*
 * regex - Perl-compatible regular expressions over UTF-8, through PCRE2.
 *
 * Patterns see code points and Unicode properties (UTF and UCP); they are
 * compiled to machine code where PCRE2 can.  A match is bounded: a pattern
 * that backtracks without end gives RAG_ELIMIT, not a hang.
 * Immutable after regex_new(): share it.
 */
#ifndef RAG_BASE_REGEX_H
#define RAG_BASE_REGEX_H

#include <stddef.h>

struct regex;

/* RAG_EINVAL names the pattern and the offset of its error.  The caller owns *out. */
int regex_new(struct regex **out, const char *pattern);
void regex_free(struct regex *re);	/* NULL is allowed */

/* Calls fn with the byte span of each match of s from left to right; a match
 * never overlaps the one before, an empty one moves on by a code point.  What
 * fn returns other than 0 ends the walk and is returned.  RAG_EFORMAT for what
 * is no valid UTF-8. */
int regex_each(const struct regex *re, const char *s, size_t n,
	       int (*fn)(void *arg, size_t start, size_t end), void *arg);

#endif
