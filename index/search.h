/*
 * search - the chunks nearest to a question's vector.
 *
 * Exact: each visible vector of the store's generation is scored, on one
 * snapshot.  Documents that the filter refuses are left out before scoring, so
 * k hits come back whenever k chunks pass.  Equal scores are ordered by chunk
 * id: same store, same query, same hits.  A content that several documents
 * share answers once, for the one of lowest id that passes the filter.
 * Cost: one pass over fp16 rows, about 0.1 ms per 1,000 chunks of 384
 * dimensions; memory bounded by k and the filter's ranges.
 */
#ifndef RAG_INDEX_SEARCH_H
#define RAG_INDEX_SEARCH_H

#include "index/filter.h"
#include "index/store.h"

#include <stddef.h>
#include <stdint.h>

struct search_hit {
	uint64_t doc, chunk, content;
	char *uri, *title, *heading;	/* heading: "A > B", "" if none */
	char *text;			/* the chunk, NUL-terminated */
	size_t text_len;		/* it may hold NULs */
	uint64_t start, end;		/* bytes of the document's text */
	uint32_t page, line;		/* of start, from 1; 0: not known */
	float score;			/* cosine, -1 .. 1 */
};
struct search_hits {
	size_t n;
	struct search_hit *hit;		/* best first */
};

#define SEARCH_K_MAX 100000u

/* query: (dim), any length above zero, normalised here.  k: 1 .. SEARCH_K_MAX.  f: NULL for
 * all.  A store without vectors gives no hits.  RAG_EMISMATCH: dim is not the
 * store's; RAG_EINVAL: k, or a query that is not finite or all zeros.  All that
 * *out holds is a copy: search_hits_free().  Any thread. */
int search_dense(struct search_hits **out, struct store *s, const float *query, size_t dim,
		 size_t k, const struct filter *f);
void search_hits_free(struct search_hits *h);	/* NULL is allowed */

#endif
