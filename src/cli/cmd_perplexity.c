#include "config.h"
#include "src/cli/cli.h"

#include "base/conf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/par.h"
#include "model/decoder.h"
#include "model/tok.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CONTEXT 512	/* llama-perplexity -c 512: chunks of 512, the second half of each counts */
#define HALF (CONTEXT / 2)

struct args {
	const char *model;
};

static const struct opt opts[] = {
	{ 'm', "model", "MODEL", OPT_STR, offsetof(struct args, model),
	  "the generator ($RAGSTONE_MODEL)" },
};

struct sum {
	double nll, nll2;
	size_t n;
};

/* -log p(id) under the softmax of logits. */
static double surprise(const float *logits, size_t vocab, int32_t id)
{
	double max = logits[0], sum = 0;

	for (size_t i = 1; i < vocab; i++)
		if (logits[i] > max)
			max = logits[i];
	for (size_t i = 0; i < vocab; i++)
		sum += exp(logits[i] - max);
	return log(sum) + max - logits[id];
}

static int measure(struct sum *s, struct cli *c, const struct decoder *d, struct par *par,
		   int32_t *ids, size_t n)
{
	const size_t vocab = decoder_vocab(d), chunks = n / CONTEXT;
	float *logits = mem_realloc(NULL, vocab * HALF, sizeof(*logits));
	struct decoder_run *run = NULL;
	struct tok_ids start = { 0 };
	int rc = logits ? decoder_run_new(&run, d, CONTEXT, par) : RAG_ENOMEM;

	if (!rc)	/* what the model wants before any text: BOS or nothing */
		rc = tok_encode(&start, decoder_tok(d), "", 0, TOK_ADD);

	for (size_t k = 0; !rc && k < chunks; k++) {
		struct rag_progress p = { "perplexity", NULL, k, chunks };
		int32_t *chunk = ids + k * CONTEXT, first = chunk[0];

		cli_bar(c, &p);
		if (start.len)
			chunk[0] = start.id[0];
		decoder_rewind(run, 0);
		rc = decoder_eval(NULL, run, chunk, HALF, NULL);
		if (!rc)
			rc = decoder_eval_all(logits, run, chunk + HALF, HALF);
		chunk[0] = first;
		for (size_t i = 0; !rc && i < HALF - 1; i++) {
			double v = surprise(logits + i * vocab, vocab, chunk[HALF + i + 1]);

			s->nll += v;
			s->nll2 += v * v;
			s->n++;
		}
	}
	tok_ids_release(&start);
	decoder_run_free(run);
	mem_free(logits);
	return rc;
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	const char *name = a->model ? a->model : conf_env("RAGSTONE_MODEL");
	struct buf path = BUF_INIT, text = BUF_INIT;
	struct tok_ids ids = { 0 };
	struct decoder *d = NULL;
	struct par *par = NULL;
	struct sum s = { 0 };
	double mean, err;
	int code, rc;

	(void)argc;
	code = cli_read(&text, argv[0]);
	if (code)
		return code;
	rc = conf_model(&path, name ? name : CONF_GENERATOR, c->models);
	if (!rc)
		rc = decoder_open(&d, buf_str(&path));
	if (!rc)
		rc = par_new(&par, c->threads);
	if (!rc)
		rc = tok_encode(&ids, decoder_tok(d), buf_str(&text), text.len, TOK_ADD);
	if (!rc && ids.len < CONTEXT)
		rc = err_set(RAG_EINVAL, "'%s' has %zu tokens, at least %d are needed", argv[0],
			     ids.len, CONTEXT);
	if (!rc)
		rc = measure(&s, c, d, par, ids.id, ids.len);
	if (rc) {
		code = cli_fail(rc);
	} else {
		cli_bar_clear();
		mean = s.nll / (double)s.n;
		err = sqrt((s.nll2 / (double)s.n - mean * mean) / (double)(s.n - 1));
		printf(c->json ? "{\"perplexity\": %.4f, \"error\": %.4f, \"tokens\": %zu}\n"
			       : "perplexity %.4f +- %.4f over %zu tokens\n",
		       exp(mean), exp(mean) * err, s.n);
	}
	par_free(par);
	decoder_close(d);
	tok_ids_release(&ids);
	buf_release(&text);
	buf_release(&path);
	return code;
}

const struct command cmd_perplexity = {
	"perplexity", "FILE", "how well a generator predicts a text",
	"As llama-perplexity -c 512 counts it: chunks of 512 tokens, the second half of each.",
	opts, N_OPTS(opts), sizeof(struct args), 1, 1, run,
};
