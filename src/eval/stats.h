/*
 * stats - how much of a figure is the questions' luck.
 *
 * Bootstrap (Efron 1979): the questions are drawn again, with replacement,
 * STATS_RESAMPLES times, and what 95 % of the means lie within is the
 * interval.  Two configurations are compared on the same questions: it is
 * their differences that are drawn, so that what makes a question hard for
 * both does not blur what makes them different.  Questions come in groups
 * (sets): each is drawn within its own, and the mean is that of the groups'
 * means.  The draws come from a fixed seed: same values, same interval.
 * Pure functions.
 */
#ifndef RAG_EVAL_STATS_H
#define RAG_EVAL_STATS_H

#include <stddef.h>

#define STATS_RESAMPLES 2000

struct stats {
	double mean;		/* of the groups' means */
	double low, high;	/* 95 % of the resampled means */
	double above;		/* share of the resampled means that are > 0; equal to 0 counts half */
};

/* values: groups behind each other, n[g] of them in group g; groups without any are
 * left out.  RAG_ENOMEM. */
int stats_bootstrap(struct stats *out, const double *values, const size_t *n, size_t n_groups);
double stats_median(double *values, size_t n);	/* sorts them; 0 of none */

#endif
