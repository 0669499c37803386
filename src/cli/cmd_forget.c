#include "config.h"
#include "src/cli/cli.h"

#include <stdio.h>

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	struct rag_opts o = cli_rag_opts(c);
	size_t n, total = 0;
	uint64_t *ids;
	struct rag *r;
	int code, rc;

	(void)v;
	code = cli_open(&r, c, &o);
	if (code)
		return code;
	for (int i = 0; i < argc && code != CLI_FAIL; i++) {
		rc = rag_resolve(&ids, &n, r, argv[i]);
		if (rc == RAG_ENOENT) {	/* the others are forgotten all the same */
			cli_fail(rc);
			code = CLI_NOTHING;
			continue;
		}
		if (!rc) {
			rc = rag_forget(r, ids, n);
			rag_ids_free(ids);
		}
		if (rc)
			code = cli_fail(rc);
		else
			total += n;
	}
	if (code != CLI_FAIL && !c->quiet)
		fprintf(stderr, "%zu forgotten\n", total);
	rag_close(r);
	return code;
}

const struct command cmd_forget = {
	"forget", "DOC...", "take documents out of the store",
	"DOC is an id, a URI, a path, or a glob over URIs.  Gone at once from every answer.",
	NULL, 0, 0, 1, -1, run,
};
