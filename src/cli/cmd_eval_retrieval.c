#include "config.h"
#include "src/cli/cmd_eval.h"

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "src/eval/report.h"

#include <stdio.h>
#include <string.h>

#define ALL SIZE_MAX	/* sets */

struct state {
	struct cli *c;
	const struct eval_args *a;
	bool corpus;
	struct variants v;		/* with --vs, that one is the last */
	size_t n_modes;			/* without it */
	size_t stages;			/* the first of --stages; RETRIEVAL_NONE: no */
	struct retrieval_set *sets;	/* owned (n) */
	size_t n;			/* sets measured */
	struct stores *stores;
	FILE *ranking, *html;		/* NULL: not wanted */
	struct page page;		/* of --tune */
};

/* ---- one object a line ------------------------------------------------------------ */

/* "interval": {"ndcg@10": [low, high], ...} */
static void add_intervals(struct buf *b, const struct stats *stats)
{
	json_add_key(b, "interval");
	buf_addc(b, '{');
	for (size_t m = 0; m < N_METRICS; m++) {
		json_add_key(b, metric_names[m]);
		buf_addf(b, "[%.6f, %.6f]", stats[m].low, stats[m].high);
	}
	buf_addc(b, '}');
}

static int json_run(const struct state *s, const struct retrieval_set *set, size_t variant, size_t docs)
{
	const struct retrieval_run *run = &set->run[variant];
	struct buf b = BUF_INIT;

	buf_addc(&b, '{');
	eval_add_name(&b, "set", set->name);
	eval_add_name(&b, "mode", s->v.v[variant].name);
	json_add_key(&b, "documents");
	buf_addf(&b, "%zu", docs);
	json_add_key(&b, "queries");
	buf_addf(&b, "%zu", set->n);
	for (size_t m = 0; m < N_METRICS; m++)
		eval_add_number(&b, metric_names[m], run->stats[m].mean);
	add_intervals(&b, run->stats);
	json_add_key(&b, "ms_p50");
	buf_addf(&b, "%.3f", run->ms_p50);
	return eval_put_line(&b);
}

/* set NULL: the mean over all. */
static int json_difference(const struct state *s, const char *set, size_t variant,
			   const struct stats *stats)
{
	struct buf b = BUF_INIT;

	buf_addc(&b, '{');
	if (set)
		eval_add_name(&b, "set", set);
	else
		buf_addf(&b, "\"sets\": %zu", s->n);
	eval_add_name(&b, "mode", s->v.v[variant].name);
	eval_add_name(&b, "vs", s->v.v[s->n_modes].name);
	json_add_key(&b, "difference");
	buf_addc(&b, '{');
	for (size_t m = 0; m < N_METRICS; m++)
		eval_add_number(&b, metric_names[m], stats[m].mean);
	buf_addc(&b, '}');
	add_intervals(&b, stats);
	json_add_key(&b, "better");
	buf_addc(&b, '{');
	for (size_t m = 0; m < N_METRICS; m++)
		eval_add_number(&b, metric_names[m], stats[m].above);
	buf_addc(&b, '}');
	return eval_put_line(&b);
}

static int json_tune(const struct state *s, const char *set, const struct tune *t)
{
	struct buf b = BUF_INIT;

	buf_addc(&b, '{');
	eval_add_name(&b, "set", set);
	eval_add_name(&b, "mode", s->v.v[0].name);
	json_add_key(&b, "weight");
	buf_addf(&b, "%.2f", t->best);
	eval_add_number(&b, "ndcg@10", t->now);
	eval_add_number(&b, "gain", t->gain.mean);
	json_add_key(&b, "interval");
	buf_addf(&b, "[%.6f, %.6f]", t->gain.low, t->gain.high);
	json_add_key(&b, "helps");
	buf_adds(&b, t->helps ? "true" : "false");
	json_add_key(&b, "weights");
	buf_addc(&b, '{');
	for (size_t i = 0; i < TUNE_WEIGHTS; i++) {
		char name[8];

		snprintf(name, sizeof(name), "%.2f", t->weight[i]);
		eval_add_number(&b, name, t->ndcg[i]);
	}
	buf_addc(&b, '}');
	return eval_put_line(&b);
}

/* ---- a table ------------------------------------------------------------------------- */

static int width_of(const struct variant *v)
{
	int n = (int)strlen(v->name);

	return n < 8 ? 8 : n > 40 ? 40 : n;
}

/* One mode: all its figures; several: a column of nDCG@10 each. */
static void table_head(const struct state *s)
{
	printf("%-18s %7s %7s ", "set", "docs", "queries");
	if (s->v.n == 1)
		printf(" %s (95 %%)        %7s %7s %7s %7s %7s\n", metric_titles[NDCG10],
		       metric_titles[RECALL10], metric_titles[RECALL100], metric_titles[MRR10],
		       metric_titles[MAP], "ms");
	for (size_t i = 0; s->v.n > 1 && i < s->v.n; i++)
		printf("  %*.*s", width_of(&s->v.v[i]), 40, s->v.v[i].name);
	if (s->v.n > 1)
		putchar('\n');
	fflush(stdout);
}

static void figures(const struct stats *stats, double ms)
{
	printf(" %.4f (%.3f %.3f)  %7.4f %7.4f %7.4f %7.4f", stats[NDCG10].mean, stats[NDCG10].low,
	       stats[NDCG10].high, stats[RECALL10].mean, stats[RECALL100].mean, stats[MRR10].mean,
	       stats[MAP].mean);
	if (ms > 0)
		printf(" %7.1f", ms);
	putchar('\n');
}

static void table_row(const struct state *s, const struct retrieval_set *set, size_t docs)
{
	cli_bar_clear();
	printf("%-18.40s %7zu %7zu ", set->name, docs, set->n);
	if (s->v.n == 1)
		figures(set->run[0].stats, set->run[0].ms_p50);
	for (size_t i = 0; s->v.n > 1 && i < s->v.n; i++)
		printf("  %*.4f", width_of(&s->v.v[i]), set->run[i].stats[NDCG10].mean);
	if (s->v.n > 1)
		putchar('\n');
	fflush(stdout);
}

/* set ALL: the mean over them. */
static int all_stats(struct stats out[N_METRICS], const struct state *s, size_t set, size_t a, size_t b)
{
	const struct retrieval_set *sets = set == ALL ? s->sets : &s->sets[set];
	int rc = RAG_OK;

	for (size_t m = 0; !rc && m < N_METRICS; m++)
		rc = retrieval_stats(&out[m], sets, set == ALL ? s->n : 1, (enum metric)m, a, b);
	return rc;
}

/* Of several sets the mean of each figure, of several modes all figures of each. */
static int table_means(const struct state *s)
{
	struct stats stats[VARIANTS_MAX][N_METRICS];
	int rc = RAG_OK;

	if (s->n == 1 && s->v.n == 1)
		return RAG_OK;
	for (size_t i = 0; !rc && i < s->v.n; i++)
		rc = all_stats(stats[i], s, ALL, i, RETRIEVAL_NONE);
	if (rc)
		return rc;
	if (s->n > 1) {
		printf("%-18s %7s %7s ", "mean", "", "");
		if (s->v.n == 1)
			figures(stats[0], 0);
		for (size_t i = 0; s->v.n > 1 && i < s->v.n; i++)
			printf("  %*.4f", width_of(&s->v.v[i]), stats[i][NDCG10].mean);
		if (s->v.n > 1)
			putchar('\n');
	}
	if (s->v.n == 1)
		return RAG_OK;
	printf("\n%-34s  %s (95 %%)        %7s %7s %7s %7s\n", "mode", metric_titles[NDCG10],
	       metric_titles[RECALL10], metric_titles[RECALL100], metric_titles[MRR10], metric_titles[MAP]);
	for (size_t i = 0; i < s->v.n; i++) {
		printf("%-34.34s ", s->v.v[i].name);
		figures(stats[i], 0);
	}
	return RAG_OK;
}

static void difference_row(const char *set, const struct stats *d)
{
	printf("%-18.40s  %+.4f  (%+.4f %+.4f)  %3.0f %%\n", set, d->mean, d->low, d->high, 100 * d->above);
}

static int differences(const struct state *s, size_t variant)
{
	struct stats d[N_METRICS];
	int rc = RAG_OK;

	if (!s->c->json)
		printf("\n%s against %s, %s, the same questions:\n%-18s  %s  %-18s  %s\n",
		       s->v.v[variant].name, s->v.v[s->n_modes].name, metric_titles[NDCG10], "set",
		       "differs", "(95 %)", "better in");
	for (size_t i = 0; !rc && i < s->n; i++) {
		rc = all_stats(d, s, i, variant, s->n_modes);
		if (!rc && s->c->json)
			rc = json_difference(s, s->sets[i].name, variant, d);
		else if (!rc)
			difference_row(s->sets[i].name, &d[NDCG10]);
	}
	if (rc || s->n == 1)
		return rc;
	rc = all_stats(d, s, ALL, variant, s->n_modes);
	if (!rc && s->c->json)
		rc = json_difference(s, NULL, variant, d);
	else if (!rc)
		difference_row("mean", &d[NDCG10]);
	return rc;
}

static void tune_report(const struct tune *t, const char *set)
{
	cli_bar_clear();
	printf("%s: weight of the vectors, and nDCG@10 with it:\n", set);
	for (size_t i = 0; i < TUNE_WEIGHTS; i++)
		printf("  %.2f  %.4f%s\n", t->weight[i], t->ndcg[i],
		       t->weight[i] == t->best ? "  best" : "");
	printf("with the store's weight %.4f; held out, the best one gains %+.4f (%+.4f %+.4f)%s\n",
	       t->now, t->gain.mean, t->gain.low, t->gain.high,
	       t->helps ? "" : ": no gain that can be relied on");
	fflush(stdout);
}

/* ---- the run --------------------------------------------------------------------------- */

static int choose_variants(struct state *s)
{
	const struct eval_args *a = s->a;
	enum cut cut = CUT_DEFAULT;
	int rc = a->chunks ? cut_parse(&cut, a->chunks, strlen(a->chunks)) : RAG_OK;

	if (!rc && a->chunks && !s->corpus)
		rc = err_set(RAG_EINVAL, "a store's own documents are cut already: --chunks is for sets with theirs");
	if (!rc && a->keep && (!a->tune || !s->c->store))
		rc = err_set(RAG_EINVAL, "--set keeps what --tune finds in a store: both, and -s, are needed");
	if (!rc && a->tune && (a->stages || a->vs || a->modes.n > 1))
		rc = err_set(RAG_EINVAL, "--tune goes with one --mode, and neither --stages nor --vs");
	for (size_t i = 0; !rc && i < a->modes.n; i++)
		rc = variants_add(&s->v, a->modes.s[i], cut);
	s->stages = a->stages ? s->v.n : RETRIEVAL_NONE;
	if (!rc && a->stages)
		rc = variants_stages(&s->v, cut);
	if (!rc && !s->v.n)
		rc = variants_add(&s->v, "hybrid", cut);
	s->n_modes = s->v.n;
	if (!rc && a->vs)
		rc = variants_add_to(&s->v, a->vs, cut);
	return rc;
}

static int tune_set(struct state *s, const struct retrieval_set *set, struct collection *c)
{
	struct tune t;
	int rc = tune_weight(&t, set, &s->v.v[0], c, eval_progress, s->c);

	if (!rc && s->a->keep && t.helps)
		rc = rag_set_weight(collection_rag(c), t.best);
	if (rc)
		return rc;
	if (s->html)
		report_tune(&s->page, set->name, &t);
	if (s->c->json)
		return json_tune(s, set->name, &t);
	tune_report(&t, set->name);
	if (s->a->keep)
		printf(t.helps ? "the store keeps weight %.2f\n" : "the store keeps the weight it has\n", t.best);
	return RAG_OK;
}

static int run_set(struct state *s, struct retrieval_set *set)
{
	struct collection *c;
	size_t docs = 0, empty = 0;
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < s->v.n; i++) {
		rc = stores_get(&c, s->stores, set->judged, set->name, &s->v.v[i]);
		if (rc)
			break;
		docs = collection_n_docs(c);
		if (!i)
			empty = collection_n_empty(c);
		if (!i && empty && !s->c->quiet)
			cli_say("%s: %zu documents without any text, which nothing can find", set->name, empty);
		if (s->a->tune)
			return tune_set(s, set, c);
		rc = retrieval_measure(&set->run[i], set, &s->v.v[i], c, s->ranking, eval_progress, s->c);
		if (!rc && s->c->json)
			rc = json_run(s, set, i, docs);
	}
	if (!rc && !s->c->json)
		table_row(s, set, docs);
	return rc;
}

static int run_all(struct state *s, int n, char **dirs)
{
	int rc = RAG_OK;

	s->sets = mem_calloc((size_t)n, sizeof(*s->sets));
	if (!s->sets)
		return RAG_ENOMEM;
	/* What is wrong with a set is told before the first is measured. */
	for (int i = 0; !rc && i < n; i++) {
		s->n++;
		rc = retrieval_open(&s->sets[i], dirs[i], s->corpus);
	}
	if (!rc && !s->c->json && !s->a->tune)
		table_head(s);
	for (int i = 0; !rc && i < n; i++) {
		rc = run_set(s, &s->sets[i]);
		stores_leave(s->stores);
	}
	if (rc || s->a->tune)
		return rc;
	cli_bar_clear();
	if (!s->c->json)
		rc = table_means(s);
	for (size_t i = 0; !rc && s->a->vs && i < s->n_modes; i++)
		rc = differences(s, i);
	return rc;
}

static int write_page(struct state *s)
{
	struct report_retrieval r = { s->sets, s->n, &s->v, s->stages, s->a->vs ? s->n_modes : RETRIEVAL_NONE };

	return s->a->tune ? page_end(&s->page, s->html) : report_retrieval(s->html, &r);
}

int eval_retrieval(struct cli *c, const struct eval_args *a, int n, char **dirs)
{
	struct state s = { .c = c, .a = a };
	struct stores_opts so;
	int rc, code = eval_create(&s.ranking, a->ranking);

	if (!code)
		code = eval_create(&s.html, a->html);
	if (code)
		return code;
	if (s.html && a->tune)
		report_tune_begin(&s.page);
	rc = eval_have_corpus(&s.corpus, c, n, dirs);
	if (!rc)
		rc = choose_variants(&s);
	so = eval_stores(c, a, s.corpus);
	if (!rc)
		rc = stores_new(&s.stores, &so);
	if (!rc)
		rc = run_all(&s, n, dirs);
	if (!rc && s.html)
		rc = write_page(&s);
	code = rc ? cli_fail(rc) : CLI_OK;
	stores_free(s.stores);
	for (size_t i = 0; i < s.n; i++)
		retrieval_close(&s.sets[i]);
	mem_free(s.sets);
	variants_release(&s.v);
	buf_release(&s.page.b);
	code = eval_close(s.ranking, a->ranking, code);
	return eval_close(s.html, a->html, code);
}
