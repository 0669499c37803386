#include "config.h"
#include "src/eval/metrics.h"

#include <math.h>

const char *const metric_names[N_METRICS] = { "ndcg@10", "recall@10", "recall@100", "mrr@10", "map" };
const char *const metric_titles[N_METRICS] = { "nDCG@10", "R@10", "R@100", "MRR@10", "MAP" };

/* rank: from 0 */
static double gain(int grade, size_t rank)
{
	return grade > 0 ? grade / log2((double)rank + 2) : 0;
}

/* The sum of the k greatest gains, discounted in falling order: by counting
 * how many are above each, as a query's judgements are few. */
static double ideal(const int *judged, size_t n, size_t k)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		size_t above = 0;

		for (size_t j = 0; j < n; j++)
			above += judged[j] > judged[i] || (judged[j] == judged[i] && j < i);
		if (above < k)
			sum += gain(judged[i], above);
	}
	return sum;
}

void metrics_of(double out[N_METRICS], const int *grades, size_t n, const int *judged,
		size_t n_judged)
{
	double best = ideal(judged, n_judged, 10);
	size_t relevant = 0, found = 0;

	for (int m = 0; m < N_METRICS; m++)
		out[m] = 0;
	for (size_t i = 0; i < n_judged; i++)
		relevant += judged[i] > 0;
	if (!relevant)
		return;
	for (size_t i = 0; i < n; i++) {
		if (i < 10)
			out[NDCG10] += gain(grades[i], i);
		if (grades[i] <= 0)
			continue;
		if (!found++ && i < 10)
			out[MRR10] = 1 / ((double)i + 1);
		out[RECALL10] += i < 10;
		out[RECALL100] += i < 100;
		out[MAP] += (double)found / ((double)i + 1);
	}
	out[NDCG10] /= best;
	out[RECALL10] /= (double)relevant;
	out[RECALL100] /= (double)relevant;
	out[MAP] /= (double)relevant;
}
