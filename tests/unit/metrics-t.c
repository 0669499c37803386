#include "config.h"
#include "tests/tap.h"

#include "src/eval/metrics.h"
#include "src/eval/squad.h"
#include "src/eval/stats.h"

#include <math.h>
#include <stdlib.h>

static void near(double got, double want, const char *name)
{
	if (!ok(fabs(got - want) < 1e-9, "%s", name))
		printf("# got %.12g, want %.12g\n", got, want);
}

static double of(enum metric m, const int *grades, size_t n, const int *judged, size_t n_judged)
{
	double v[N_METRICS];

	metrics_of(v, grades, n, judged, n_judged);
	return v[m];
}

static void test_ndcg(void)
{
	/* 1/log2(2) = 1, 1/log2(3) = 0.630929753571, 1/log2(4) = 0.5, 1/log2(5) = 0.430676558073 */
	near(of(NDCG10, (int[]){ 1, 0, 0 }, 3, (int[]){ 1 }, 1), 1, "the only one first");
	near(of(NDCG10, (int[]){ 0, 1, 0 }, 3, (int[]){ 1 }, 1), 0.630929753571, "second");
	/* grades 3 2 1: ideal 3 + 2 * 0.6309 + 0.5 = 4.761859507142 */
	near(of(NDCG10, (int[]){ 3, 2, 1 }, 3, (int[]){ 1, 2, 3, 0 }, 4), 1, "the best order");
	near(of(NDCG10, (int[]){ 1, 0, 3, 2 }, 4, (int[]){ 1, 2, 3, 0 }, 4),
	     (1 + 3 * 0.5 + 2 * 0.430676558073) / 4.761859507142, "linear gains");
	near(of(NDCG10, (int[]){ 1 }, 1, (int[]){ 1, 1 }, 2), 1 / 1.630929753571,
	     "the ideal knows what was not found");
	near(of(NDCG10, (int[]){ -1, 1 }, 2, (int[]){ -1, 1 }, 2), 0.630929753571, "below 0 is worth nothing");
}

static void test_others(void)
{
	int late[101] = { 0 }, twelve[12] = { 0 };

	near(of(RECALL10, (int[]){ 0, 1, 2 }, 3, (int[]){ 1, 2, 1, 1, 0 }, 5), 0.5, "recall");
	late[99] = 1;
	late[100] = 1;
	near(of(RECALL100, late, 101, (int[]){ 1, 1 }, 2), 0.5, "recall@100 ends at 100");
	near(of(MRR10, late, 101, (int[]){ 1, 1 }, 2), 0, "MRR@10 at 10");
	near(of(MAP, late, 101, (int[]){ 1, 1 }, 2), (0.01 + 2 / 101.0) / 2, "MAP goes on");
	twelve[9] = 1;
	near(of(MRR10, twelve, 12, (int[]){ 1 }, 1), 0.1, "MRR@10 reaches the tenth");
	near(of(MAP, (int[]){ 1, 0, 1 }, 3, (int[]){ 1, 1, 1 }, 3), (1 + 2 / 3.0) / 3, "MAP counts what is missing");
	for (int m = 0; m < N_METRICS; m++)
		near(of((enum metric)m, (int[]){ 0 }, 1, (int[]){ 0, -1 }, 2), 0, metric_names[m]);
}

/* Numbers apart by spaces; "-" is 0.  Returns how many, at most max. */
static size_t numbers(int *out, size_t max, char *text)
{
	size_t n = 0;

	for (char *p = strtok(text, " "); p && n < max; p = strtok(NULL, " "))
		out[n++] = atoi(p);
	return n;
}

static bool golden_line(char *found, char *missed, const char *want)
{
	double got[N_METRICS], w[N_METRICS];
	int grades[256], judged[512];
	size_t n = numbers(grades, 256, found), all = n;

	memcpy(judged, grades, n * sizeof(*grades));
	all += numbers(judged + n, 256, missed);
	metrics_of(got, grades, n, judged, all);
	if (sscanf(want, "%lf %lf %lf %lf %lf", &w[0], &w[1], &w[2], &w[3], &w[4]) != N_METRICS)
		return false;
	for (int m = 0; m < N_METRICS; m++)
		if (!(fabs(got[m] - w[m]) < 1e-6))
			return false;
	return true;
}

static void test_golden(void)
{
	const char *src = getenv("srcdir");
	char path[512], line[4096];
	size_t lines = 0, good = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/golden/measures.txt", src ? src : ".");
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		char *missed = strchr(line, '\t'), *want = missed ? strchr(missed + 1, '\t') : NULL;

		if (!want || *line == 't')
			continue;
		*missed++ = *want++ = 0;
		lines++;
		good += golden_line(line, missed, want);
	}
	if (f)
		fclose(f);
	ok(lines == 60 && good == lines, "%zu of %zu rankings as ir-measures has them", good, lines);
}

/* "t", a prediction, gold answers apart by '|', exact match and F1. */
static bool answer_line(char *line)
{
	char *field[4], *gold[8];
	double exact, f1;
	struct squad s;
	size_t n = 0;

	for (size_t i = 0; i < 4; i++)
		field[i] = strsep(&line, "\t");
	while (field[2] && n < 8)
		gold[n++] = strsep(&field[2], "|");
	if (!field[3] || sscanf(field[3], "%lf %lf", &exact, &f1) != 2 ||
	    squad_score(&s, field[1], (const char *const *)gold, n))
		return false;
	if (s.exact != exact || !(fabs(s.f1 - f1) < 1e-6))
		printf("# '%s': %g %g\n", field[1], s.exact, s.f1);
	return s.exact == exact && fabs(s.f1 - f1) < 1e-6;
}

static void test_squad(void)
{
	static const struct { const char *answer, *wanted; bool holds; } all[] = {
		{ "It was in October 1973.", "1973", true }, { "In 19734", "1973", false },
		{ "the Duke of Normandy", "The Duke", true }, { "Dukes", "duke", false },
		{ "anything", "a", false }, { "one two three", "one three", false }, { "x\xff y", "y", true },
	};
	const char *src = getenv("srcdir");
	char path[512], line[4096];
	size_t lines = 0, good = 0;
	struct squad s;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/golden/measures.txt", src ? src : ".");
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (*line != 't')
			continue;
		lines++;
		good += answer_line(line);
	}
	if (f)
		fclose(f);
	ok(lines == 12 && good == lines, "%zu of %zu answers as SQuAD's script has them", good, lines);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int rc = squad_score(&s, all[i].answer, &all[i].wanted, 1);

		ok(!rc && s.contains == all[i].holds, "'%s' %s '%s'", all[i].answer,
		   all[i].holds ? "holds" : "does not hold", all[i].wanted);
	}
	is_int(squad_score(&s, "words", NULL, 0), RAG_OK, "no wanted answer");
	ok(!s.exact && s.f1 == 0 && !s.contains, "is worth nothing");
}

static void test_stats(void)
{
	double v[400], few[3] = { 3, 1, 2 };
	size_t n = 400, groups[3] = { 300, 0, 100 };
	struct stats s, again;

	for (size_t i = 0; i < n; i++)
		v[i] = (double)(i % 4 == 0);	/* 1/4: standard error sqrt(3/16 / 400) = 0.0217 */
	is_int(stats_bootstrap(&s, v, &n, 1), RAG_OK, "a bootstrap");
	near(s.mean, 0.25, "its mean");
	ok(fabs(s.low - (0.25 - 1.96 * 0.0217)) < 0.006 && fabs(s.high - (0.25 + 1.96 * 0.0217)) < 0.006,
	   "its interval is the normal one's");
	near(s.above, 1, "no resample without any");
	stats_bootstrap(&again, v, &n, 1);
	ok(!memcmp(&s, &again, sizeof(s)), "the same again");
	for (size_t i = 0; i < n; i++)
		v[i] = i < 300 ? 1 : 0;
	stats_bootstrap(&s, v, groups, 3);
	near(s.mean, 0.5, "the mean of groups, those without any left out");
	ok(s.low == 0.5 && s.high == 0.5, "each is drawn within its own");
	for (size_t i = 0; i < n; i++)
		v[i] = i % 2 ? 1 : -1;
	stats_bootstrap(&s, v, &n, 1);
	ok(s.above > 0.45 && s.above < 0.55 && s.low < 0 && s.high > 0, "no difference is a coin's throw");
	memset(v, 0, sizeof(v));
	stats_bootstrap(&s, v, &n, 1);
	near(s.above, 0.5, "equal counts half");
	n = 0;
	is_int(stats_bootstrap(&s, v, &n, 1), RAG_OK, "of nothing");
	ok(s.mean == 0 && s.low == 0 && s.high == 0, "nothing");
	near(stats_median(few, 3), 2, "a median");
	near(stats_median(few, 2), 1.5, "of two");
	near(stats_median(few, 0), 0, "of none");
}

int main(void)
{
	test_ndcg();
	test_others();
	test_golden();
	test_squad();
	test_stats();
	return tap_done();
}
