#include "config.h"
#include "src/eval/retrieval.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

int retrieval_open(struct retrieval_set *out, const char *dir, bool corpus)
{
	size_t len = strlen(dir), start, n;
	int rc;

	memset(out, 0, sizeof(*out));
	while (len > 1 && dir[len - 1] == '/')
		len--;
	for (start = len; start && dir[start - 1] != '/'; start--)
		;
	out->name = mem_strndup(dir + start, len - start);
	rc = out->name ? judged_open(&out->judged, dir, corpus) : RAG_ENOMEM;
	if (rc)
		return rc;
	n = judged_n_queries(out->judged);
	out->queries = mem_calloc(n, sizeof(*out->queries));
	if (!out->queries)
		return RAG_ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (judged_query_at(out->judged, i).n_relevant)
			out->queries[out->n++] = i;
	return out->n ? RAG_OK : err_set(RAG_EINVAL, "no query of '%s' has a relevant document", dir);
}

void retrieval_run_release(struct retrieval_run *run)
{
	mem_free(run->values);
	mem_free(run->ms);
	memset(run, 0, sizeof(*run));
}

void retrieval_close(struct retrieval_set *s)
{
	for (size_t i = 0; i < VARIANTS_MAX; i++)
		retrieval_run_release(&s->run[i]);
	mem_free(s->queries);
	mem_free(s->name);
	judged_close(s->judged);
	memset(s, 0, sizeof(*s));
}

/* Fields of such files end at white space. */
static void write_id(FILE *f, const char *id)
{
	for (; *id; id++) {
		if (*id == '%' || *id == ' ')
			fprintf(f, "%%%02x", (unsigned char)*id);
		else
			putc(*id, f);
	}
}

/* Programs that read such files sort them by score again, and break ties in ways of
 * their own: each score is put below the one before it. */
static void write_ranking(FILE *f, const char *query, const char *variant, const struct ranked *r,
			  size_t n)
{
	float last = INFINITY;

	for (size_t i = 0; i < n; i++) {
		float below = nextafterf(last, -INFINITY);

		last = r[i].score < below ? r[i].score : below;
		write_id(f, query);
		fputs(" Q0 ", f);
		write_id(f, r[i].id);
		fprintf(f, " %zu %.9g ", i + 1, (double)last);
		write_id(f, variant);
		putc('\n', f);
	}
}

static int measure_query(double *values, size_t stride, const struct judged *j, size_t query,
			 const struct ranked *r, size_t n)
{
	const struct judged_grade *g;
	size_t n_judged = judged_grades(&g, j, query);
	int grades[RETRIEVAL_DEPTH], *all = mem_calloc(n_judged, sizeof(*all));
	double v[N_METRICS];

	if (!all)
		return RAG_ENOMEM;
	for (size_t i = 0; i < n_judged; i++)
		all[i] = g[i].grade;
	for (size_t i = 0; i < n; i++)
		grades[i] = r[i].doc < 0 ? 0 : judged_grade_of(j, query, (size_t)r[i].doc);
	metrics_of(v, grades, n, all, n_judged);
	for (size_t m = 0; m < N_METRICS; m++)
		values[m * stride] = v[m];
	mem_free(all);
	return RAG_OK;
}

static int search_one(struct retrieval_run *run, const struct retrieval_set *s, size_t i,
		      const struct variant *v, struct collection *c, FILE *ranking)
{
	struct rag_search_opts o = variant_search(v);
	struct judged_query q = judged_query_at(s->judged, s->queries[i]);
	struct ranked r[RETRIEVAL_DEPTH];
	struct rag_hits *h;
	double t = clock_now();
	size_t n;
	int rc;

	o.k = RETRIEVAL_DEPTH;
	o.per_document = 1;
	o.asked = v->turns ? q.asked : NULL;
	o.answered = v->turns ? q.answered : NULL;
	rc = rag_search(&h, collection_rag(c), q.text, &o);
	if (rc)
		return rc == RAG_ECANCEL ? rc : err_within(rc, "'%s', query '%.100s'", s->name, q.id);
	run->ms[i] = 1e3 * (clock_now() - t);
	n = collection_rank(r, RETRIEVAL_DEPTH, c, h);
	rag_hits_free(h);
	if (ranking)
		write_ranking(ranking, q.id, v->name, r, n);
	return measure_query(run->values + i, s->n, s->judged, s->queries[i], r, n);
}

static int summarise(struct retrieval_run *run, const struct retrieval_set *s)
{
	double *ms = mem_dup(run->ms, s->n * sizeof(*ms));
	int rc = ms ? RAG_OK : RAG_ENOMEM;

	if (!rc)
		run->ms_p50 = stats_median(ms, s->n);
	mem_free(ms);
	for (size_t m = 0; !rc && m < N_METRICS; m++)
		rc = stats_bootstrap(&run->stats[m], run->values + m * s->n, &s->n, 1);
	return rc;
}

int retrieval_measure(struct retrieval_run *run, const struct retrieval_set *s,
		      const struct variant *v, struct collection *c, FILE *ranking,
		      rag_progress_fn *progress, void *arg)
{
	struct rag_progress p = { "search", s->name, 0, s->n };
	int rc = RAG_OK;

	retrieval_run_release(run);
	run->values = mem_calloc(s->n, N_METRICS * sizeof(*run->values));
	run->ms = mem_calloc(s->n, sizeof(*run->ms));
	if (!run->values || !run->ms)
		return RAG_ENOMEM;
	for (; !rc && p.done < s->n; p.done++) {
		if (progress && progress(arg, &p))
			return err_set(RAG_ECANCEL, "cancelled");
		rc = search_one(run, s, p.done, v, c, ranking);
	}
	if (!rc && ranking && ferror(ranking))
		rc = err_set(RAG_EIO, "cannot write the ranking");
	return rc ? rc : summarise(run, s);
}

int retrieval_stats(struct stats *out, const struct retrieval_set *sets, size_t n, enum metric m,
		    size_t a, size_t b)
{
	size_t *groups = mem_calloc(n, sizeof(*groups)), total = 0, at = 0;
	double *v;
	int rc = RAG_ENOMEM;

	for (size_t i = 0; i < n; i++)
		total += sets[i].n;
	v = mem_calloc(total, sizeof(*v));
	for (size_t i = 0; groups && v && i < n; i++) {
		const double *x = sets[i].run[a].values + m * sets[i].n;
		const double *y = b == RETRIEVAL_NONE ? NULL : sets[i].run[b].values + m * sets[i].n;

		groups[i] = sets[i].n;
		for (size_t k = 0; k < sets[i].n; k++)
			v[at++] = x[k] - (y ? y[k] : 0);
	}
	if (groups && v)
		rc = stats_bootstrap(out, v, groups, n);
	mem_free(groups);
	mem_free(v);
	return rc;
}
