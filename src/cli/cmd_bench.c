#include "config.h"
#include "src/cli/cli.h"

#include "base/conf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/par.h"
#include "model/decoder.h"
#include "model/embed.h"
#include "model/tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct args {
	const char *model;
	int p, n, repeat;
};

static const struct opt opts[] = {
	{ 'm', "model", "MODEL", OPT_STR, offsetof(struct args, model), "the model to measure" },
	{ 'p', NULL, "N", OPT_INT, offsetof(struct args, p), "tokens of the prefill (512)" },
	{ 'n', NULL, "N", OPT_INT, offsetof(struct args, n), "tokens decoded (128)" },
	{ 'r', "repeat", "N", OPT_INT, offsetof(struct args, repeat), "runs, the median counts (3)" },
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static int model_runs(struct decoder_run *run, const int32_t *ids, size_t p, size_t n,
		      size_t repeat, float *logits)
{
	double prefill[64], decode[64], t;
	int rc;

	for (size_t k = 0; k < repeat; k++) {
		decoder_rewind(run, 0);
		t = now();
		rc = decoder_eval(logits, run, ids, p, NULL);
		prefill[k] = now() - t;
		t = now();
		for (size_t i = 0; !rc && i < n; i++)
			rc = decoder_eval(logits, run, ids + i, 1, NULL);
		decode[k] = now() - t;
		if (rc)
			return rc;
	}
	if (p)
		printf("prefill_%zu %.2f tokens/s\n", p, (double)p / median(prefill, repeat));
	if (n)
		printf("decode_%zu %.2f tokens/s\n", n, (double)n / median(decode, repeat));
	return RAG_OK;
}

static int bench_model(struct cli *c, const struct args *a, size_t repeat)
{
	const char *name = a->model ? a->model : conf_env("RAGSTONE_MODEL");
	size_t p = a->p ? (size_t)a->p : 512, n = a->n ? (size_t)a->n : 128, most;
	struct buf path = BUF_INIT;
	struct decoder_run *run = NULL;
	struct decoder *d = NULL;
	struct par *par = NULL;
	float *logits = NULL;
	int32_t *ids = NULL;
	int rc;

	most = p > n ? p : n;
	rc = conf_model(&path, name ? name : CONF_GENERATOR, c->models);
	if (!rc)
		rc = decoder_open(&d, buf_str(&path));
	if (!rc)
		rc = par_new(&par, c->threads);
	if (!rc)
		rc = decoder_run_new(&run, d, p + n, par);
	if (!rc) {
		logits = mem_calloc(decoder_vocab(d), sizeof(*logits));
		ids = mem_calloc(most, sizeof(*ids));
		rc = logits && ids ? RAG_OK : RAG_ENOMEM;
	}
	/* Which tokens they are makes no difference to the time; spread over the vocabulary. */
	for (size_t i = 0; !rc && i < most; i++)
		ids[i] = (int32_t)((i * 7919 + 1000) % decoder_vocab(d));
	if (!rc)
		rc = model_runs(run, ids, p, n, repeat, logits);
	mem_free(logits);
	mem_free(ids);
	decoder_run_free(run);
	par_free(par);
	decoder_close(d);
	buf_release(&path);
	return rc;
}

struct texts {
	struct embed_text *v;
	size_t n, cap;
};

static int add_text(void *arg, const char *line, size_t len)
{
	struct texts *t = arg;

	if (!len)
		return 0;
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 256;
		struct embed_text *v = mem_realloc(t->v, cap, sizeof(*v));

		if (!v)
			return cli_fail(RAG_ENOMEM);
		t->v = v;
		t->cap = cap;
	}
	t->v[t->n].s = mem_strndup(line, len);
	t->v[t->n].len = len;
	return t->v[t->n++].s ? 0 : cli_fail(RAG_ENOMEM);
}

static int embed_runs(struct embed *e, const struct texts *t, size_t repeat, float *out)
{
	double batch[64], query[64], start;
	size_t cut;
	int rc;

	for (size_t k = 0; k < repeat; k++) {
		start = now();
		rc = embed_texts(out, e, t->v, t->n, 1, &cut, NULL);
		batch[k] = now() - start;
		if (rc)
			return rc;
		start = now();
		rc = embed_query(out, e, "when did the normans settle in normandy", 39);
		query[k] = now() - start;
		if (rc)
			return rc;
	}
	printf("embed %.2f chunks/s\n", (double)t->n / median(batch, repeat));
	printf("query %.3f ms\n", median(query, repeat) * 1e3);
	return RAG_OK;
}

static int bench_embed(struct cli *c, const struct args *a, size_t repeat, const char *file)
{
	struct buf path = BUF_INIT;
	struct texts t = { 0 };
	struct embed *e = NULL;
	struct par *par = NULL;
	float *out = NULL;
	int rc = cli_each_line(file, add_text, &t) ? RAG_EIO : RAG_OK;

	if (!rc && !t.n)
		rc = err_set(RAG_EINVAL, "no lines in '%s'", file);
	if (!rc)
		rc = conf_model(&path, a->model ? a->model : CONF_EMBEDDER, c->models);
	if (!rc)
		rc = par_new(&par, c->threads);
	if (!rc)
		rc = embed_open(&e, buf_str(&path), par);
	if (!rc) {
		out = mem_realloc(NULL, t.n * embed_dim(e), sizeof(*out));
		rc = out ? embed_runs(e, &t, repeat, out) : RAG_ENOMEM;
	}
	for (size_t i = 0; i < t.n; i++)
		mem_free((char *)t.v[i].s);
	mem_free(t.v);
	mem_free(out);
	embed_close(e);
	par_free(par);
	buf_release(&path);
	return rc;
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	size_t repeat = a->repeat ? (size_t)a->repeat : 3;
	int rc;

	if (repeat > 64)
		return cli_usage("--repeat wants at most 64");
	if (!strcmp(argv[0], "model") && argc == 1)
		rc = bench_model(c, a, repeat);
	else if (!strcmp(argv[0], "embed") && argc == 2)
		rc = bench_embed(c, a, repeat, argv[1]);
	else
		return cli_usage("usage: ragstone bench model | ragstone bench embed FILE");
	return rc ? cli_fail(rc) : CLI_OK;
}

const struct command cmd_bench = {
	"bench", "model | embed FILE", "measure this machine with a model",
	"Prints lines of `name value unit`, medians: prefill_512 and decode_128 in tokens/s;\n"
	"embed in chunks/s, a line of FILE being a chunk, and query in ms.",
	opts, N_OPTS(opts), sizeof(struct args), 1, 2, run,
};
