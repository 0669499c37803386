/*
 * judged - a set of documents, questions and judgements, to measure search by.
 *
 * A directory with corpus.jsonl ({id, title, text}), queries.jsonl ({id,
 * text}) and qrels.tsv (a header line, then query, document, grade), the form
 * that BEIR made common.  judged_run() asks a ranking function for the best
 * documents of each query that has a relevant one, and gives the means.
 * Immutable after judged_open().
 */
#ifndef RAG_EVAL_JUDGED_H
#define RAG_EVAL_JUDGED_H

#include "base/progress.h"

#include <stddef.h>
#include <stdint.h>

#define JUDGED_DEPTH 100	/* ranks that judged_run() asks for: recall@100 */

struct judged;

struct judged_doc {
	const char *id, *title, *text;	/* NUL-terminated; title "" where there is none */
	size_t title_len, text_len;
};

struct judged_query {
	const char *id, *text;
	size_t text_len;
	size_t n_relevant;		/* documents of a grade above 0 */
};

struct judged_scores {
	size_t n_docs, n_queries;	/* queries: those with a relevant document */
	double ndcg10, recall10, recall100;
};

/* RAG_ENOENT names the missing file, RAG_EFORMAT file and line. */
int judged_open(struct judged **out, const char *dir);
void judged_close(struct judged *j);			/* NULL is allowed */

size_t judged_n_docs(const struct judged *j);
size_t judged_n_queries(const struct judged *j);	/* those without a relevant document too */
struct judged_doc judged_doc_at(const struct judged *j, size_t i);
struct judged_query judged_query_at(const struct judged *j, size_t i);
long judged_find(const struct judged *j, const char *doc_id);	/* its number; -1: none */
/* Orders documents of equal score at the ranking's end, where not all fit: by
 * a hash of the id, so that a file which lists the relevant ones first gains
 * nothing.  Before it their order has no effect: see metrics.h. */
uint64_t judged_tie(const struct judged *j, size_t doc);

struct judged_hit {
	size_t doc;
	float score;
};

/* Sets hits[0 .. *n) to the best documents of a query, best first, each once; room for max. */
typedef int (*judged_rank_fn)(void *arg, size_t query, struct judged_hit *hits, size_t *n,
			      size_t max);
int judged_run(struct judged_scores *out, const struct judged *j, judged_rank_fn fn, void *arg,
	       const struct progress *progress);

#endif
