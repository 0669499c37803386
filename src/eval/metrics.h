/*
 * metrics - what a ranking is worth, given what a judge said.
 *
 * nDCG with linear gains: sum of grade / log2(1 + rank), over the same sum of
 * the best possible ranking of all judged documents (Jarvelin and Kekalainen
 * 2002, as trec_eval computes it).  Recall@k: the part of the relevant
 * documents (grade > 0) within the first k.  Pure functions.
 */
#ifndef RAG_EVAL_METRICS_H
#define RAG_EVAL_METRICS_H

#include <stddef.h>

/* ranked: (n) grades of the ranking, best rank first, 0 for what is not
 * judged.  judged: (n_judged) all grades of the query in any order.  Grades
 * below 0 count as 0.  0 when nothing is relevant. */
double metrics_ndcg(const int *ranked, size_t n, const int *judged, size_t n_judged, size_t k);
double metrics_recall(const int *ranked, size_t n, const int *judged, size_t n_judged, size_t k);

#endif
