#include "config.h"
#include "src/cli/cli.h"

#include <stdio.h>

static void report(void *arg, const char *line)
{
	(void)arg;
	cli_bar_clear();
	puts(line);
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	struct rag_opts o = cli_rag_opts(c);
	struct rag *r;
	int code, rc;

	(void)v;
	(void)argc;
	(void)argv;
	o.read_only = 1;
	code = cli_open(&r, c, &o);
	if (code)
		return code;
	rc = rag_verify(r, report, NULL);
	cli_bar_clear();
	if (rc == RAG_ECORRUPT) {
		fprintf(stderr, "ragstone: %s\n", rag_error());
		code = CLI_NOTHING;
	} else if (rc) {
		code = cli_fail(rc);
	} else if (!c->quiet) {
		fprintf(stderr, "the store is whole\n");
	}
	rag_close(r);
	return code;
}

const struct command cmd_verify = {
	"verify", "", "check every invariant and checksum of the store",
	"Prints a line for each fault; the exit code is then 1.", NULL, 0, 0, 0, 0, run,
};
