#include "config.h"
#include "tests/tap.h"

#include "src/eval/metrics.h"

#include <math.h>

static void near(double got, double want, const char *name)
{
	if (!ok(fabs(got - want) < 1e-9, "%s", name))
		printf("# got %.12g, want %.12g\n", got, want);
}

static void test_tied(void)
{
	double v[6] = { 3, 0, 1, 2, 0, 1 };
	const float nan = NAN;

	metrics_tied(v, (float[]){ 9, 8, 8, 8, 7, 7 }, 6);
	ok(v[0] == 3 && v[1] == 1 && v[2] == 1 && v[3] == 1 && v[4] == 0.5 && v[5] == 0.5,
	   "ranks of equal score share what they are worth");
	metrics_tied(v, (float[]){ nan, nan, 1, 1, 1, 1 }, 6);
	ok(v[0] == 3 && v[1] == 1 && v[2] == 0.75, "a score that is no number ends");
	metrics_tied(v, NULL, 0);
	ok(v[0] == 3, "nothing to share");
}

int main(void)
{
	/* 1/log2(2) = 1, 1/log2(3) = 0.630929753571, 1/log2(4) = 0.5, 1/log2(5) = 0.430676558073 */
	near(metrics_ndcg((double[]){ 1, 0, 0 }, 3, (int[]){ 1 }, 1, 10), 1, "the only one first");
	near(metrics_ndcg((double[]){ 0, 1, 0 }, 3, (int[]){ 1 }, 1, 10), 0.630929753571, "second");
	near(metrics_ndcg((double[]){ 0, 0, 1 }, 3, (int[]){ 1 }, 1, 2), 0, "third is beyond 2");
	/* grades 3 2 1: ideal 3 + 2 * 0.6309 + 0.5 = 4.761859507142 */
	near(metrics_ndcg((double[]){ 3, 2, 1 }, 3, (int[]){ 1, 2, 3, 0 }, 4, 10), 1, "the best order");
	near(metrics_ndcg((double[]){ 1, 0, 3, 2 }, 4, (int[]){ 1, 2, 3, 0 }, 4, 10),
	     (1 + 3 * 0.5 + 2 * 0.430676558073) / 4.761859507142, "linear gains");
	near(metrics_ndcg((double[]){ 2, 2 }, 2, (int[]){ 2, 1, 2, 2 }, 4, 2), 1,
	     "the ideal ends at k too, equal grades count once each");
	near(metrics_ndcg((double[]){ 1 }, 1, (int[]){ 1, 1 }, 2, 10), 1 / 1.630929753571,
	     "the ideal knows what was not found");
	near(metrics_ndcg((double[]){ 0, 1 }, 2, (int[]){ -1, 1 }, 2, 10), 0.630929753571,
	     "a negative grade is worth nothing, not less");
	near(metrics_ndcg((double[]){ 0 }, 1, (int[]){ 0 }, 1, 10), 0, "nothing is relevant");
	near(metrics_ndcg(NULL, 0, (int[]){ 1 }, 1, 10), 0, "nothing was found");

	near(metrics_recall((double[]){ 1, 0, 1, 1 }, 4, (int[]){ 1, 1, 2, 3, 0 }, 5, 3), 0.5, "recall@3");
	near(metrics_recall((double[]){ 1, 0, 1, 1 }, 4, (int[]){ 1, 1, 2, 3, 0 }, 5, 10), 0.75, "recall@10");
	near(metrics_recall((double[]){ 0 }, 1, (int[]){ 0 }, 1, 10), 0, "recall of nothing");
	test_tied();
	return tap_done();
}
