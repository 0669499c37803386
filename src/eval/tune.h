/*
 * tune - how much a store's vectors should weigh against its words.
 *
 * Weights from TUNE_STEP to 1 - TUNE_STEP are tried on the user's own questions, and the
 * one of best mean nDCG@10 is chosen.  What it would gain on other questions is
 * cross-validated: the questions are dealt into TUNE_FOLDS parts by a hash of
 * their ids, each part is measured with the weight that was best on the
 * others, and that is compared with the store's present weight.  So the gain
 * that is told is one that choosing had no part in.
 */
#ifndef RAG_EVAL_TUNE_H
#define RAG_EVAL_TUNE_H

#include "src/eval/retrieval.h"

#define TUNE_STEP .05
#define TUNE_WEIGHTS 19
#define TUNE_FOLDS 5
#define TUNE_LEAST 20		/* questions: fewer say nothing */

struct tune {
	double weight[TUNE_WEIGHTS], ndcg[TUNE_WEIGHTS];	/* means over all questions */
	double best;			/* the weight that is best on all of them */
	double now;			/* nDCG@10 with the store's weight */
	struct stats gain;		/* held out, over that */
	bool helps;			/* the gain's whole interval is above 0 */
};

/* v: its mode is tuned.  RAG_EINVAL: too few questions, or a mode without a weight;
 * RAG_ECANCEL by the progress function. */
int tune_weight(struct tune *out, const struct retrieval_set *s, const struct variant *v,
		struct collection *c, rag_progress_fn *progress, void *arg);

#endif
