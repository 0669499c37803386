#include "config.h"
#include "src/cli/cli.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

struct list {
	struct cli *c;
	size_t n;
};

static int print(void *arg, const struct rag_document *d)
{
	struct list *l = arg;
	struct buf b = BUF_INIT;
	char bytes[16];

	l->n++;
	if (l->c->json) {
		buf_addf(&b, "{\"doc\": %llu", (unsigned long long)d->doc);
		json_add_key(&b, "uri");
		json_add_str(&b, d->uri, strlen(d->uri));
		json_add_key(&b, "title");
		json_add_str(&b, d->title, strlen(d->title));
		json_add_key(&b, "type");
		json_add_str(&b, d->type, strlen(d->type));
		json_add_key(&b, "labels");
		json_add_str(&b, d->labels, strlen(d->labels));
		cli_json_metadata(&b, d);
		buf_addf(&b, ", \"chunks\": %llu, \"bytes\": %llu, \"hash\": \"%s\", \"added\": %lld}",
			 (unsigned long long)d->chunks, (unsigned long long)d->bytes, d->hash,
			 (long long)d->added);
		puts(buf_str(&b));
		buf_release(&b);
	} else {
		printf("%5llu  %6llu chunks  %9s  ", (unsigned long long)d->doc,
		       (unsigned long long)d->chunks, cli_bytes(bytes, d->bytes));
		cli_text(l->c, d->uri, strlen(d->uri));
		if (*d->title) {
			printf("  %s", cli_dim(l->c));
			cli_text(l->c, d->title, strlen(d->title));
			fputs(cli_plain(l->c), stdout);
		}
		putchar('\n');
	}
	return cli_interrupted() ? RAG_ECANCEL : 0;
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	struct rag_opts o = cli_rag_opts(c);
	struct list l = { c, 0 };
	struct rag *r;
	int code, rc;

	(void)v;
	(void)argc;
	(void)argv;
	o.read_only = 1;
	code = cli_open(&r, c, &o);
	if (code)
		return code;
	rc = rag_documents(r, print, &l);
	if (rc)
		code = cli_fail(rc);
	else if (!l.n)
		code = CLI_NOTHING;
	if (!rc && !l.n && !c->quiet && !c->json)
		fprintf(stderr, "no documents\n");
	rag_close(r);
	return code;
}

const struct command cmd_list = {
	"list", "", "list the documents",
	"With --json one object a line: doc, uri, title, type, labels, metadata, chunks,\n"
	"bytes, hash, added.",
	NULL, 0, 0, 0, 0, run,
};
