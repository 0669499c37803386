#include "config.h"
#include "src/cli/cli.h"

#include <stdio.h>

struct args {
	const char *embedder, *precision;
};

static const struct opt opts[] = {
	{ 0, "embedder", "MODEL", OPT_STR, offsetof(struct args, embedder),
	  "the model that embeds (all-minilm-l6-v2)" },
	{ 0, "precision", "NAME", OPT_STR, offsetof(struct args, precision),
	  "how it computes: int8 or f32 (int8)" },
};

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	struct rag_opts o = cli_rag_opts(c);
	struct rag_status *st;
	struct rag *r;
	int rc;

	(void)argc;
	(void)argv;
	o.create = 1;
	o.embedder = a->embedder;
	o.precision = a->precision;
	rc = cli_open(&r, c, &o);
	if (rc)
		return rc;
	rc = rag_status(&st, r);
	if (rc) {
		rc = cli_fail(rc);
	} else {
		if (!c->quiet)
			fprintf(stderr, "store '%s' is ready, %llu documents\n", st->store,
				(unsigned long long)st->documents);
		rag_status_free(st);
	}
	rag_close(r);
	return rc;
}

const struct command cmd_init = {
	"init", "", "make a store",
	"The first 'ragstone ingest' does this by itself; init is for choosing another\n"
	"embedder or precision first.  A store that is there already is left as it is.",
	opts, N_OPTS(opts), sizeof(struct args), 0, 0, run,
};
