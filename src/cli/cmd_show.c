#include "config.h"
#include "src/cli/cli.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

struct args {
	size_t start, end;
};

static const struct opt opts[] = {
	{ 0, "start", "BYTE", OPT_SIZE, offsetof(struct args, start),
	  "from this byte of the text, as search and ask give it" },
	{ 0, "end", "BYTE", OPT_SIZE, offsetof(struct args, end), "up to this byte" },
};

static int show(struct cli *c, struct rag *r, uint64_t id, const struct args *a)
{
	struct rag_document *d;
	struct buf b = BUF_INIT;
	size_t len, from, to;
	char *text;
	int rc;

	rc = rag_document(&d, r, id);
	if (rc)
		return rc;
	rc = rag_document_text(&text, &len, r, id);
	if (rc) {
		rag_document_free(d);
		return rc;
	}
	from = a->start < len ? a->start : len;
	to = a->end && a->end < len ? a->end : len;
	if (to < from)
		to = from;
	if (c->json) {
		buf_addf(&b, "{\"doc\": %llu", (unsigned long long)id);
		json_add_key(&b, "uri");
		json_add_str(&b, d->uri, strlen(d->uri));
		json_add_key(&b, "title");
		json_add_str(&b, d->title, strlen(d->title));
		json_add_key(&b, "type");
		json_add_str(&b, d->type, strlen(d->type));
		json_add_key(&b, "labels");
		json_add_str(&b, d->labels, strlen(d->labels));
		cli_json_metadata(&b, d);
		buf_addf(&b, ", \"start\": %zu, \"end\": %zu", from, to);
		json_add_key(&b, "text");
		json_add_str(&b, text + from, to - from);
		buf_addc(&b, '}');
		puts(buf_str(&b));
		buf_release(&b);
	} else {
		cli_text(c, text + from, to - from);
		if (c->out_tty && to > from && text[to - 1] != '\n')
			putchar('\n');
	}
	rag_text_free(text);
	rag_document_free(d);
	return RAG_OK;
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	struct rag_opts o = cli_rag_opts(c);
	uint64_t *ids;
	size_t n;
	struct rag *r;
	int code, rc;

	o.read_only = 1;
	code = cli_open(&r, c, &o);
	if (code)
		return code;
	for (int i = 0; i < argc && !code; i++) {
		rc = rag_resolve(&ids, &n, r, argv[i]);
		if (rc == RAG_ENOENT) {
			cli_fail(rc);
			code = CLI_NOTHING;
			break;
		}
		for (size_t k = 0; !rc && k < n; k++)
			rc = show(c, r, ids[k], v);
		if (rc)
			code = cli_fail(rc);
		else
			rag_ids_free(ids);
	}
	rag_close(r);
	return code;
}

const struct command cmd_show = {
	"show", "DOC...", "print a document's text as it was extracted",
	"DOC is an id, a URI, a path, or a glob over URIs.  Offsets of search and ask count\n"
	"bytes of this text.",
	opts, N_OPTS(opts), sizeof(struct args), 1, -1, run,
};
