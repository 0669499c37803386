#include "config.h"
#include "src/cli/cli.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	struct rag_opts o = cli_rag_opts(c);
	struct buf b = BUF_INIT;
	struct rag_status *s;
	struct rag *r;
	char text[16], disk[16];
	int code, rc;

	(void)v;
	(void)argc;
	(void)argv;
	o.read_only = 1;
	code = cli_open(&r, c, &o);
	if (code)
		return code;
	rc = rag_status(&s, r);
	if (rc) {
		code = cli_fail(rc);
	} else if (c->json) {
		buf_addc(&b, '{');
		json_add_key(&b, "store");
		json_add_str(&b, s->store, strlen(s->store));
		json_add_key(&b, "embedder");
		json_add_str(&b, s->embedder, strlen(s->embedder));
		buf_addf(&b, ", \"dim\": %u, \"documents\": %llu, \"chunks\": %llu, \"vectors\": %llu, \"text_bytes\": %llu, "
			 "\"disk_bytes\": %llu, \"generation\": %llu, \"format\": %u, \"weight\": %.4g, "
			 "\"language\": \"%s\", \"stop_words\": %s, \"k1\": %.4g, \"b\": %.4g}", s->dim,
			 (unsigned long long)s->documents, (unsigned long long)s->chunks,
			 (unsigned long long)s->vectors, (unsigned long long)s->text_bytes, (unsigned long long)s->disk_bytes,
			 (unsigned long long)s->generation, s->format, s->weight, s->language,
			 s->stop_words ? "true" : "false", s->k1, s->b);
		puts(buf_str(&b));
		buf_release(&b);
	} else {
		printf("store      %s (format %u)\n", s->store, s->format);
		printf("embedder   %s", *s->embedder ? s->embedder : "none yet");
		if (s->dim)
			printf(", %u dimensions", s->dim);
		printf("\ndocuments  %llu\nchunks     %llu\nvectors    %llu\ntext       %s\non disk    %s\n"
		       "generation %llu\nweight     %.4g of meaning against words\n",
		       (unsigned long long)s->documents, (unsigned long long)s->chunks,
		       (unsigned long long)s->vectors, cli_bytes(text, s->text_bytes), cli_bytes(disk, s->disk_bytes),
		       (unsigned long long)s->generation, s->weight);
		if (*s->language)
			printf("words      %s, %s stop words, k1 %.4g, b %.4g\n", s->language,
			       s->stop_words ? "without" : "with", s->k1, s->b);
		else
			puts("words      none yet, the next ingest indexes them");
	}
	if (!rc)
		rag_status_free(s);
	rag_close(r);
	return code;
}

const struct command cmd_status = {
	"status", "", "say what the store holds", "", NULL, 0, 0, 0, 0, run,
};
