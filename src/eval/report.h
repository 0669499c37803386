/*
 * report - a run as a page that a person looks at.
 *
 * Of retrieval: the means, a bar for each set and mode with its interval, what
 * each stage adds, the differences of a comparison set by set and question by
 * question with the questions that changed most, and all figures.  Of answers:
 * the figures, and each question with what was wanted and what was said.
 */
#ifndef RAG_EVAL_REPORT_H
#define RAG_EVAL_REPORT_H

#include "src/eval/answers.h"
#include "src/eval/page.h"
#include "src/eval/retrieval.h"
#include "src/eval/tune.h"

struct report_retrieval {
	const struct retrieval_set *sets;
	size_t n;
	const struct variants *variants;
	size_t stages;		/* the first of the five of variants_stages(); RETRIEVAL_NONE: none */
	size_t vs;		/* what the others are compared with; RETRIEVAL_NONE: nothing */
};
int report_retrieval(FILE *f, const struct report_retrieval *r);

/* A page whose sets are added one by one. */
void report_tune_begin(struct page *p);
void report_tune(struct page *p, const char *set, const struct tune *t);
void report_answers_begin(struct page *p, const char *how);
void report_answers(struct page *p, const char *set, const struct judged *j, const struct answers *a);

#endif
