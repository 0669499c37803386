#include "config.h"
#include "src/cli/cmd_eval.h"

#include "base/conf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "src/eval/report.h"

#include <stdio.h>
#include <string.h>

struct state {
	struct cli *c;
	const struct eval_args *a;
	bool corpus;
	struct variants v;		/* one */
	struct stores *stores;
	size_t failed;			/* questions */
	FILE *html;			/* NULL: not wanted */
	struct page page;
};

/* Whatever an answer depends on, in words: the log's name and first line. */
static int asked(struct buf *out, const struct state *s, struct rag *r)
{
	const struct variant *v = &s->v.v[0];
	struct buf path = BUF_INIT;
	struct file_info info;
	int rc = conf_model(&path, rag_generator(r), s->c->models);

	if (!rc)
		rc = file_info(&info, buf_str(&path));
	if (!rc)
		rc = buf_addf(out, "%s, of %llu bytes at %lld; %s passages by %s, %d of them, %d tokens",
			      rag_generator(r), (unsigned long long)info.size, (long long)info.mtime,
			      s->a->gold ? "gold" : "found", v->name, s->a->k, s->a->max_tokens);
	buf_release(&path);
	return rc;
}

/* Beside the store. */
static int log_path(struct buf *out, struct rag *r, const char *asked)
{
	uint8_t hash[HASH_LEN];
	char hex[HASH_HEX_LEN];
	struct rag_status *st;
	int rc = rag_status(&st, r);

	if (rc)
		return rc;
	hash_bytes(hash, asked, strlen(asked));
	hash_hex(hex, hash);
	rc = buf_addf(out, "%s.answers-%.12s.jsonl", st->store, hex);
	rag_status_free(st);
	return rc;
}

static void table_head(void)
{
	static const char *const heads[N_FIGURES] = { "exact", "F1", "contains", "supported", "found", "abst. P",
						      "abst. R" };

	printf("%-18s %9s %9s", "set", "questions", "abstained");
	for (int f = 0; f < N_FIGURES; f++)
		printf(" %9s", heads[f]);
	printf(" %7s\n", "s");
	fflush(stdout);
}

static void table_row(const char *set, const struct answers *a)
{
	cli_bar_clear();
	printf("%-18.40s %9zu %9zu", set, a->n, a->n_abstained);
	for (int f = 0; f < N_FIGURES; f++) {
		if (a->counts[f])
			printf(" %9.4f", a->stats[f].mean);
		else
			printf(" %9s", "-");
	}
	printf(" %7.2f\n", a->seconds_p50);
	for (int end = 0; end < 2; end++) {
		printf("%-38s", end ? "" : "  95 % from, to");
		for (int f = 0; f < N_FIGURES; f++) {
			if (a->counts[f])
				printf(" %9.4f", end ? a->stats[f].high : a->stats[f].low);
			else
				printf(" %9s", "");
		}
		putchar('\n');
	}
	fflush(stdout);
}

static void add_count(struct buf *b, const char *key, size_t n)
{
	json_add_key(b, key);
	buf_addf(b, "%zu", n);
}

static int json_set(const struct state *s, const char *set, const struct answers *a, struct rag *r)
{
	struct buf b = BUF_INIT;

	buf_addc(&b, '{');
	eval_add_name(&b, "set", set);
	eval_add_name(&b, "mode", s->a->gold ? "gold" : s->v.v[0].name);
	eval_add_name(&b, "generator", rag_generator(r));
	add_count(&b, "questions", a->n);
	add_count(&b, "answerable", a->n_answerable);
	add_count(&b, "abstained", a->n_abstained);
	add_count(&b, "failed", a->n_failed);
	for (int f = 0; f < N_FIGURES; f++) {
		if (a->counts[f]) {
			eval_add_number(&b, figure_names[f], a->stats[f].mean);
		} else {
			json_add_key(&b, figure_names[f]);
			buf_adds(&b, "null");
		}
	}
	json_add_key(&b, "interval");
	buf_addc(&b, '{');
	for (int f = 0; f < N_FIGURES; f++) {
		if (!a->counts[f])
			continue;
		json_add_key(&b, figure_names[f]);
		buf_addf(&b, "[%.6f, %.6f]", a->stats[f].low, a->stats[f].high);
	}
	buf_addc(&b, '}');
	json_add_key(&b, "seconds_p50");
	buf_addf(&b, "%.3f", a->seconds_p50);
	return eval_put_line(&b);
}

static void notes(const struct state *s, const char *set, const struct answers *a)
{
	if (a->n_before && !s->c->quiet)
		cli_say("%s: %zu of %zu answers are there from an earlier run", set, a->n_before, a->n);
	if (a->n_unknown && !s->c->quiet)
		cli_say("%s: %zu questions left out, with neither \"answers\" nor \"answerable\": false%s", set,
			a->n_unknown, s->a->gold ? ", or no passage" : "");
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].error)
			cli_say("%s: a question failed: %s", set, a->v[i].error);
}

static int ask_all(struct answers *out, struct state *s, const struct judged *j, const char *set,
		   struct collection *c)
{
	struct rag_search_opts so = variant_search(&s->v.v[0]);
	struct answers_opts o = {
		.set = set, .ask = RAG_ASK_OPTS_INIT, .gold = s->a->gold, .most = s->a->most,
		.progress = eval_progress, .progress_arg = s->c,
	};
	struct buf how = BUF_INIT, log = BUF_INIT;
	struct rag *r = collection_rag(c);
	int rc = s->a->generator ? rag_use_generator(r, s->a->generator) : RAG_OK;

	so.k = (size_t)s->a->k;
	o.ask.search = &so;
	o.ask.max_tokens = s->a->max_tokens;
	if (!rc)
		rc = asked(&how, s, r);
	if (!rc && (s->c->store || !s->corpus))
		rc = log_path(&log, r, buf_str(&how));
	o.log = log.len ? buf_str(&log) : NULL;
	o.asked = buf_str(&how);
	if (!rc)
		rc = answers_run(out, j, c, &o);
	buf_release(&how);
	buf_release(&log);
	return rc;
}

static int run_set(struct state *s, const char *dir)
{
	const char *slash = strrchr(dir, '/'), *set = slash && slash[1] ? slash + 1 : dir;
	struct answers a = { .n = 0 };
	struct judged *j = NULL;
	struct collection *c;
	int rc = judged_open(&j, dir, s->corpus);

	if (!rc)
		rc = stores_get(&c, s->stores, j, set, &s->v.v[0]);
	if (!rc)
		rc = ask_all(&a, s, j, set, c);
	if (!rc)
		notes(s, set, &a);
	s->failed += a.n_failed;
	if (!rc && s->c->json)
		rc = json_set(s, set, &a, collection_rag(c));
	else if (!rc)
		table_row(set, &a);
	if (!rc && s->html)
		report_answers(&s->page, set, j, &a);
	answers_release(&a);
	stores_leave(s->stores);
	judged_close(j);
	return rc;
}

static int choose_variant(struct state *s)
{
	const struct eval_args *a = s->a;
	enum cut cut = CUT_SENTENCES;
	int rc = a->chunks ? cut_parse(&cut, a->chunks, strlen(a->chunks)) : RAG_OK;

	if (!rc && (a->stages || a->tune || a->keep || a->vs || a->ranking || a->modes.n > 1))
		rc = err_set(RAG_EINVAL, "answers are of one --mode, without --stages, --vs, --tune, --set and --run");
	if (!rc)
		rc = variants_add(&s->v, a->modes.n ? a->modes.s[0] : "hybrid", cut);
	return !rc && s->v.n > 1 ? err_set(RAG_EINVAL, "answers are of one mode") : rc;
}

int eval_answers(struct cli *c, const struct eval_args *a, int n, char **dirs)
{
	struct state s = { .c = c, .a = a };
	struct stores_opts so;
	int rc, code = eval_create(&s.html, a->html);

	if (code)
		return code;
	rc = eval_have_corpus(&s.corpus, c, n, dirs);
	if (!rc)
		rc = choose_variant(&s);
	so = eval_stores(c, a, s.corpus);
	if (!rc)
		rc = stores_new(&s.stores, &so);
	if (!rc && !c->json)
		table_head();
	if (s.html)
		report_answers_begin(&s.page, a->gold ? "Asked of the documents that each question was written for."
						     : "Asked of what search finds in the set.");
	for (int i = 0; !rc && i < n; i++)
		rc = run_set(&s, dirs[i]);
	if (!rc && s.html)
		rc = page_end(&s.page, s.html);
	buf_release(&s.page.b);
	stores_free(s.stores);
	variants_release(&s.v);
	code = rc ? cli_fail(rc) : s.failed ? CLI_NOTHING : CLI_OK;
	return eval_close(s.html, a->html, code);
}
