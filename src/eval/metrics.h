/*
 * metrics - what a ranking is worth, given what a judge said.
 *
 * nDCG with linear gains: sum of grade / log2(1 + rank), over the same sum of
 * the best possible ranking of all judged documents (Jarvelin and Kekalainen
 * 2002, as trec_eval computes it).  Recall@k: the part of the relevant
 * documents (grade > 0) within the first k.  Documents of equal score have no
 * order: metrics_tied() gives each of their ranks the mean of what they are
 * worth, and both figures, being sums, are then exactly the means over all
 * orders (McSherry and Najork 2008).  Pure functions.
 */
#ifndef RAG_EVAL_METRICS_H
#define RAG_EVAL_METRICS_H

#include <stddef.h>

/* judged: (n_judged) all grades of the query in any order; below 0 counts as
 * 0.  0 when nothing is relevant.
 * gains: (n) grade at each rank, best rank first, 0 for what is not judged. */
double metrics_ndcg(const double *gains, size_t n, const int *judged, size_t n_judged, size_t k);
/* found: (n) 1 at the rank of a relevant document, else 0. */
double metrics_recall(const double *found, size_t n, const int *judged, size_t n_judged, size_t k);
/* Replaces the values at ranks of equal score by their mean.  scores: (n) falling. */
void metrics_tied(double *values, const float *scores, size_t n);

#endif
