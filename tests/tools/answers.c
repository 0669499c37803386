#include "config.h"

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/par.h"
#include "generator/answer.h"
#include "model/decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Answers questions twice, with and without drafts from their passages.
 *
 *	answers MODEL THREADS TOKENS TEMPERATURE
 *
 * A line on stdin is {"question": ..., "passages": [TEXT...]}; without passages
 * the question is a plain prompt.  A line comes back: whether both answers are
 * the same, the text, its tokens, the seconds of decoding without and with, the
 * tokens drafted and accepted.  Which goes first turns from line to line.
 */

#define PASSAGES 8

static int fail(void)
{
	fprintf(stderr, "answers: %s\n", err_msg());
	return 1;
}

static int answer(char **text, struct answer_stats *stats, struct answerer *a, const struct json *q,
		  struct answer_opts *o)
{
	const struct json *list = json_get(q, "passages");
	const char *question = json_str(json_get(q, "question"), "");
	struct passage p[PASSAGES];
	struct answer out;
	size_t n = 0;
	int rc;

	if (!list)
		return answerer_generate(text, stats, a, question, false, o);
	for (; n < PASSAGES && n < json_len(list); n++) {
		const struct json *t = json_at(list, n);

		p[n] = (struct passage){ "", "", json_str(t, ""), json_str_len(t), 1 };
	}
	rc = answer_make(&out, a, question, p, n, NULL, 0, o);
	if (rc)
		return rc;
	*stats = out.stats;
	*text = mem_strdup(out.text);
	answer_release(&out);
	return *text ? RAG_OK : RAG_ENOMEM;
}

static int both(struct answerer *a, const struct json *q, struct answer_opts *o, int first)
{
	struct answer_stats stats[2];
	struct buf b = BUF_INIT;
	char *text[2];

	for (int k = 0; k < 2; k++) {
		int i = k ^ first;

		o->lookup = i ? LOOKUP_AUTO : LOOKUP_OFF;
		if (answer(&text[i], &stats[i], a, q, o))
			return fail();
	}
	buf_addf(&b, "{\"same\": %s, \"tokens\": %zu, \"plain\": %.6f, \"lookup\": %.6f, "
		 "\"drafted\": %zu, \"accepted\": %zu, \"prompt\": %zu, \"text\": ",
		 strcmp(text[0], text[1]) || stats[0].answer_tokens != stats[1].answer_tokens
		 ? "false" : "true", stats[0].answer_tokens, stats[0].seconds_decode,
		 stats[1].seconds_decode, stats[1].drafted_tokens, stats[1].accepted_tokens,
		 stats[1].prompt_tokens);
	json_add_str(&b, text[0], strlen(text[0]));
	printf("%s}\n", buf_str(&b));
	fflush(stdout);
	buf_release(&b);
	mem_free(text[0]);
	mem_free(text[1]);
	return 0;
}

int main(int argc, char **argv)
{
	struct answer_opts o = { .min_score = 0 };
	struct answerer *a = NULL;
	struct decoder *d = NULL;
	struct par *par = NULL;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int rc = 0;

	if (argc != 5) {
		fputs("usage: answers MODEL THREADS TOKENS TEMPERATURE\n", stderr);
		return 2;
	}
	o.max_tokens = atoi(argv[3]);
	o.sample.temperature = atof(argv[4]);
	if (par_new(&par, atoi(argv[2])) || decoder_open(&d, argv[1]) || answerer_new(&a, d, par))
		rc = fail();
	for (int n = 0; !rc && (len = getline(&line, &cap, stdin)) > 0; n++) {
		struct json *q;

		if (json_parse(&q, line, (size_t)len, "stdin")) {
			rc = fail();
			break;
		}
		rc = both(a, q, &o, n % 2);
		json_free(q);
	}
	free(line);
	answerer_free(a);
	decoder_close(d);
	par_free(par);
	return rc;
}
