#include "config.h"
#include "src/eval/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define ALL SIZE_MAX
#define CHANGED 12		/* questions shown at each end */

static int names_of(const char ***out, const struct report_retrieval *r)
{
	*out = mem_calloc(r->n + 1, sizeof(**out));
	if (!*out)
		return RAG_ENOMEM;
	for (size_t i = 0; i < r->n; i++)
		(*out)[i] = r->sets[i].name;
	(*out)[r->n] = "mean";
	return RAG_OK;
}

/* set ALL: the mean over them. */
static int stats_of(struct stats *out, const struct report_retrieval *r, size_t set, size_t a, size_t b)
{
	return set == ALL ? retrieval_stats(out, r->sets, r->n, NDCG10, a, b)
			  : retrieval_stats(out, &r->sets[set], 1, NDCG10, a, b);
}

static void tile(struct page *p, const char *name, const struct stats *s)
{
	page_add(p, "<div class=\"tile\"><small>");
	page_text(p, name);
	page_add(p, "</small><b>%.4f</b><small>%.3f to %.3f</small></div>\n", s->mean, s->low, s->high);
}

static int tiles(struct page *p, const struct report_retrieval *r)
{
	int rc = RAG_OK;

	page_add(p, "<div class=\"tiles\">\n");
	for (size_t i = 0; !rc && i < r->variants->n; i++) {
		struct stats s;

		rc = stats_of(&s, r, ALL, i, RETRIEVAL_NONE);
		if (!rc)
			tile(p, r->variants->v[i].name, &s);
	}
	page_add(p, "</div>\n");
	return rc;
}

static int bars(struct page *p, const struct report_retrieval *r, const char *const *names)
{
	size_t n = r->variants->n, groups = r->n + (r->n > 1);
	struct stats *s = mem_calloc(groups * n, sizeof(*s));
	const char *modes[VARIANTS_MAX];
	struct page_bars b = { names, modes, groups, n, s, NULL };
	int rc = s ? RAG_OK : RAG_ENOMEM;

	for (size_t i = 0; i < n; i++)
		modes[i] = r->variants->v[i].name;
	for (size_t g = 0; !rc && g < groups; g++)
		for (size_t i = 0; !rc && i < n; i++)
			rc = stats_of(&s[g * n + i], r, g < r->n ? g : ALL, i, RETRIEVAL_NONE);
	if (!rc)
		page_bars(p, &b);
	mem_free(s);
	return rc;
}

/* ---- stages ---------------------------------------------------------------------------- */

enum { DENSE, WORDS, FUSION, LATE, SECOND, N_STAGES };

static int stage_values(double out[N_STAGES], const struct report_retrieval *r, size_t set)
{
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < N_STAGES; i++) {
		struct stats s;

		rc = stats_of(&s, r, set, r->stages + i, RETRIEVAL_NONE);
		out[i] = rc ? 0 : s.mean;
	}
	return rc;
}

static void gain_cell(struct page *p, double gain)
{
	double strength = gain < 0 ? -gain / .1 : gain / .1;

	page_add(p, "<td style=\"background:color-mix(in srgb,var(%s) %.0f%%,transparent)\">%+.4f</td>",
		 gain < 0 ? "--bad" : "--good", 55 * (strength > 1 ? 1 : strength), gain);
}

static int stage_rows(struct page *p, const struct report_retrieval *r)
{
	double v[N_STAGES];
	int rc = RAG_OK;

	page_add(p, "<div class=\"card\"><table><tr><th>set</th><th>better single one</th><th>fusion</th><th>late</th>"
		 "<th>second</th><th>whole</th></tr>\n");
	for (size_t i = 0; !rc && i < r->n; i++) {
		double single;

		rc = stage_values(v, r, i);
		single = v[DENSE] > v[WORDS] ? v[DENSE] : v[WORDS];
		page_add(p, "<tr><td>");
		page_text(p, r->sets[i].name);
		page_add(p, "</td><td>%.4f</td>", single);
		gain_cell(p, v[FUSION] - single);
		gain_cell(p, v[LATE] - v[FUSION]);
		gain_cell(p, v[SECOND] - v[LATE]);
		page_add(p, "<td>%.4f</td></tr>\n", v[SECOND]);
	}
	page_add(p, "</table></div>\n");
	return rc;
}

static int stages(struct page *p, const struct report_retrieval *r)
{
	static const char *const rows[N_STAGES] = { "dense", "words (bm25)", "fusion", "late interaction",
						    "second step" };
	double v[N_STAGES], from[N_STAGES] = { 0 };
	int rc = stage_values(v, r, ALL);

	if (rc)
		return rc;
	from[FUSION] = v[DENSE] > v[WORDS] ? v[DENSE] : v[WORDS];
	from[LATE] = v[FUSION];
	from[SECOND] = v[LATE];
	page_heading(p, "What each stage adds", "Mean nDCG@10. Fusion starts from the better of the two lists it joins, each "
		     "later stage from the one before. The axis does not begin at 0.");
	page_steps(p, rows, from, v, N_STAGES);
	return stage_rows(p, r);
}

/* ---- a comparison ------------------------------------------------------------------------ */

struct change {
	size_t set, i;
	double by;
};

static int by_change(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	if (x->by != y->by)
		return x->by < y->by ? -1 : 1;
	if (x->set != y->set)
		return x->set < y->set ? -1 : 1;
	return (x->i > y->i) - (x->i < y->i);
}

static void change_row(struct page *p, const struct report_retrieval *r, const struct change *c, size_t a)
{
	const struct retrieval_set *s = &r->sets[c->set];

	page_add(p, "<tr><td>");
	page_text(p, s->name);
	page_add(p, "</td><td class=\"t\">");
	page_text(p, judged_query_at(s->judged, s->queries[c->i]).text);
	page_add(p, "</td><td>%.3f</td><td>%.3f</td><td class=\"%s\">%+.3f</td></tr>\n",
		 s->run[r->vs].values[NDCG10 * s->n + c->i], s->run[a].values[NDCG10 * s->n + c->i],
		 c->by < 0 ? "down" : "up", c->by);
}

static int changes(struct page *p, const struct report_retrieval *r, size_t a)
{
	size_t total = 0, n = 0;
	struct change *c;

	for (size_t i = 0; i < r->n; i++)
		total += r->sets[i].n;
	c = mem_calloc(total, sizeof(*c));
	if (!c)
		return RAG_ENOMEM;
	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < r->sets[i].n; k++)
			c[n++] = (struct change){ i, k, r->sets[i].run[a].values[NDCG10 * r->sets[i].n + k] -
							r->sets[i].run[r->vs].values[NDCG10 * r->sets[i].n + k] };
	qsort(c, n, sizeof(*c), by_change);
	for (int worse = 1; worse >= 0; worse--) {
		page_add(p, "<details><summary>The questions that %s most</summary><div class=\"card\"><table><tr><th>set</th>"
			 "<th>question</th><th>before</th><th>with it</th><th></th></tr>\n", worse ? "lose" : "gain");
		for (size_t i = 0; i < CHANGED && i < n; i++) {
			const struct change *at = &c[worse ? i : n - 1 - i];

			if (worse ? at->by < 0 : at->by > 0)
				change_row(p, r, at, a);
		}
		page_add(p, "</table></div></details>\n");
	}
	mem_free(c);
	return RAG_OK;
}

static int sorted_plots(struct page *p, const struct report_retrieval *r, size_t a)
{
	int rc = RAG_OK;

	page_add(p, "<div class=\"card\">\n");
	for (size_t i = 0; !rc && i < r->n; i++) {
		const struct retrieval_set *s = &r->sets[i];
		double *d = mem_calloc(s->n, sizeof(*d));
		size_t up = 0, down = 0;

		if (!d)
			return RAG_ENOMEM;
		for (size_t k = 0; k < s->n; k++) {
			d[k] = s->run[a].values[NDCG10 * s->n + k] - s->run[r->vs].values[NDCG10 * s->n + k];
			up += d[k] > 0;
			down += d[k] < 0;
		}
		page_add(p, "<div><b>");
		page_text(p, s->name);
		page_add(p, "</b> <small class=\"up\">%zu better</small>, <small class=\"down\">%zu worse</small>, "
			 "<small>%zu the same</small></div>\n", up, down, s->n - up - down);
		page_sorted(p, d, s->n);
		mem_free(d);
	}
	page_add(p, "</div>\n");
	return rc;
}

static int comparison(struct page *p, const struct report_retrieval *r, const char *const *names, size_t a)
{
	struct stats *s = mem_calloc(r->n + 1, sizeof(*s));
	struct buf title = BUF_INIT;
	size_t rows = r->n + (r->n > 1);
	int rc = s ? RAG_OK : RAG_ENOMEM;

	for (size_t i = 0; !rc && i < rows; i++)
		rc = stats_of(&s[i], r, i < r->n ? i : ALL, a, r->vs);
	if (!rc)
		rc = buf_addf(&title, "%s against %s", r->variants->v[a].name, r->variants->v[r->vs].name);
	if (!rc) {
		page_heading(p, buf_str(&title), "Difference in nDCG@10 on the same questions with its 95 % interval; coloured "
			     "where that leaves 0 out.");
		page_differences(p, names, s, rows);
		page_add(p, "<p class=\"note\">Question by question, the greatest gain at the left:</p>\n");
		rc = sorted_plots(p, r, a);
	}
	if (!rc)
		rc = changes(p, r, a);
	buf_release(&title);
	mem_free(s);
	return rc;
}

/* ---- all figures ---------------------------------------------------------------------------- */

static int table(struct page *p, const struct report_retrieval *r)
{
	page_heading(p, "All figures", "With their 95 % intervals over the questions; ms is the median time of a search, "
		     "embedding of the question included.");
	page_add(p, "<div class=\"card\"><table><tr><th>set</th><th>questions</th><th>mode</th>");
	for (size_t m = 0; m < N_METRICS; m++)
		page_add(p, "<th>%s</th>", metric_titles[m]);
	page_add(p, "<th>ms</th></tr>\n");
	for (size_t i = 0; i < r->n; i++) {
		for (size_t k = 0; k < r->variants->n; k++) {
			const struct retrieval_run *run = &r->sets[i].run[k];

			page_add(p, "<tr><td>");
			page_text(p, k ? "" : r->sets[i].name);
			page_add(p, "</td><td>");
			if (!k)
				page_add(p, "%zu", r->sets[i].n);
			page_add(p, "</td><td>");
			page_text(p, r->variants->v[k].name);
			page_add(p, "</td>");
			for (size_t m = 0; m < N_METRICS; m++)
				page_add(p, "<td title=\"%.4f to %.4f\">%.4f</td>", run->stats[m].low,
					 run->stats[m].high, run->stats[m].mean);
			page_add(p, "<td>%.1f</td></tr>\n", run->ms_p50);
		}
	}
	page_add(p, "</table></div>\n");
	return RAG_OK;
}

int report_retrieval(FILE *f, const struct report_retrieval *r)
{
	struct page p = PAGE_INIT;
	const char **names = NULL;
	struct buf note = BUF_INIT;
	int rc = names_of(&names, r), end;

	if (!rc)
		rc = buf_addf(&note, "%zu set%s, ragstone %s. nDCG@10 unless said otherwise; whiskers hold 95 %% of the "
			      "means of resampled questions.", r->n, r->n > 1 ? "s" : "", rag_version());
	page_begin(&p, "Retrieval", buf_str(&note));
	if (!rc)
		rc = tiles(&p, r);
	page_heading(&p, "Set by set", "");
	if (!rc)
		rc = bars(&p, r, names);
	if (!rc && r->stages != RETRIEVAL_NONE)
		rc = stages(&p, r);
	for (size_t i = 0; !rc && r->vs != RETRIEVAL_NONE && i < r->variants->n; i++)
		if (i != r->vs)
			rc = comparison(&p, r, names, i);
	if (!rc)
		rc = table(&p, r);
	end = page_end(&p, f);
	buf_release(&note);
	mem_free(names);
	return rc ? rc : end;
}

/* ---- tuning and answers ------------------------------------------------------------------------ */

void report_tune_begin(struct page *p)
{
	page_begin(p, "Weight of the vectors", "Mean nDCG@10 for each weight of the vectors against the words. The gain is of "
		   "questions that had no part in choosing the weight.");
}

void report_tune(struct page *p, const char *set, const struct tune *t)
{
	page_heading(p, set, t->helps ? "The best weight helps." : "No weight gains what can be relied on.");
	page_add(p, "<div class=\"tiles\"><div class=\"tile\"><small>best weight</small><b>%.2f</b></div>"
		 "<div class=\"tile\"><small>with the store's weight</small><b>%.4f</b></div><div class=\"tile\"><small>held-out gain"
		 "</small><b>%+.4f</b><small>%+.4f to %+.4f</small></div></div>\n", t->best, t->now, t->gain.mean, t->gain.low,
		 t->gain.high);
	page_line(p, t->weight, t->ndcg, TUNE_WEIGHTS, t->best);
}

void report_answers_begin(struct page *p, const char *how)
{
	page_begin(p, "Answers", how);
}

static void answer_row(struct page *p, const struct judged_query *q, const struct answered *v)
{
	bool right = v->answerable ? v->score.contains : v->abstained;

	page_add(p, "<tr><td class=\"t\">");
	page_text(p, q->text);
	page_add(p, "</td><td class=\"t\">");
	page_text(p, !v->answerable ? "(nothing answers it)" : q->n_answers ? q->answers[0] : "");
	page_add(p, "</td><td class=\"t %s\">", right ? "up" : "down");
	page_text(p, v->error ? v->error : v->abstained ? "(abstained)" : v->answer);
	page_add(p, "</td><td>%.2f</td><td>%s</td></tr>\n", v->score.f1, v->supported ? "yes" : "");
}

void report_answers(struct page *p, const char *set, const struct judged *j, const struct answers *a)
{
	const char *name = "share";
	struct page_bars b = { figure_titles, &name, N_FIGURES, 1, a->stats, a->counts };

	page_heading(p, set, "");
	page_add(p, "<p class=\"note\">%zu questions, %zu of them answerable; %zu abstained, %zu failed; %.2f s each.</p>\n", a->n,
		 a->n_answerable, a->n_abstained, a->n_failed, a->seconds_p50);
	page_bars(p, &b);
	page_add(p, "<details><summary>All questions</summary><div class=\"card\"><table><tr><th>question</th><th>wanted</th>"
		 "<th>answer</th><th>F1</th><th>supported</th></tr>\n");
	for (size_t i = 0; i < a->n; i++) {
		struct judged_query q = judged_query_at(j, a->v[i].query);

		answer_row(p, &q, &a->v[i]);
	}
	page_add(p, "</table></div></details>\n");
}
