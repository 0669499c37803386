/*
 * filter - which documents may answer.
 *
 * An expression is terms joined by " and ", each `key=pattern`: type, title,
 * uri, or a label's key.  Beside it, or alone, a glob over URIs.  Patterns:
 * `*` any characters but '/', `**` any characters, `?` one but '/', `[a-z]`
 * `[!a-z]` one of a set, `\` takes the next literally; all else is itself.
 * In title, type and labels `*` crosses '/' too.  A pattern may be quoted
 * ("..." with \" and \\) to hold spaces or " and ".  Letters compare exactly.
 * Evaluated on documents before anything is scored.  Immutable: share it.
 */
#ifndef RAG_INDEX_FILTER_H
#define RAG_INDEX_FILTER_H

#include "index/store.h"

struct filter;

/* expr, in: NULL or "" for none.  *out is NULL when both are (everything passes).
 * RAG_EINVAL names the position in the expression.  The caller owns *out. */
int filter_parse(struct filter **out, const char *expr, const char *in);
void filter_free(struct filter *f);		/* NULL is allowed */
bool filter_match(const struct filter *f, const struct store_doc *d);	/* f NULL: true */

/* Does glob match the whole of s?  path: `*` and `?` stop at '/'; then a glob
 * without any '/' is also tried on the part of s behind its last '/', and one
 * without "://" on the path of a "file://" URI.  A malformed set matches itself. */
bool filter_glob(const char *glob, const char *s, bool path);

#endif
