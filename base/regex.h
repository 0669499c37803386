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

#include <stdbool.h>
#include <stddef.h>

struct regex;

/* RAG_EINVAL names the pattern and the offset of its error.  The caller owns *out. */
int regex_new(struct regex **out, const char *pattern);
void regex_free(struct regex *re);	/* NULL is allowed */
/* Steps of backtracking that one match may take, instead of some ten millions: about a
 * second.  Before the object is shared. */
void regex_limit(struct regex *re, unsigned steps);

/* Does it match somewhere in s?  What is no valid UTF-8 counts as U+FFFD.  RAG_ELIMIT. */
int regex_has(bool *out, const struct regex *re, const char *s, size_t n);

/* Calls fn with the byte span of each match of s from left to right; a match
 * never overlaps the one before, an empty one moves on by a code point.  What
 * fn returns other than 0 ends the walk and is returned.  RAG_EFORMAT for what
 * is no valid UTF-8. */
int regex_each(const struct regex *re, const char *s, size_t n,
	       int (*fn)(void *arg, size_t start, size_t end), void *arg);

#endif
