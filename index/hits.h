/*
 * hits - the chosen candidates, copied out of the store.
 *
 * A hit is a chunk, or the run of neighbouring chunks that were chosen (what
 * was cut between them reads on), or the section that a chunk stands in.  The
 * best chunk names it and gives it its scores.  One thread at a time.
 */
#ifndef RAG_INDEX_HITS_H
#define RAG_INDEX_HITS_H

#include "index/pool.h"
#include "index/search.h"
#include "index/words.h"

#define SECTION_BYTES ((uint64_t)16 << 10)	/* of a section that is shown whole; beyond, what is around the chunk */

/* best: (n) in order, each of another chunk.  words: gives hits their terms; NULL: none.
 * h: zeroed; on failure search_hits_free() as usual. */
int hits_copy(struct search_hits *h, struct store_snap *v, const struct search_opts *o,
	      struct words_query *words, const struct cand *best, size_t n);

#endif
