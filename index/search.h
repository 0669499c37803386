/*
 * search - the chunks that answer a question best.
 *
 * dense: the nearest by their vectors.  bm25: the best by their words.
 * fusion: the union of both lists, each member scored exactly by both,
 * ordered by the weighted sum of both z-scores over the union; a member that
 * one of them did not list is not punished for it (reciprocal ranks and
 * "missing is 0" lose .03 nDCG: research in index/README.md).
 * hybrid: fusion, then the best ones reordered by late interaction, then the
 * tail refilled by a second step from the best passages.
 *
 * Everything happens on one snapshot.  A part that is not there (no vectors,
 * no words, no token vectors) leaves the others to answer.  Documents that the
 * filter refuses are left out before anything is scored, so k hits come back
 * whenever k chunks pass.  Equal scores are ordered by chunk id: same store,
 * same question, same hits.  A content that several documents share answers
 * once, for the one of lowest id that passes the filter.
 */
#ifndef RAG_INDEX_SEARCH_H
#define RAG_INDEX_SEARCH_H

#include "base/text.h"
#include "index/filter.h"
#include "index/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum search_mode { SEARCH_HYBRID, SEARCH_FUSION, SEARCH_DENSE, SEARCH_BM25, SEARCH_MODES };

#define SEARCH_K_MAX 100000u
#define SEARCH_SECTIONS_MAX 1000u	/* hits that are widened to sections */

enum search_skip { SEARCH_SKIP_LATE = 1, SEARCH_SKIP_SECOND = 2 };

enum search_extent {		/* of a hit */
	SEARCH_CHUNKS,		/* each a chunk */
	SEARCH_MERGED,		/* neighbouring chunks among the k best are one hit */
	SEARCH_SECTIONS,	/* the whole section around each, 16 KiB at most */
	SEARCH_EXTENTS
};

struct search_text {		/* words that are looked for as well */
	const char *text;
	size_t len;
	float weight;			/* against the question's own, 1 */
};
/* The token vectors of a question, for late interaction. */
struct search_tokens {
	const float *x;			/* (n, dim) of any length above zero */
	const struct text_span *word;	/* (n) the word of the question that each belongs to; empty: none */
	size_t n;
};
struct search_question {
	const char *text;		/* for the words, (len); len 0: none */
	size_t len;
	const struct search_text *also;	/* (n_also) */
	size_t n_also;
	const float *vector;		/* (dim), any length above zero, normalised here; NULL: none */
	size_t dim;
	struct search_tokens tokens;	/* n 0: none */
};

/* Scores passages for the question by reading both (a cross-encoder), in the place of late
 * interaction: out (n), any scale, more is better. */
struct search_reranker {
	int (*score)(void *arg, float *out, const struct search_text *passages, size_t n);
	void *arg;
};
struct search_opts {
	size_t k;			/* 1 .. SEARCH_K_MAX */
	enum search_mode mode;
	const struct filter *filter;	/* NULL: all */
	size_t per_document;		/* hits of one content at most; 0: any */
	float weight;			/* of the vectors, 0 .. 1; 0: the store's */
	unsigned skip;			/* enum search_skip */
	enum search_extent extent;
	bool explain;			/* hits get their terms */
	const struct search_reranker *reranker;	/* NULL: none */
	/* 0 .. 1: how much it counts against a hit that it resembles those before it: maximal
	 * marginal relevance (Carbonell and Goldstein 1998) among the first hundred; 0: nothing. */
	float diversity;
};
#define SEARCH_OPTS_INIT { 10, SEARCH_HYBRID, NULL, 0, 0, 0, SEARCH_CHUNKS, false, NULL, 0 }

struct search_term {
	char *text;
	float idf, score;		/* its part of bm25 */
	uint64_t df;			/* chunks that hold it */
	uint32_t tf;			/* in this one */
};
struct search_hit {
	uint64_t doc, chunk, content;	/* chunk: the best of the hit's */
	char *uri, *title, *heading;	/* heading: "A > B", "" if none */
	char *text;			/* the chunk, NUL-terminated */
	size_t text_len;		/* it may hold NULs */
	uint64_t start, end;		/* bytes of the document's text */
	uint32_t page, line;		/* of start, from 1; 0: not known */
	/* Falls with the rank.  dense: cosine; bm25: BM25; fusion: sum of z-scores; hybrid: 0 .. 1,
	 * how it compares with the others of this answer. */
	float score;
	float cosine, bm25, late;	/* NAN: not known; late: the reranker's where there is one */
	uint32_t at_dense, at_bm25, at_fused;	/* its rank there, from 1; 0: not among the best */
	struct search_term *term;	/* (n_terms) what its words gave it, if explained */
	size_t n_terms;
};

enum search_stage { SEARCH_FILTER, SEARCH_NEAR, SEARCH_WORDS, SEARCH_FUSE, SEARCH_LATE, SEARCH_SECOND,
		    SEARCH_COPY, SEARCH_STAGES };

struct search_hits {
	size_t n;
	struct search_hit *hit;		/* best first */
	double seconds[SEARCH_STAGES];
};

/* RAG_EMISMATCH: the vector's dimension is not the store's; RAG_EINVAL: k, or a vector
 * that is not finite or all zeros.  All that *out holds is a copy:
 * search_hits_free().  Any thread. */
int search(struct search_hits **out, struct store *s, const struct search_question *q,
	   const struct search_opts *o);
void search_hits_free(struct search_hits *h);	/* NULL is allowed */
void search_hit_release(struct search_hit *h);	/* one that is taken out of them */

#endif
