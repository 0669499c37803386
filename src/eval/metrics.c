#include "config.h"
#include "src/eval/metrics.h"

#include <math.h>

static double gain(int grade)
{
	return grade > 0 ? grade : 0;
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
			sum += gain(judged[i]) / log2((double)above + 2);
	}
	return sum;
}

double metrics_ndcg(const double *gains, size_t n, const int *judged, size_t n_judged, size_t k)
{
	double best = ideal(judged, n_judged, k), sum = 0;

	for (size_t i = 0; i < n && i < k; i++)
		sum += gains[i] / log2((double)i + 2);
	return best > 0 ? sum / best : 0;
}

double metrics_recall(const double *found, size_t n, const int *judged, size_t n_judged, size_t k)
{
	double sum = 0;
	size_t relevant = 0;

	for (size_t i = 0; i < n && i < k; i++)
		sum += found[i];
	for (size_t i = 0; i < n_judged; i++)
		relevant += judged[i] > 0;
	return relevant ? sum / (double)relevant : 0;
}

void metrics_tied(double *values, const float *scores, size_t n)
{
	size_t end;

	for (size_t i = 0; i < n; i = end) {
		double sum = 0;

		for (end = i; end < n && scores[end] == scores[i]; end++)
			sum += values[end];
		for (size_t k = i; k < end; k++)
			values[k] = sum / (double)(end - i);
		if (end == i)	/* not a number: equals nothing, not even itself */
			end++;
	}
}
