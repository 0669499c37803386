/*
 * analyze - text as the terms that are indexed and looked for.
 *
 * A word is a run of letters, marks, digits and '_'; a number keeps its inner
 * full stops, and loses the commas between its thousands.  Words are folded
 * (case, width, ligatures), stemmed by the store's language, and lose their
 * diacritics after that, since stemmers know them.  An identifier
 * (getHTTPResponse_code) gives its parts, and is a term itself, too; two parts
 * that begin with a capital (WebSphere) are one word, which measures better
 * on prose (.52 for .515 on confuse_techqa).  Scripts written without spaces, and Hangul, give pairs of characters.  Documents and
 * questions go the same way, so what looks alike meets.
 *
 * The terms of a kind never meet those of another: a stop word is kept, since
 * phrases and questions of nothing else need it, but begins with a byte that
 * no word has.  Same bytes, same terms, in time linear in n.  One thread at a time.
 */
#ifndef RAG_INDEX_ANALYZE_H
#define RAG_INDEX_ANALYZE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANALYZE_VERSION 2u	/* raised where a text's terms change: stores are indexed anew */
#define ANALYZE_TERM_MAX 128u	/* bytes; what is longer is cut, and has no parts */

enum term_kind {
	TERM_WORD,		/* the stem of a word, or of a part of an identifier */
	TERM_STOP,		/* a stop word, not stemmed, behind ANALYZE_STOP */
	TERM_WHOLE,		/* an identifier of several parts; at the place of the first */
	TERM_FORM,		/* a word as it was, where its stem differs, behind ANALYZE_FORM:
				   for prefixes; at the place of the stem */
};
#define ANALYZE_STOP '\x01'
#define ANALYZE_FORM '\x02'

struct term {
	const char *s;		/* (n) folded, valid for the call */
	size_t n;
	uint32_t at;		/* number of its word in the text */
	enum term_kind kind;
};
/* A result other than 0 ends the analysis and is returned. */
typedef int analyze_fn(void *arg, const struct term *t);

struct analyze;

/* language: of a Snowball stemmer ("english"), or "none"; RAG_EUNSUP if there is no such.
 * stop: English words without meaning, and single characters, are TERM_STOP. */
int analyze_new(struct analyze **out, const char *language, bool stop);
void analyze_free(struct analyze *a);	/* NULL is allowed */

/* The terms of a text in order; words are numbered from *at, which is brought
 * behind the last.  What is not UTF-8 divides words. */
int analyze_text(struct analyze *a, const char *s, size_t n, uint32_t *at, analyze_fn *fn, void *arg);

/* Appends one word as terms begin that it begins: folded, no stem, no diacritics. */
int analyze_fold(struct buf *out, struct analyze *a, const char *s, size_t n);

/* The word or the run of pairs that begins at i, or what divides them: its end.
 * *word says which. */
size_t analyze_next(const char *s, size_t n, size_t i, bool *word);

#endif
