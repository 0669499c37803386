/*
 * text - words, sentences and stems of running text.
 *
 * Word: a run of letters, marks and digits; an apostrophe, a full stop or a
 * comma between two of them belongs to it ("don't", "U.S.A", "3.14") the way
 * Unicode's UAX #29 has it; an ideograph or kana is a word of its own.
 * Sentence: ends at . ! ? (with the quotes and brackets that close behind
 * it), at a CJK full stop, at an empty line, and before a list item.  A full
 * stop does not end one behind an abbreviation ("Dr.", "e.g."), an initial
 * ("J. Smith"), inside a number or before a small letter.  Rules, no model:
 * the same bytes give the same spans everywhere, in time linear in n.
 * Spans never overlap, come in order, begin and end at code points, and hold
 * no white space at their ends; together the sentences hold every byte that
 * is not white space.  Immutable and reentrant, but for the stemmer: one
 * thread at a time each.
 */
#ifndef RAG_BASE_TEXT_H
#define RAG_BASE_TEXT_H

#include "base/buf.h"

#include <stddef.h>

struct text_span {
	size_t start, end;	/* bytes of the text, end exclusive */
};

struct text_spans {
	struct text_span *v;	/* (n) owned */
	size_t n, cap;
};

/* Both append to *out; RAG_ENOMEM leaves what was there and perhaps more. */
int text_sentences(struct text_spans *out, const char *s, size_t n);
int text_words(struct text_spans *out, const char *s, size_t n);
void text_spans_release(struct text_spans *spans);	/* zeroed is allowed */

struct text_stemmer;	/* one of Snowball's, through libstemmer */

/* language: "english", "german" ..., in small letters.  RAG_EUNSUP names those there are. */
int text_stemmer_new(struct text_stemmer **out, const char *language);
void text_stemmer_free(struct text_stemmer *st);	/* NULL is allowed */
/* The stem of a word in small letters already; borrowed until the next call.  A word
 * longer than any of a language is its own stem. */
int text_stem_of(const char **out, size_t *out_n, struct text_stemmer *st, const char *word, size_t n);

/* Appends the stem of a word of any case: small letters, typographic
 * apostrophes made plain, then stemmed. */
int text_stem(struct buf *out, struct text_stemmer *st, const char *word, size_t n);

#endif
