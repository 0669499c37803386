#include "config.h"
#include "src/cli/cli.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

struct args {
	const char *model;
	int n, raw, top_k;
	double temperature, top_p, min_p;
	uint64_t seed;
};

static const struct opt opts[] = {
	{ 'm', "model", "MODEL", OPT_STR, offsetof(struct args, model),
	  "the generator ($RAGSTONE_MODEL)" },
	{ 'n', "max-tokens", "N", OPT_INT, offsetof(struct args, n), "tokens at most (256)" },
	{ 0, "raw", NULL, OPT_FLAG, offsetof(struct args, raw),
	  "the prompt as it is, without the model's chat format" },
	{ 't', "temperature", "T", OPT_REAL, offsetof(struct args, temperature),
	  "0: always the likeliest token (0)" },
	{ 0, "top-k", "N", OPT_INT, offsetof(struct args, top_k), "only the N likeliest (0: all)" },
	{ 0, "top-p", "P", OPT_REAL, offsetof(struct args, top_p),
	  "only the likeliest that make up P (0: off)" },
	{ 0, "min-p", "P", OPT_REAL, offsetof(struct args, min_p),
	  "only those above P times the likeliest (0: off)" },
	{ 0, "seed", "N", OPT_U64, offsetof(struct args, seed), "of the sampling (0)" },
};

static int stream(void *arg, const char *text, size_t len)
{
	cli_bar_clear();
	cli_text(arg, text, len);
	fflush(stdout);
	return 0;
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	struct rag_opts o = cli_rag_opts(c);
	struct rag_generate_opts go = RAG_GENERATE_OPTS_INIT;
	struct buf in = BUF_INIT, b = BUF_INIT;
	const char *prompt = argv[0];
	struct rag *r;
	char *text;
	int code, rc;

	(void)argc;
	if (!strcmp(prompt, "-")) {
		code = cli_read(&in, "-");
		if (code)
			return code;
		prompt = buf_str(&in);
	}
	o.generator = a->model;
	code = cli_open_models(&r, c, &o);
	if (code) {
		buf_release(&in);
		return code;
	}
	go.max_tokens = a->n;
	go.temperature = a->temperature;
	go.top_k = a->top_k;
	go.top_p = a->top_p;
	go.min_p = a->min_p;
	go.seed = a->seed;
	go.raw = a->raw;
	if (!c->json) {
		go.token = stream;
		go.token_arg = c;
	}
	rc = rag_generate(&text, r, prompt, &go);
	if (rc) {
		code = cli_fail(rc);
	} else {
		if (c->json) {
			buf_adds(&b, "{\"text\": ");
			json_add_str(&b, text, strlen(text));
			buf_addc(&b, '}');
			puts(buf_str(&b));
			buf_release(&b);
		} else {
			putchar('\n');
		}
		rag_text_free(text);
		if (cli_interrupted())
			code = CLI_INTERRUPTED;
	}
	buf_release(&in);
	rag_close(r);
	return code;
}

const struct command cmd_generate = {
	"generate", "PROMPT|-", "let the generator go on from a prompt", "",
	opts, N_OPTS(opts), sizeof(struct args), 1, 1, run,
};
