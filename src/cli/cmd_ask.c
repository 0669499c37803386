#include "config.h"
#include "src/cli/cli.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

struct args {
	struct sampling s;
	size_t k;
	const char *in, *filter, *mode, *expand, *reranker;
	double min_score;
	int explain;
};

static const struct opt opts[] = {
	{ 'k', NULL, "N", OPT_SIZE, offsetof(struct args, k), "passages to answer from (5)" },
	{ 0, "in", "GLOB", OPT_STR, offsetof(struct args, in), "only documents whose URI matches" },
	{ 0, "filter", "EXPR", OPT_STR, offsetof(struct args, filter),
	  "only documents with, for instance, 'lang == en && year >= 2020'" },
	{ 0, "min-score", "S", OPT_REAL, offsetof(struct args, min_score),
	  "passages below this cosine are not relevant" },
	{ 0, "mode", "MODE", OPT_STR, offsetof(struct args, mode),
	  "how passages are found: hybrid (all there is), fusion, dense, bm25" },
	{ 0, "reranker", "MODEL", OPT_STR, offsetof(struct args, reranker),
	  "a cross-encoder of yours that orders the best passages" },
	{ 0, "expand", "HOW", OPT_STR, offsetof(struct args, expand),
	  "hyde: look for a made-up answer as well; queries: for other wordings" },
	SAMPLING_OPTS(struct args, s),
	{ 0, "explain", NULL, OPT_FLAG, offsetof(struct args, explain),
	  "all passages with their scores, and the time of each stage" },
};

static void add_str(struct buf *b, const char *key, const char *s)
{
	json_add_key(b, key);
	json_add_str(b, s, strlen(s));
}

static void add_num(struct buf *b, const char *key, double v)
{
	json_add_key(b, key);
	json_add_float(b, v);
}

static void add_int(struct buf *b, const char *key, uint64_t v)
{
	json_add_key(b, key);
	buf_addf(b, "%llu", (unsigned long long)v);
}

static void print_json(const struct rag_answer *a)
{
	struct buf b = BUF_INIT;

	buf_addc(&b, '{');
	add_str(&b, "answer", a->abstained ? "" : a->text);
	json_add_key(&b, "abstained");
	buf_adds(&b, a->abstained ? "true" : "false");
	add_str(&b, "reason", a->reason);
	json_add_key(&b, "citations");
	buf_addc(&b, '[');
	for (size_t i = 0; i < a->n_citations; i++) {
		const struct rag_citation *t = a->citation[i];

		buf_adds(&b, i ? ", {" : "{");
		add_int(&b, "n", (uint64_t)t->n);
		add_int(&b, "doc", t->doc);
		add_str(&b, "uri", t->uri);
		add_int(&b, "page", t->page);
		add_int(&b, "start", t->start);
		add_int(&b, "end", t->end);
		add_str(&b, "text", t->text);
		add_num(&b, "strength", t->strength);
		json_add_key(&b, "sentence");
		json_add_str(&b, a->text + t->sentence_start, t->sentence_end - t->sentence_start);
		buf_addc(&b, '}');
	}
	buf_addc(&b, ']');
	json_add_key(&b, "passages");
	buf_addc(&b, '[');
	for (size_t i = 0; i < a->n_passages; i++) {
		const struct rag_passage *p = a->passage[i];

		buf_adds(&b, i ? ", {" : "{");
		add_int(&b, "n", (uint64_t)p->n);
		add_int(&b, "doc", p->doc);
		add_int(&b, "chunk", p->chunk);
		add_str(&b, "uri", p->uri);
		add_str(&b, "title", p->title);
		add_str(&b, "heading", p->heading);
		add_int(&b, "page", p->page);
		add_int(&b, "start", p->start);
		add_int(&b, "end", p->end);
		add_str(&b, "text", p->text);
		add_num(&b, "score", p->score);
		json_add_key(&b, "trimmed");
		buf_adds(&b, p->trimmed ? "true" : "false");
		buf_addc(&b, '}');
	}
	buf_addc(&b, ']');
	add_str(&b, "model", a->model);
	json_add_key(&b, "cut");
	buf_adds(&b, a->cut ? "true" : "false");
	json_add_key(&b, "timings");
	buf_addc(&b, '{');
	add_num(&b, "search", a->seconds_search);
	add_num(&b, "prefill", a->seconds_prefill);
	add_num(&b, "decode", a->seconds_decode);
	add_int(&b, "prompt_tokens", (uint64_t)a->prompt_tokens);
	add_int(&b, "answer_tokens", (uint64_t)a->answer_tokens);
	add_int(&b, "drafted_tokens", (uint64_t)a->drafted_tokens);
	add_int(&b, "accepted_tokens", (uint64_t)a->accepted_tokens);
	buf_adds(&b, "}}");
	puts(buf_str(&b));
	buf_release(&b);
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	struct rag_opts o = cli_rag_opts(c);
	struct rag_search_opts so = RAG_SEARCH_OPTS_INIT;
	struct rag_ask_opts ao = RAG_ASK_OPTS_INIT;
	struct ask_view view = { c, false };
	struct rag_answer *answer;
	struct rag *r;
	int code, rc;

	(void)argc;
	o.read_only = 1;
	o.reranker = a->reranker;
	o.generator = a->s.model;
	code = cli_open(&r, c, &o);
	if (code)
		return code;
	ao.search = &so;
	so.k = a->k;
	so.in = a->in;
	so.filter = a->filter;
	so.min_score = a->min_score;
	so.mode = a->mode;
	so.expand = a->expand;
	ao.max_tokens = a->s.max_tokens;
	ao.temperature = a->s.temperature;
	ao.top_k = a->s.top_k;
	ao.top_p = a->s.top_p;
	ao.min_p = a->s.min_p;
	ao.seed = a->s.seed;
	if (c->out_tty && !c->json) {
		ao.token = ask_view_token;
		ao.token_arg = &view;
	}
	rc = rag_ask(&answer, r, NULL, argv[0], &ao);
	if (rc) {
		code = cli_fail(rc);
	} else {
		if (c->json)
			print_json(answer);
		else
			ask_view_answer(&view, answer, a->explain);
		if (a->explain && !c->json)
			ask_view_sources(c, answer);
		code = cli_interrupted() ? CLI_INTERRUPTED :
		       answer->abstained ? CLI_NOTHING : CLI_OK;
		rag_answer_free(answer);
	}
	rag_close(r);
	return code;
}

const struct command cmd_ask = {
	"ask", "QUESTION", "answer a question from the documents, with evidence",
	"The answer's sentences carry the numbers of the passages that support them, and the\n"
	"supporting words are listed under it.  The engine looks for that support itself; where\n"
	"it finds none it says that it doesn't know, and the exit code is 1.",
	opts, N_OPTS(opts), sizeof(struct args), 1, 1, run,
};
