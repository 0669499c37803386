/*
 * retrieve - candidates for a question as one wording puts it, with exact scores.
 *
 * A wording is a vector and words, either of which may be missing.  Its lists
 * go into a pool; every member of a pool can then be scored by any wording,
 * whatever listed it.  One thread at a time.
 */
#ifndef RAG_INDEX_RETRIEVE_H
#define RAG_INDEX_RETRIEVE_H

#include "index/pool.h"
#include "index/ranges.h"
#include "index/store.h"
#include "index/tally.h"
#include "index/words.h"

#include <stdbool.h>

struct wording {
	const float *vector;		/* (dim) of unit length; NULL: none */
	struct words_query *words;	/* NULL: none */
};

struct retriever {
	struct store_snap *snap;
	const struct ranges *allowed;	/* NULL: all */
	size_t dim;
	size_t depth;			/* of each list */
	size_t per_document;		/* candidates of one content; 0: any */
	struct tally tally;		/* its own; tally_release() */
};

enum retriever_list { LIST_DENSE, LIST_BM25 };
/* Adds a wording's best to the pool; nothing where the wording lacks what the list needs. */
int retrieve(struct pool *p, struct retriever *r, enum retriever_list list, const struct wording *w);
/* Begins anew to count how many of each content there are. */
void retrieve_count(struct retriever *r);
/* Counts a chunk; *take is false when its content has had its share. */
int retrieve_share(bool *take, struct retriever *r, uint64_t chunk);

/* Vectors of a settled pool: (n, dim), by cand.row.  The caller frees *rows with mem_free(). */
int retrieve_rows(float **rows, struct pool *p, struct retriever *r);
/* The wording's exact scores of a settled pool. */
int retrieve_scores(struct pool *p, struct retriever *r, const struct wording *w, const float *rows);

#endif
