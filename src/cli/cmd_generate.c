#include "config.h"
#include "src/cli/cli.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

struct args {
	struct sampling s;
	int raw;
};

static const struct opt opts[] = {
	{ 0, "raw", NULL, OPT_FLAG, offsetof(struct args, raw),
	  "the prompt as it is, without the model's chat format" },
	SAMPLING_OPTS(struct args, s),
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
	o.generator = a->s.model;
	code = cli_open_models(&r, c, &o);
	if (code) {
		buf_release(&in);
		return code;
	}
	go.max_tokens = a->s.max_tokens;
	go.temperature = a->s.temperature;
	go.top_k = a->s.top_k;
	go.top_p = a->s.top_p;
	go.min_p = a->s.min_p;
	go.seed = a->s.seed;
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
