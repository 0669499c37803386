/* The facade's part about a question's tokens: their vectors, and the words that they belong to. */
#include "config.h"
#include "src/rag_search.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/embed.h"
#include "model/tok.h"

#include <string.h>

struct taking {
	struct rag_tokens *out;
	const struct embed *embed;
	const char *text;
	size_t before;			/* tokens of the model's prefix */
};

/* The word around a byte; words ascend.  An empty span where it stands in none. */
static struct text_span word_at(const struct text_spans *words, size_t at)
{
	size_t lo = 0, hi = words->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (words->v[mid].end <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < words->n && words->v[lo].start <= at ? words->v[lo] : (struct text_span){ 0, 0 };
}

/* x: (n, dim) of [CLS], the prefix, the text as far as there was room, [SEP]. */
static int take(void *arg, size_t number, const int32_t *ids, const float *x, size_t n)
{
	struct taking *t = arg;
	struct rag_tokens *out = t->out;
	struct text_spans words = { 0 };
	struct tok_ids own = { 0 };
	size_t dim = embed_dim(t->embed), len = strlen(t->text), first = 1 + t->before;
	int rc = tok_encode(&own, embed_tok(t->embed), t->text, len, 0);

	(void)number;
	(void)ids;
	if (!rc)
		rc = text_words(&words, t->text, len);
	out->n = n > first + 1 ? n - first - 1 : 0;
	out->n = out->n < own.len ? out->n : own.len;
	if (!rc && out->n) {
		out->x = mem_dup(x + first * dim, out->n * dim * sizeof(*x));
		out->word = mem_realloc(NULL, out->n, sizeof(*out->word));
		if (!out->x || !out->word)
			rc = RAG_ENOMEM;
	}
	for (size_t i = 0; !rc && i < out->n; i++)
		out->word[i] = word_at(&words, own.start[i]);
	tok_ids_release(&own);
	text_spans_release(&words);
	return rc;
}

static int prefix_tokens(size_t *out, const struct embed *e)
{
	const char *prefix = embed_query_prefix(e);
	struct tok_ids ids = { 0 };
	int rc = *prefix ? tok_encode(&ids, embed_tok(e), prefix, strlen(prefix), 0) : RAG_OK;

	*out = ids.len;
	tok_ids_release(&ids);
	return rc;
}

int rag_embed_question(float *vector, struct rag_tokens *tokens, struct embed *e, const char *text)
{
	struct taking t = { tokens, e, text, 0 };
	struct embed_sink sink = { take, &t };
	int rc;

	memset(tokens, 0, sizeof(*tokens));
	rc = prefix_tokens(&t.before, e);
	return rc ? rc : embed_query_tokens(vector, e, text, strlen(text), &sink);
}

void rag_tokens_release(struct rag_tokens *t)
{
	mem_free(t->x);
	mem_free(t->word);
	memset(t, 0, sizeof(*t));
}
