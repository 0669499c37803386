/*
 * metrics - what a ranking is worth, given what a judge said.
 *
 * As trec_eval computes them, so that figures can be compared: nDCG with
 * linear gains, sum of grade / log2(1 + rank) over the same sum of the best
 * ranking of all judged documents (Jarvelin and Kekalainen 2002); recall@k,
 * the part of the relevant documents (grade > 0) within the first k; MRR@10,
 * one over the rank of the first relevant one; MAP, the mean precision at the
 * ranks of the relevant ones, those that were not found counting as 0.  The
 * ranking is whole, without ties: its maker breaks them.  Pure functions.
 */
#ifndef RAG_EVAL_METRICS_H
#define RAG_EVAL_METRICS_H

#include <stddef.h>

enum metric { NDCG10, RECALL10, RECALL100, MRR10, MAP, N_METRICS };

extern const char *const metric_names[N_METRICS];	/* "ndcg@10", ... */
extern const char *const metric_titles[N_METRICS];	/* "nDCG@10", ... */

/* grades: (n) of the document at each rank, best rank first, 0 for what is not judged.
 * judged: (n_judged) all grades of the query in any order; below 0 counts as 0.
 * All are 0 where nothing is relevant. */
void metrics_of(double out[N_METRICS], const int *grades, size_t n, const int *judged,
		size_t n_judged);

#endif
