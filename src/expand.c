/* The facade's part about questions that the generator helps to ask. */
#include "config.h"
#include "src/rag_search.h"

#include "base/err.h"
#include "base/mem.h"
#include "generator/answer.h"

#include <string.h>

#define HYDE_TOKENS 96		/* a short paragraph */
#define QUERIES_TOKENS 96	/* three lines */
#define LINE_MIN 8		/* bytes; shorter ones are a number or a remnant */

static int generate(char **text, struct rag *r, const char *instruction, const char *question, int tokens)
{
	struct answer_opts ao = { .max_tokens = tokens, .progress = &r->progress };
	struct answer_stats stats;
	struct buf prompt = BUF_INIT;
	int rc = rag_need_answerer(r);

	if (!rc)
		rc = buf_addf(&prompt, "%s\n\nQuestion: %s", instruction, question);
	if (!rc)
		rc = answerer_generate(text, &stats, r->answerer, buf_str(&prompt), 0, &ao);
	buf_release(&prompt);
	return rc;
}

static int hyde(struct rag_expansion *out, struct rag *r, const char *question)
{
	int rc = generate(&out->text[0], r, "Write one short paragraph, as an encyclopedia would, that answers "
			  "the question.", question, HYDE_TOKENS);

	out->n = !rc;
	out->vector = .5f;
	out->words = .1f;
	return rc;
}

/* Lines without what lists begin with ("1. ", "- "). */
static int queries(struct rag_expansion *out, struct rag *r, const char *question)
{
	char *all = NULL, *line, *next;
	int rc = generate(&all, r, "Write three other ways to search for the answer to the question, one a line.",
			  question, QUERIES_TOKENS);

	out->vector = .2f;
	out->words = .1f;
	for (line = all; !rc && line && out->n < RAG_EXPANSIONS; line = next) {
		size_t len = strcspn(line, "\n");

		next = line[len] ? line + len + 1 : NULL;
		while (len && strchr("0123456789.-*) \t", *line)) {
			line++;
			len--;
		}
		if (len < LINE_MIN)
			continue;
		out->text[out->n] = mem_strndup(line, len);
		rc = out->text[out->n] ? RAG_OK : RAG_ENOMEM;
		out->n += !rc;
	}
	mem_free(all);
	return rc;
}

int rag_expand(struct rag_expansion *out, struct rag *r, const char *how, const char *question)
{
	memset(out, 0, sizeof(*out));
	if (!how)
		return RAG_OK;
	if (!strcmp(how, "hyde"))
		return hyde(out, r, question);
	if (!strcmp(how, "queries"))
		return queries(out, r, question);
	return err_set(RAG_EINVAL, "no way '%s' to expand a question: there are hyde and queries", how);
}

void rag_expansion_release(struct rag_expansion *e)
{
	for (size_t i = 0; i < e->n; i++)
		mem_free(e->text[i]);
	memset(e, 0, sizeof(*e));
}
