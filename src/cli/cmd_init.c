#include "config.h"
#include "src/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct args {
	const char *embedder, *precision;
	const char *language, *stop_words, *bm25;
};

static const struct opt opts[] = {
	{ 0, "embedder", "MODEL", OPT_STR, offsetof(struct args, embedder),
	  "the model that embeds (all-minilm-l6-v2)" },
	{ 0, "precision", "NAME", OPT_STR, offsetof(struct args, precision),
	  "how it computes: int8 or f32 (int8)" },
	{ 0, "language", "NAME", OPT_STR, offsetof(struct args, language),
	  "of the words: english, german, ..., or none (english)" },
	{ 0, "stop-words", "HOW", OPT_STR, offsetof(struct args, stop_words),
	  "drop them from scores, or keep them (drop)" },
	{ 0, "bm25", "K1,B", OPT_STR, offsetof(struct args, bm25),
	  "how words are scored (1.2,0.75)" },
};

/* "K1,B" */
static bool parse_bm25(struct rag_words *w, const char *s)
{
	char *end;

	w->k1 = strtod(s, &end);
	if (end == s || *end != ',' || !(w->k1 >= 0))
		return false;
	s = end + 1;
	w->b = strtod(s, &end);
	return end != s && !*end && w->b >= 0;
}

/* The settings of words that were given; not 0, with a message: one is malformed. */
static int words_of(struct rag_words *w, const struct args *a)
{
	w->language = a->language;
	if (a->stop_words && !strcmp(a->stop_words, "drop"))
		w->stop_words = 1;
	else if (a->stop_words && !strcmp(a->stop_words, "keep"))
		w->stop_words = -1;
	else if (a->stop_words)
		return cli_usage("--stop-words is drop or keep, not '%s'", a->stop_words);
	if (a->bm25 && !parse_bm25(w, a->bm25))
		return cli_usage("--bm25 is two numbers like 1.2,0.75, not '%s'", a->bm25);
	return 0;
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	struct rag_opts o = cli_rag_opts(c);
	struct rag_words w = RAG_WORDS_INIT;
	struct rag_status *st;
	struct rag *r;
	int rc;

	(void)argc;
	(void)argv;
	rc = words_of(&w, a);
	if (rc)
		return rc;
	o.create = 1;
	o.embedder = a->embedder;
	o.precision = a->precision;
	rc = cli_open(&r, c, &o);
	if (rc)
		return rc;
	if (a->language || a->stop_words || a->bm25)
		rc = rag_set_words(r, &w);
	if (!rc)
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
	"embedder or precision first.  A store that is there already is left as it is, but\n"
	"for --language, --stop-words and --bm25: its words are indexed anew if need be.",
	opts, N_OPTS(opts), sizeof(struct args), 0, 0, run,
};
