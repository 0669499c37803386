#include "config.h"
#include "src/cli/cmd_eval.h"

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct opt opts[] = {
	{ 0, "mode", "MODE,...", OPT_LIST, offsetof(struct eval_args, modes),
	  "hybrid, fusion, dense, bm25; behind each may stand\n"
	  "                             :weight=W :skip=late|second :chunks=HOW :model=MODEL\n"
	  "                             :turns=1 :expand=hyde|queries (hybrid)" },
	{ 0, "stages", NULL, OPT_FLAG, offsetof(struct eval_args, stages),
	  "each stage of hybrid with the ones before it" },
	{ 0, "vs", "MODE", OPT_STR, offsetof(struct eval_args, vs),
	  "compare each mode with this one, or with itself otherwise set (weight=.5)" },
	{ 0, "chunks", "HOW", OPT_STR, offsetof(struct eval_args, chunks),
	  "windows, sentences or document (windows; bm25: document)" },
	{ 0, "tune", NULL, OPT_FLAG, offsetof(struct eval_args, tune),
	  "find the weight of the vectors that suits the questions" },
	{ 0, "set", NULL, OPT_FLAG, offsetof(struct eval_args, keep),
	  "keep the weight that --tune finds in the store, if it helps" },
	{ 0, "html", "FILE", OPT_STR, offsetof(struct eval_args, html), "write a page with plots" },
	{ 0, "run", "FILE", OPT_STR, offsetof(struct eval_args, ranking),
	  "write the rankings in TREC's form" },
	{ 'm', "model", "MODEL", OPT_STR, offsetof(struct eval_args, model),
	  "the model that embeds (all-minilm-l6-v2)" },
	{ 0, "precision", "NAME", OPT_STR, offsetof(struct eval_args, precision),
	  "how it computes: int8 or f32 (int8)" },
	{ 0, "generator", "MODEL", OPT_STR, offsetof(struct eval_args, generator),
	  "answers: the model that answers ($RAGSTONE_MODEL)" },
	{ 'n', "questions", "N", OPT_SIZE, offsetof(struct eval_args, most),
	  "answers: so many questions, by a hash of their ids (all)" },
	{ 0, "gold", NULL, OPT_FLAG, offsetof(struct eval_args, gold),
	  "answers: from the relevant documents alone" },
	{ 'k', NULL, "N", OPT_INT, offsetof(struct eval_args, k), "answers: passages (5)" },
	{ 0, "max-tokens", "N", OPT_INT, offsetof(struct eval_args, max_tokens),
	  "answers: tokens of one at most (256)" },
};

int eval_progress(void *cli, const struct rag_progress *p)
{
	return cli_bar(cli, p) || cli_interrupted();
}

static bool exists(const char *dir, const char *file)
{
	struct buf path = BUF_INIT;
	struct file_info info;
	bool there = !buf_addf(&path, "%s/%s", dir, file) && !file_info(&info, buf_str(&path));

	buf_release(&path);
	return there;
}

int eval_have_corpus(bool *out, const struct cli *c, int n, char **dirs)
{
	*out = exists(dirs[0], "corpus.jsonl");
	for (int i = 1; i < n; i++)
		if (exists(dirs[i], "corpus.jsonl") != *out)
			return err_set(RAG_EINVAL, "'%s' has %s corpus.jsonl, '%s' has %s: sets with documents "
				       "and questions about a store's own are measured apart", dirs[0],
				       *out ? "a" : "no", dirs[i], *out ? "none" : "one");
	if (*out && c->store && exists(c->store, "data.mdb"))
		return err_set(RAG_EINVAL, "'%s' is a store: those of sets with documents are kept in another "
			       "folder", c->store);
	return RAG_OK;
}

struct stores_opts eval_stores(struct cli *c, const struct eval_args *a, bool corpus)
{
	return (struct stores_opts){
		.keep = c->store, .own = !corpus, .model = a->model, .models = c->models,
		.precision = a->precision, .threads = c->threads,
		.progress = eval_progress, .progress_arg = c,
	};
}

void eval_add_number(struct buf *b, const char *key, double v)
{
	json_add_key(b, key);
	buf_addf(b, "%.6f", v);
}

void eval_add_name(struct buf *b, const char *key, const char *name)
{
	json_add_key(b, key);
	json_add_str(b, name, strlen(name));
}

int eval_put_line(struct buf *b)
{
	int rc = buf_adds(b, "}\n");

	cli_bar_clear();
	if (!rc)
		fputs(buf_str(b), stdout);
	fflush(stdout);
	buf_release(b);
	return rc;
}

int eval_create(FILE **out, const char *path)
{
	*out = path ? fopen(path, "we") : NULL;
	return path && !*out ? cli_usage("cannot write '%s': %s", path, strerror(errno)) : 0;
}

int eval_close(FILE *f, const char *path, int code)
{
	bool bad = f && ferror(f);

	if (f && fclose(f))
		bad = true;
	return bad && !code ? cli_usage("cannot write '%s'", path) : code;
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct eval_args *a = v;

	cli_note_interrupt();
	if (!strcmp(argv[0], "retrieval"))
		return eval_retrieval(c, a, argc - 1, argv + 1);
	if (!strcmp(argv[0], "answers"))
		return eval_answers(c, a, argc - 1, argv + 1);
	return cli_usage("usage: ragstone eval retrieval|answers DIR...");
}

const struct command cmd_eval = {
	"eval", "retrieval|answers DIR...", "measure search and answers on judged sets",
	"DIR holds corpus.jsonl, queries.jsonl and qrels.tsv.  The documents are put into a store\n"
	"and searched; with -s the stores are kept in that folder for the next run, and so are\n"
	"answers: a run that was interrupted goes on.  Without corpus.jsonl the questions are about\n"
	"the documents of -s STORE, which qrels.tsv names by id, URI or path.",
	opts, N_OPTS(opts), sizeof(struct eval_args), 2, -1, run,
};
