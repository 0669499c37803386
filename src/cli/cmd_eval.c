#include "config.h"
#include "src/cli/cli.h"

#include "base/conf.h"
#include "base/err.h"
#include "base/par.h"
#include "base/progress.h"
#include "model/embed.h"
#include "src/eval/retrieval.h"

#include <stdio.h>
#include <string.h>

struct args {
	const char *model, *precision;
};

static const struct opt opts[] = {
	{ 'm', "model", "MODEL", OPT_STR, offsetof(struct args, model),
	  "the model that embeds (all-minilm-l6-v2)" },
	{ 0, "precision", "NAME", OPT_STR, offsetof(struct args, precision),
	  "how it computes: int8 or f32 (int8)" },
};

static int tick(void *arg, const struct progress_at *at)
{
	struct rag_progress p = { at->stage, at->what, at->done, at->total };

	return cli_bar(arg, &p) || cli_interrupted();
}

static void print(const struct cli *c, const char *dir, const struct retrieval_result *r)
{
	const char *name = strrchr(dir, '/');

	name = name && name[1] ? name + 1 : dir;
	cli_bar_clear();
	printf(c->json ? "{\"set\": \"%s\", \"documents\": %zu, \"queries\": %zu, \"ndcg@10\": %.4f, "
			 "\"recall@10\": %.4f, \"recall@100\": %.4f}\n"
		       : "%-18s %7zu %8zu   %.4f  %.4f  %.4f\n",
	       name, r->scores.n_docs, r->scores.n_queries, r->scores.ndcg10, r->scores.recall10,
	       r->scores.recall100);
	fflush(stdout);
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	struct progress progress = { tick, c };
	struct retrieval_opts o = RETRIEVAL_OPTS_INIT;
	struct retrieval_result r;
	struct buf path = BUF_INIT;
	enum encoder_precision precision;
	struct embed *e = NULL;
	struct par *par = NULL;
	double sum = 0;
	int rc;

	if (strcmp(argv[0], "retrieval"))
		return cli_usage("usage: ragstone eval retrieval DIR...");
	cli_watch_interrupt(NULL);
	rc = embed_precision_parse(&precision, a->precision);
	if (!rc)
		rc = conf_model(&path, a->model ? a->model : CONF_EMBEDDER, c->models);
	if (!rc)
		rc = par_new(&par, c->threads);
	if (!rc)
		rc = embed_open(&e, buf_str(&path), precision, par);
	o.keep = c->store;
	o.par = par;
	o.progress = &progress;
	if (!rc && !c->json)
		printf("%-18s %7s %8s   nDCG@10 R@10    R@100\n", "set", "docs", "queries");
	for (int i = 1; !rc && i < argc; i++) {
		rc = retrieval_eval(&r, argv[i], e, &o);
		if (!rc) {
			print(c, argv[i], &r);
			sum += r.scores.ndcg10;
		}
	}
	if (!rc && argc > 2 && !c->json)
		printf("%-18s %16s   %.4f\n", "mean", "", sum / (argc - 1));
	embed_close(e);
	par_free(par);
	buf_release(&path);
	return rc ? cli_fail(rc) : CLI_OK;
}

const struct command cmd_eval = {
	"eval", "retrieval DIR...", "measure search on judged sets",
	"DIR holds corpus.jsonl, queries.jsonl and qrels.tsv.  Dense search, titles used; long\n"
	"documents in windows, a document scores as its best one.  With -s the vectors are kept\n"
	"there for the next run.",
	opts, N_OPTS(opts), sizeof(struct args), 2, -1, run,
};
