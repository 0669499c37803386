#include "config.h"
#include "src/cli/cli.h"

#include "base/conf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct args {
	const char *model, *precision;
	size_t batch;
};

static const struct opt opts[] = {
	{ 'm', "model", "MODEL", OPT_STR, offsetof(struct args, model),
	  "the model that embeds (all-minilm-l6-v2)" },
	{ 0, "precision", "NAME", OPT_STR, offsetof(struct args, precision),
	  "how it computes: f32 or int8 (f32)" },
	{ 0, "batch", "N", OPT_SIZE, offsetof(struct args, batch),
	  "lines embedded at once (64); the result does not depend on it" },
};

struct lines {
	struct rag *r;
	char **line;
	size_t n, batch;
};

static int flush(struct lines *l)
{
	struct buf b = BUF_INIT;
	float *v;
	size_t dim;
	int rc;

	if (!l->n)
		return 0;
	rc = rag_embed(&v, &dim, l->r, (const char *const *)l->line, l->n);
	for (size_t i = 0; i < l->n; i++) {
		if (!rc) {
			buf_clear(&b);
			for (size_t k = 0; k < dim; k++) {
				buf_adds(&b, k ? ", " : "[");
				json_add_float(&b, v[i * dim + k]);
			}
			buf_addc(&b, ']');
			puts(buf_str(&b));
		}
		mem_free(l->line[i]);
	}
	l->n = 0;
	buf_release(&b);
	if (rc)
		return cli_fail(rc);
	rag_vectors_free(v);
	return 0;
}

static int add(void *arg, const char *line, size_t len)
{
	struct lines *l = arg;

	l->line[l->n] = mem_strndup(line, len);
	if (!l->line[l->n])
		return cli_fail(RAG_ENOMEM);
	return ++l->n == l->batch ? flush(l) : 0;
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	struct rag_opts o = cli_rag_opts(c);
	struct lines l = { .batch = a->batch ? a->batch : 64 };
	int code;

	o.embedder = a->model;
	/* No store is asked, and other programs' vectors are exact. */
	o.precision = a->precision ? a->precision : conf_env("RAGSTONE_PRECISION") ? NULL : "f32";
	code = cli_open_models(&l.r, c, &o);
	if (code)
		return code;
	l.line = mem_calloc(l.batch, sizeof(*l.line));
	if (!l.line)
		code = cli_fail(RAG_ENOMEM);
	if (!code)
		code = cli_each_line(argc ? argv[0] : "-", add, &l);
	if (!code)
		code = flush(&l);
	for (size_t i = 0; i < l.n; i++)
		mem_free(l.line[i]);
	mem_free(l.line);
	rag_close(l.r);
	return code;
}

const struct command cmd_embed = {
	"embed", "[FILE|-]", "lines of text to vectors",
	"A line in, a JSON array of floats out: a unit vector of the embedder's dimension.  A\n"
	"line that is longer than the embedder takes is an error.",
	opts, N_OPTS(opts), sizeof(struct args), 0, 1, run,
};
