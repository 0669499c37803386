/*
 * cross - how well a passage answers a query, by a BERT that reads both at once.
 *
 * As transformers' BertForSequenceClassification with one label: [CLS] query
 * [SEP] passage [SEP], the passage and its [SEP] of type 1; the first token's
 * last vector through the pooler (tanh) and the classifier.  Any such model
 * does, as config.json, model.safetensors and its tokenizer in a directory.
 * Too long a pair is cut at the end of the longer text, of both when both are
 * longer than half.
 *
 * A score is the classifier's output: any number, more is better, and only
 * comparable among passages of one query.  The same pair gives the same bits
 * in any batch and with any number of threads.  Cost: a pass over every pair,
 * at search.  One thread at a time per object.
 */
#ifndef RAG_MODEL_CROSS_H
#define RAG_MODEL_CROSS_H

#include "base/par.h"
#include "base/progress.h"
#include "model/encoder.h"

#include <stddef.h>

struct cross;

struct cross_text {
	const char *s;
	size_t len;
};

/* RAG_EUNSUP: no classifier, or one of several labels; or as encoder_open().  par is
 * borrowed, may be NULL.  The caller owns *out. */
int cross_open(struct cross **out, const char *dir, enum encoder_precision precision, struct par *par);
void cross_close(struct cross *c);	/* NULL is allowed */
size_t cross_max_tokens(const struct cross *c);	/* of a pair, its three special tokens counted */
/* out: (n).  p may be NULL; stage "rerank". */
int cross_scores(float *out, struct cross *c, const struct cross_text *query,
		 const struct cross_text *passages, size_t n, const struct progress *p);

#endif
