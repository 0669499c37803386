/*
 * retrieval - how well an embedder finds, on judged sets.
 *
 * A document whose title and text fit the embedder's sequence is embedded
 * whole; a longer one as windows of 200 tokens of its text, each behind the
 * first 40 tokens of the title; a last window of under 20 tokens is dropped.
 * A document scores as its best window.  Search is exact: every window of
 * every document, so that the figure is the embedder's and not an index's.
 * Vectors are kept in a directory between runs where the caller gives one,
 * by the embedder's fingerprint and the text's hash.
 */
#ifndef RAG_EVAL_RETRIEVAL_H
#define RAG_EVAL_RETRIEVAL_H

#include "base/par.h"
#include "base/progress.h"
#include "src/eval/judged.h"

#include <stddef.h>

struct embed;

struct retrieval_opts {
	const char *keep;		/* directory for vectors, made when missing; NULL: none */
	struct par *par;		/* for the search; may be NULL */
	const struct progress *progress;	/* stages "split" (documents), "embed" (texts), "search" (queries) */
};
#define RETRIEVAL_OPTS_INIT { NULL, NULL, NULL }

struct retrieval_result {
	struct judged_scores scores;
	size_t n_texts;			/* windows and queries */
	size_t n_kept;			/* of them, taken from the directory */
	double embed_s, search_s;	/* seconds */
};

/* dir: see judged.h. */
int retrieval_eval(struct retrieval_result *out, const char *dir, struct embed *e,
		   const struct retrieval_opts *opts);

#endif
