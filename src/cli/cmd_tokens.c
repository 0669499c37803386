#include "config.h"
#include "src/cli/cli.h"

#include "base/conf.h"
#include "base/err.h"
#include "base/json.h"
#include "model/gguf.h"
#include "model/tok.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct args {
	const char *model;
	int special, jsonl, pieces;
};

static const struct opt opts[] = {
	{ 'm', "model", "MODEL", OPT_STR, offsetof(struct args, model),
	  "whose tokenizer (all-minilm-l6-v2)" },
	{ 0, "special", NULL, OPT_FLAG, offsetof(struct args, special),
	  "control strings in the text become control tokens" },
	{ 0, "jsonl", NULL, OPT_FLAG, offsetof(struct args, jsonl),
	  "each line is a JSON string, so that a text can hold newlines" },
	{ 0, "pieces", NULL, OPT_FLAG, offsetof(struct args, pieces),
	  "the text that each token covers, instead of ids" },
};

struct tokens {
	const struct tok *t;
	const struct args *a;
	size_t line;
};

static int open_tok(struct tok **out, const char *path)
{
	struct buf file = BUF_INIT;
	struct gguf *g = NULL;
	struct stat st;
	size_t n = strlen(path);
	int rc;

	rc = buf_adds(&file, path);
	if (!rc && !stat(path, &st) && S_ISDIR(st.st_mode)) {
		rc = buf_adds(&file, "/model.gguf");
		if (!rc && stat(buf_str(&file), &st)) {
			buf_release(&file);
			return tok_open_dir(out, path);
		}
	} else if (!rc && (n < 5 || strcmp(path + n - 5, ".gguf"))) {
		rc = err_set(RAG_EUNSUP, "neither a model's directory nor a .gguf file: '%s'", path);
	}
	if (!rc)
		rc = gguf_open(&g, buf_str(&file));
	if (!rc)
		rc = tok_from_gguf(out, g);
	gguf_close(g);
	buf_release(&file);
	return rc;
}

static int print_ids(struct tokens *t, const char *s, size_t n)
{
	struct tok_ids ids = { 0 };
	struct buf b = BUF_INIT;
	int rc;

	rc = tok_encode(&ids, t->t, s, n, TOK_ADD | (t->a->special ? TOK_PARSE : 0));
	if (!rc)
		rc = buf_addc(&b, '[');
	for (size_t i = 0; !rc && i < ids.len; i++) {
		if (i)
			rc = buf_adds(&b, ", ");
		if (!rc && t->a->pieces)
			rc = json_add_str(&b, s + ids.start[i], ids.end[i] - ids.start[i]);
		else if (!rc)
			rc = buf_addf(&b, "%d", ids.id[i]);
	}
	if (!rc)
		rc = buf_addc(&b, ']');
	if (!rc)
		puts(buf_str(&b));
	buf_release(&b);
	tok_ids_release(&ids);
	return rc ? cli_fail(rc) : 0;
}

static int each(void *arg, const char *line, size_t len)
{
	struct tokens *t = arg;
	struct json *j;
	char what[32];
	int rc;

	t->line++;
	if (!t->a->jsonl)
		return print_ids(t, line, len);
	snprintf(what, sizeof(what), "line %zu", t->line);
	rc = json_parse(&j, line, len, what);
	if (rc)
		return cli_fail(rc);
	if (!json_is_str(j))
		rc = cli_usage("line %zu is no JSON string", t->line);
	else
		rc = print_ids(t, json_str(j, ""), json_str_len(j));
	json_free(j);
	return rc;
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	struct tokens t = { NULL, a, 0 };
	struct buf path = BUF_INIT;
	struct tok *tok = NULL;
	int code = 0, rc;

	rc = conf_model(&path, a->model ? a->model : CONF_EMBEDDER, c->models);
	if (!rc)
		rc = open_tok(&tok, buf_str(&path));
	buf_release(&path);
	if (rc)
		return cli_fail(rc);
	t.t = tok;
	code = cli_each_line(argc ? argv[0] : "-", each, &t);
	tok_close(tok);
	return code;
}

const struct command cmd_tokens = {
	"tokens", "[FILE|-]", "lines of text to token ids",
	"A line in, a JSON array of ids out: what the model's own tokenizer gives, with the\n"
	"special tokens that it puts around a sequence.",
	opts, N_OPTS(opts), sizeof(struct args), 0, 1, run,
};
