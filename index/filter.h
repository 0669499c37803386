/*
 * filter - which documents may answer.
 *
 * An expression is terms joined by && || ! (or: and, or, not) and parentheses;
 * ! binds closest, then &&.  A term:
 *
 *	key == value, !=, <, <=, >, >=	numbers as numbers, all else as text by its bytes
 *	key ~ regex, !~			a Perl-compatible pattern (base/regex.h) somewhere in it
 *	key in [a, b], not in		one of them
 *	has key				whether there is any
 *	key=glob			see filter_glob(); up to the next " and" if not quoted
 *
 * Keys: uri, path, title, type, size (bytes), added, modified (UTC,
 * 2024-01-31T12:00:00Z, compared as far as the value goes), else a label, else
 * what the document says of itself (author, lang, date ...); a label hides
 * that of the same key.  path is a URI's path, and also what is left of it
 * behind each '/': "^docs/" finds a folder docs wherever the tree was put.
 * A key may have several values: a term holds if it does for one of them; !=, !~
 * and "not in" are the exact opposites, so they hold where there is no value.
 * A value or a pattern is bare or in quotes ("..." with \" and \\, or '...').
 * Letters compare exactly.
 *
 * Evaluated on documents before anything is scored, so it is exact however few
 * pass.  Depth, length and the steps of a pattern are bounded.  Immutable:
 * share it.
 */
#ifndef RAG_INDEX_FILTER_H
#define RAG_INDEX_FILTER_H

#include "index/ranges.h"
#include "index/store.h"

#define FILTER_MAX 65536u		/* bytes of an expression */
#define FILTER_DEPTH 64			/* parentheses and ! within each other */

struct filter;

/* expr: NULL or "" for none.  in: a glob over URIs that must match too, or the same.  *out
 * is NULL when both are none (everything passes).  RAG_EINVAL names the column in the
 * expression, in characters from 1.  The caller owns *out. */
int filter_parse(struct filter **out, const char *expr, const char *in);
void filter_free(struct filter *f);		/* NULL is allowed */

/* f NULL: true.  RAG_ELIMIT: a regular expression that backtracks without end. */
int filter_match(bool *out, const struct filter *f, const struct store_doc *d);

/* Chunks of the documents that pass, settled; out is RANGES_INIT before, and to be released
 * after a failure too.  Cost: a pass over the document records. */
int filter_ranges(struct ranges *out, struct store_snap *v, const struct filter *f);

/*
 * Does glob match the whole of s?  `*` any characters but '/', `**` any
 * characters, `?` one but '/', `[a-z]` `[!a-z]` one of a set, `\` takes the
 * next literally; all else is itself.  path false: `*` and `?` cross '/' too.
 * path true: a glob without any '/' is also tried on the part of s behind its
 * last '/', and one without "://" on the path of a "file://" URI.  A malformed
 * set matches itself.
 */
bool filter_glob(const char *glob, const char *s, bool path);

#endif
