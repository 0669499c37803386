#include "config.h"
#include "src/eval/stats.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

#define SEED 0x7261677374617473u

/* splitmix64 (Steele, Lea and Flood 2014) */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15u;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double mean_of(const double *values, const size_t *n, size_t n_groups)
{
	double sum = 0;
	size_t groups = 0;

	for (size_t g = 0; g < n_groups; values += n[g++]) {
		double part = 0;

		for (size_t i = 0; i < n[g]; i++)
			part += values[i];
		sum += n[g] ? part / (double)n[g] : 0;
		groups += n[g] > 0;
	}
	return groups ? sum / (double)groups : 0;
}

static double resampled(const double *values, const size_t *n, size_t n_groups, uint64_t *state)
{
	double sum = 0;
	size_t groups = 0;

	for (size_t g = 0; g < n_groups; values += n[g++]) {
		double part = 0;

		/* the upper bits of a product: as good as even for counts of questions */
		for (size_t i = 0; i < n[g]; i++)
			part += values[(draw(state) >> 32) * n[g] >> 32];
		sum += n[g] ? part / (double)n[g] : 0;
		groups += n[g] > 0;
	}
	return groups ? sum / (double)groups : 0;
}

int stats_bootstrap(struct stats *out, const double *values, const size_t *n, size_t n_groups)
{
	const size_t r = STATS_RESAMPLES;
	double *means = mem_calloc(r, sizeof(*means));
	uint64_t state = SEED;

	if (!means)
		return RAG_ENOMEM;
	*out = (struct stats){ .mean = mean_of(values, n, n_groups) };
	for (size_t i = 0; i < r; i++) {
		means[i] = resampled(values, n, n_groups, &state);
		out->above += means[i] > 0 ? 1 : means[i] < 0 ? 0 : 0.5;
	}
	out->above /= (double)r;
	qsort(means, r, sizeof(*means), by_value);
	out->low = means[r / 40];
	out->high = means[r - 1 - r / 40];
	mem_free(means);
	return RAG_OK;
}

double stats_median(double *values, size_t n)
{
	if (!n)
		return 0;
	qsort(values, n, sizeof(*values), by_value);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}
