#include "config.h"
#include "src/cli/cli.h"
#include "src/cli/opts.h"

#include "base/conf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/utf8.h"
#include "ingest/chunk.h"
#include "model/decoder.h"
#include "model/embed.h"
#include "model/tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define REPEAT_MAX 64
#define COUNTS_MAX 8		/* of -p and of -n */
#define QUERIES 50		/* of a round: one takes no time */
#define START_PROMPT 100	/* tokens: a question without passages */

struct args {
	const char *model, *precision;
	struct str_list p, n;
	int repeat;
};

static const struct opt opts[] = {
	{ 'm', "model", "MODEL", OPT_STR, offsetof(struct args, model), "the model to measure" },
	{ 0, "precision", "NAME", OPT_STR, offsetof(struct args, precision),
	  "of an embedder: int8 or f32 (int8)" },
	{ 'p', NULL, "N,...", OPT_LIST, offsetof(struct args, p), "tokens of the prefill (512); 0: none" },
	{ 'n', NULL, "N,...", OPT_LIST, offsetof(struct args, n), "tokens decoded (128); 0: none" },
	{ 'r', "repeat", "N", OPT_INT, offsetof(struct args, repeat), "runs, the median counts (5)" },
};

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

/* ---- a generator ---- */

struct counts {
	size_t v[COUNTS_MAX], n;
};

/* "512,2048" or several of them; zeros fall away. */
static int read_counts(struct counts *out, const struct str_list *list, size_t otherwise, char letter)
{
	*out = (struct counts){ { otherwise }, !list->n };
	for (size_t i = 0; i < list->n; i++) {
		const char *s = list->s[i];

		for (size_t len; *s; s += len + (s[len] == ',')) {
			char one[24];
			uint64_t v;

			len = strcspn(s, ",");
			snprintf(one, sizeof(one), "%.*s", (int)(len < sizeof(one) ? len : 0), s);
			if (!opts_size(&v, one) || v > INT32_MAX)
				return cli_usage("-%c wants whole numbers, not '%s'", letter, list->s[i]);
			if (v && out->n == COUNTS_MAX)
				return cli_usage("-%c takes at most %d numbers", letter, COUNTS_MAX);
			if (v)
				out->v[out->n++] = v;
		}
	}
	return 0;
}

struct model_bench {
	const char *path;
	struct par *par;
	struct counts p, n;
	size_t repeat, most;	/* rounds; tokens of the longest */
	struct decoder *d;
	struct decoder_run *run;
	int32_t *ids;		/* (most) owned */
	float *logits;		/* (vocab) owned */
	double prefill[COUNTS_MAX][REPEAT_MAX], decode[COUNTS_MAX][REPEAT_MAX], start[REPEAT_MAX];
};

static void model_close(struct model_bench *b)
{
	mem_free(b->logits);
	mem_free(b->ids);
	decoder_run_free(b->run);
	decoder_close(b->d);
	b->logits = NULL;
	b->ids = NULL;
	b->run = NULL;
	b->d = NULL;
}

static int model_open(struct model_bench *b, size_t n_ctx)
{
	int rc = decoder_open(&b->d, b->path);

	if (!rc)
		rc = decoder_run_new(&b->run, b->d, n_ctx, b->par);
	if (rc)
		return rc;
	b->logits = mem_calloc(decoder_vocab(b->d), sizeof(*b->logits));
	b->ids = mem_calloc(n_ctx, sizeof(*b->ids));
	if (!b->logits || !b->ids)
		return RAG_ENOMEM;
	/* Which tokens they are makes no difference to the time; spread over the vocabulary. */
	for (size_t i = 0; i < n_ctx; i++)
		b->ids[i] = (int32_t)((i * 7919 + 1000) % decoder_vocab(b->d));
	return RAG_OK;
}

/* From the file to the logits of a short prompt. */
static int time_start(double *out, struct model_bench *b)
{
	double t = clock_now();
	int rc = model_open(b, b->most);

	if (!rc)
		rc = decoder_eval(b->logits, b->run, b->ids, START_PROMPT, NULL);
	*out = clock_now() - t;
	model_close(b);
	return rc;
}

/* Both begin with an empty cache, as llama-bench's do. */
static int time_model(double *out, struct model_bench *b, size_t n, size_t at_once)
{
	double t = clock_now();
	int rc = RAG_OK;

	decoder_rewind(b->run, 0);
	for (size_t i = 0; !rc && i < n; i += at_once)
		rc = decoder_eval(b->logits, b->run, b->ids + i, at_once, NULL);
	*out = clock_now() - t;
	return rc;
}

/* What is compared takes turns, so that a slow moment of the machine meets all. */
static int model_rounds(struct model_bench *b)
{
	double warm;
	int rc = RAG_OK;

	for (size_t k = 0; !rc && k < b->repeat; k++)
		rc = time_start(&b->start[k], b);
	if (!rc)
		rc = model_open(b, b->most);
	if (!rc)
		rc = time_model(&warm, b, START_PROMPT, START_PROMPT);
	for (size_t k = 0; !rc && k < b->repeat; k++) {
		for (size_t i = 0; !rc && i < b->p.n; i++)
			rc = time_model(&b->prefill[i][k], b, b->p.v[i], b->p.v[i]);
		for (size_t i = 0; !rc && i < b->n.n; i++)
			rc = time_model(&b->decode[i][k], b, b->n.v[i], 1);
	}
	return rc;
}

/* The largest resident set so far, mapped weights included, in units of 2^20 bytes. */
static double peak_memory(void)
{
	struct rusage u;

	return getrusage(RUSAGE_SELF, &u) ? 0 : (double)u.ru_maxrss / 1024;
}

static void model_report(struct model_bench *b)
{
	for (size_t i = 0; i < b->p.n; i++)
		printf("prefill_%zu %.2f tokens/s\n", b->p.v[i],
		       (double)b->p.v[i] / median(b->prefill[i], b->repeat));
	for (size_t i = 0; i < b->n.n; i++)
		printf("decode_%zu %.2f tokens/s\n", b->n.v[i],
		       (double)b->n.v[i] / median(b->decode[i], b->repeat));
	printf("start %.1f ms\n", 1e3 * median(b->start, b->repeat));
	printf("memory %.1f MB\n", peak_memory());
}

static int bench_model(struct cli *c, const struct args *a, size_t repeat)
{
	const char *name = a->model ? a->model : conf_env("RAGSTONE_MODEL");
	struct model_bench b = { .repeat = repeat, .most = START_PROMPT };
	struct buf path = BUF_INIT;
	int rc, code;

	code = read_counts(&b.p, &a->p, 512, 'p');
	if (!code)
		code = read_counts(&b.n, &a->n, 128, 'n');
	if (code)
		return code;
	for (size_t i = 0; i < b.p.n; i++)
		b.most = b.p.v[i] > b.most ? b.p.v[i] : b.most;
	for (size_t i = 0; i < b.n.n; i++)
		b.most = b.n.v[i] > b.most ? b.n.v[i] : b.most;
	rc = conf_model(&path, name ? name : CONF_GENERATOR, c->models);
	b.path = buf_str(&path);
	if (!rc)
		rc = par_new(&b.par, c->threads);
	if (!rc)
		rc = model_rounds(&b);
	if (!rc)
		model_report(&b);
	model_close(&b);
	par_free(b.par);
	buf_release(&path);
	return rc ? cli_fail(rc) : CLI_OK;
}

/* ---- an embedder ---- */

/* The texts as ingest makes and embeds them. */
static int cut(struct embed_text **out, size_t *n, const struct buf *text, const struct embed *e)
{
	struct chunk_opts o = { embed_tok(e), embed_max_tokens(e), "", NULL };
	struct chunks chunks = { 0 };
	int rc = chunk_text(&chunks, buf_str(text), text->len, NULL, 0, &o);

	*n = chunks.n;
	*out = mem_calloc(chunks.n, sizeof(**out));
	if (!rc && !*out)
		rc = RAG_ENOMEM;
	for (size_t i = 0; !rc && i < chunks.n; i++)
		(*out)[i] = (struct embed_text){ text->data + chunks.v[i].start,
						 chunks.v[i].end - chunks.v[i].start };
	chunks_release(&chunks);
	return rc;
}

static int embed_rounds(struct embed *e, const struct embed_text *t, size_t n, size_t repeat, float *out)
{
	static const char question[] = "when did the normans settle in normandy";	/* 10 tokens */
	double batch[REPEAT_MAX], query[REPEAT_MAX * QUERIES], start;
	int rc = embed_query(out, e, question, sizeof(question) - 1);

	for (size_t k = 0; !rc && k < repeat; k++) {
		start = clock_now();
		rc = embed_texts(out, e, t, n, 0, NULL, NULL);
		batch[k] = clock_now() - start;
		for (size_t i = 0; !rc && i < QUERIES; i++) {
			start = clock_now();
			rc = embed_query(out, e, question, sizeof(question) - 1);
			query[k * QUERIES + i] = clock_now() - start;
		}
	}
	if (rc)
		return rc;
	printf("embed %.2f chunks/s\n", (double)n / median(batch, repeat));
	printf("query %.3f ms\n", median(query, repeat * QUERIES) * 1e3);
	return RAG_OK;
}

static int embed_file(struct embed *e, const char *file, size_t repeat)
{
	struct buf text = BUF_INIT;
	struct embed_text *t = NULL;
	struct map m = { NULL, 0 };
	float *out = NULL;
	size_t n = 0;
	int rc = map_open(&m, file);

	if (!rc)
		rc = utf8_repair(&text, (const char *)m.data, m.len, NULL);
	if (!rc)
		rc = cut(&t, &n, &text, e);
	if (!rc && !n)
		rc = err_set(RAG_EINVAL, "no text in '%s'", file);
	if (!rc) {
		out = mem_realloc(NULL, n * embed_dim(e), sizeof(*out));
		rc = out ? embed_rounds(e, t, n, repeat, out) : RAG_ENOMEM;
	}
	mem_free(out);
	mem_free(t);
	buf_release(&text);
	map_close(&m);
	return rc;
}

static int bench_embed(struct cli *c, const struct args *a, size_t repeat, const char *file)
{
	enum encoder_precision precision;
	struct buf path = BUF_INIT;
	struct embed *e = NULL;
	struct par *par = NULL;
	int rc = embed_precision_parse(&precision, a->precision);

	if (!rc)
		rc = conf_model(&path, a->model ? a->model : CONF_EMBEDDER, c->models);
	if (!rc)
		rc = par_new(&par, c->threads);
	if (!rc)
		rc = embed_open(&e, buf_str(&path), precision, par);
	if (!rc)
		rc = embed_file(e, file, repeat);
	embed_close(e);
	par_free(par);
	buf_release(&path);
	return rc;
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	size_t repeat = a->repeat ? (size_t)a->repeat : 5;
	int rc;

	if (repeat > REPEAT_MAX)
		return cli_usage("--repeat wants at most %d", REPEAT_MAX);
	if (!strcmp(argv[0], "model") && argc == 1)
		return bench_model(c, a, repeat);
	if (strcmp(argv[0], "embed") || argc != 2)
		return cli_usage("usage: ragstone bench model | ragstone bench embed FILE");
	rc = bench_embed(c, a, repeat, argv[1]);
	return rc ? cli_fail(rc) : CLI_OK;
}

const struct command cmd_bench = {
	"bench", "model | embed FILE", "measure this machine with a model",
	"Prints lines of `name value unit`, medians: of a generator prefill_512 and decode_128 in\n"
	"tokens/s, both from an empty cache, start (from the file to the first token behind a\n"
	"prompt of 100) in ms, and memory, the largest resident set, in MB; of an embedder embed in\n"
	"chunks/s, FILE being cut as ingest cuts it, and query (10 tokens) in ms.",
	opts, N_OPTS(opts), sizeof(struct args), 1, 2, run,
};
