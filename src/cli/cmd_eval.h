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
	int stages, tune, keep;
	const char *generator;
	size_t most;		/* questions */
	int gold, k, max_tokens;
};

int eval_retrieval(struct cli *c, const struct eval_args *a, int n, char **dirs);
int eval_answers(struct cli *c, const struct eval_args *a, int n, char **dirs);

/* A rag_progress_fn whose argument is the cli: a bar, and Ctrl-C. */
int eval_progress(void *cli, const struct rag_progress *p);
/* Whether the sets have a corpus.jsonl: all or none of them, else RAG_EINVAL; and so
 * where -s is a store that their documents would be put beside. */
int eval_have_corpus(bool *out, const struct cli *c, int n, char **dirs);
struct stores_opts eval_stores(struct cli *c, const struct eval_args *a, bool corpus);
/* Adds {"key": v, ...}'s members to an object. */
void eval_add_number(struct buf *b, const char *key, double v);
void eval_add_name(struct buf *b, const char *key, const char *name);
int eval_put_line(struct buf *b);	/* closes the object and prints it; b is released */
/* A file of text to write; NULL path: NULL.  An exit code. */
int eval_create(FILE **out, const char *path);
int eval_close(FILE *f, const char *path, int code);	/* code, or that it could not be written */

#endif
