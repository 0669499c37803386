/*
 * retrieval - what ways of searching are worth on judged sets.
 *
 * Each question that has a relevant document is searched for through
 * rag_search(), a document counting by its best chunk, and the first
 * RETRIEVAL_DEPTH documents are measured.  The values of each question are
 * kept, for intervals and comparisons.
 */
#ifndef RAG_EVAL_RETRIEVAL_H
#define RAG_EVAL_RETRIEVAL_H

#include "src/eval/collection.h"
#include "src/eval/metrics.h"
#include "src/eval/stats.h"
#include "src/eval/variant.h"

#include <stdint.h>
#include <stdio.h>

#define RETRIEVAL_DEPTH 100

struct retrieval_run {		/* one variant on one set; zeroed before the first time */
	double *values;		/* owned (N_METRICS, n) */
	double *ms;		/* owned (n) the whole of a search, embedding included */
	double ms_p50;
	struct stats stats[N_METRICS];
};

struct retrieval_set {
	char *name;		/* owned */
	struct judged *judged;	/* owned */
	size_t *queries;	/* owned (n) the questions that are measured, by their numbers */
	size_t n;
	struct retrieval_run run[VARIANTS_MAX];
};

/* dir's last part is its name.  corpus: as judged_open().  RAG_EINVAL: no question has a
 * relevant document.  retrieval_close() after a failure too. */
int retrieval_open(struct retrieval_set *out, const char *dir, bool corpus);
void retrieval_close(struct retrieval_set *s);	/* zeroed is allowed */

/* Replaces what *run holds; ranking: NULL, or where a ranking in TREC's form goes.
 * RAG_ECANCEL by the progress function, which may be NULL.  retrieval_run_release()
 * after a failure too. */
int retrieval_measure(struct retrieval_run *run, const struct retrieval_set *s,
		      const struct variant *v, struct collection *c, FILE *ranking,
		      rag_progress_fn *progress, void *arg);
void retrieval_run_release(struct retrieval_run *run);

/* The mean of a run's metric over n sets, with its interval; b: of the differences
 * between run a and run b, RETRIEVAL_NONE: of a alone. */
#define RETRIEVAL_NONE SIZE_MAX
int retrieval_stats(struct stats *out, const struct retrieval_set *sets, size_t n, enum metric m,
		    size_t a, size_t b);

#endif
