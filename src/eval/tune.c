#include "config.h"
#include "src/eval/tune.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct trial {
	const struct retrieval_set *s;
	struct collection *c;
	double *values;		/* owned (TUNE_WEIGHTS, n) nDCG@10 */
	double *now;		/* owned (n) with the store's weight */
	rag_progress_fn *progress;
	void *arg;
	size_t done;		/* runs */
};

static int tell(void *arg, const struct rag_progress *p)
{
	struct trial *t = arg;
	struct rag_progress mine = { "tune", p->what, t->done * p->total + p->done,
				     (TUNE_WEIGHTS + 1) * p->total };

	return t->progress ? t->progress(t->arg, &mine) : 0;
}

/* nDCG@10 of each question; weight 0: the store's. */
static int try_weight(double *out, struct trial *t, const struct variant *v, double weight)
{
	struct variant mine = *v;
	struct retrieval_run run = { .values = NULL };
	int rc;

	mine.weight = weight;
	rc = retrieval_measure(&run, t->s, &mine, t->c, NULL, tell, t);
	if (!rc)
		memcpy(out, run.values + NDCG10 * t->s->n, t->s->n * sizeof(*out));
	retrieval_run_release(&run);
	t->done++;
	return rc;
}

static size_t fold_of(const struct retrieval_set *s, size_t i)
{
	return judged_tie(judged_query_at(s->judged, s->queries[i]).id) % TUNE_FOLDS;
}

/* The weight that is best on all questions but those of a fold (TUNE_FOLDS: on all).
 * Of equal ones the middle one: a weight at the edge of what is good is a risk. */
static size_t best_without(double *means, const struct trial *t, size_t fold)
{
	size_t n = t->s->n, first = 0, last = 0;
	double sum[TUNE_WEIGHTS] = { 0 };

	for (size_t w = 0; w < TUNE_WEIGHTS; w++) {
		for (size_t i = 0; i < n; i++)
			if (fold == TUNE_FOLDS || fold_of(t->s, i) != fold)
				sum[w] += t->values[w * n + i];
		if (sum[w] > sum[first])
			first = last = w;
		else if (last + 1 == w && sum[w] >= sum[first])
			last = w;
		if (means)
			means[w] = sum[w] / (double)n;
	}
	return (first + last) / 2;
}

static int held_out(struct stats *out, const struct trial *t)
{
	size_t n = t->s->n, best[TUNE_FOLDS];
	double *gain = mem_calloc(n, sizeof(*gain));
	int rc;

	if (!gain)
		return RAG_ENOMEM;
	for (size_t f = 0; f < TUNE_FOLDS; f++)
		best[f] = best_without(NULL, t, f);
	for (size_t i = 0; i < n; i++)
		gain[i] = t->values[best[fold_of(t->s, i)] * n + i] - t->now[i];
	rc = stats_bootstrap(out, gain, &n, 1);
	mem_free(gain);
	return rc;
}

static int choose(struct tune *out, const struct trial *t)
{
	size_t n = t->s->n;

	*out = (struct tune){ .helps = false };
	for (size_t w = 0; w < TUNE_WEIGHTS; w++)
		out->weight[w] = TUNE_STEP * (double)(w + 1);
	out->best = out->weight[best_without(out->ndcg, t, TUNE_FOLDS)];
	for (size_t i = 0; i < n; i++)
		out->now += t->now[i] / (double)n;
	return held_out(&out->gain, t);
}

int tune_weight(struct tune *out, const struct retrieval_set *s, const struct variant *v,
		struct collection *c, rag_progress_fn *progress, void *arg)
{
	struct trial t = { .s = s, .c = c, .progress = progress, .arg = arg };
	int rc = RAG_OK;

	if (s->n < TUNE_LEAST)
		return err_set(RAG_EINVAL, "'%s' has %zu questions to tune on, %d are the least", s->name,
			       s->n, TUNE_LEAST);
	if (!strcmp(v->mode, "dense") || !strcmp(v->mode, "bm25"))
		return err_set(RAG_EINVAL, "mode %s has no weight to tune: hybrid or fusion", v->mode);
	t.values = mem_calloc(s->n, TUNE_WEIGHTS * sizeof(*t.values));
	t.now = mem_calloc(s->n, sizeof(*t.now));
	if (!t.values || !t.now)
		rc = RAG_ENOMEM;
	if (!rc)
		rc = try_weight(t.now, &t, v, 0);
	for (size_t w = 0; !rc && w < TUNE_WEIGHTS; w++)
		rc = try_weight(t.values + w * s->n, &t, v, TUNE_STEP * (double)(w + 1));
	if (!rc)
		rc = choose(out, &t);
	if (!rc)
		out->helps = out->gain.low > 0;
	mem_free(t.values);
	mem_free(t.now);
	return rc;
}
