/* cmd_eval - what `eval retrieval` and `eval answers` share. */
#ifndef RAG_SRC_CMD_EVAL_H
#define RAG_SRC_CMD_EVAL_H

#include "src/cli/cli.h"
#include "src/eval/cut.h"
#include "src/eval/stores.h"

#include <stdio.h>

struct eval_args {
	const char *model, *precision, *chunks, *vs, *html, *ranking;
	struct str_list modes;
	int stages, tune, set;
};

int eval_retrieval(struct cli *c, const struct eval_args *a, int n, char **dirs);

/* A rag_progress_fn whose argument is the cli: a bar, and Ctrl-C. */
int eval_progress(void *cli, const struct rag_progress *p);
/* Whether the sets have a corpus.jsonl: all or none of them, or RAG_EINVAL. */
int eval_have_corpus(bool *out, int n, char **dirs);
struct stores_opts eval_stores(struct cli *c, const struct eval_args *a, bool corpus);
/* A file of text to write; NULL path: NULL.  An exit code. */
int eval_create(FILE **out, const char *path);

#endif
