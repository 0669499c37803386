/* rag_search - the facade's searching, as its answering uses it. */
#ifndef RAG_SRC_SEARCH_H
#define RAG_SRC_SEARCH_H

#include "index/search.h"
#include "src/rag_impl.h"

/* The best chunks for a question: its words (NULL: none) and its vector (dim floats;
 * NULL: embedded here where the mode and the store want one), with filter and glob applied. */
struct rag_question {
	const char *text;
	const float *vector;
	size_t dim;
};
int rag_find(struct search_hits **out, struct rag *r, const struct rag_question *question,
	     const struct rag_search_opts *o, size_t default_k, double *seconds_embed);

struct rag_tokens {	/* see struct search_tokens; all owned */
	float *x;
	struct text_span *word;
	size_t n;
};
struct embed;
/* A question's vector (embed_dim()), and those of its tokens.  *tokens: rag_tokens_release(). */
int rag_embed_question(float *vector, struct rag_tokens *tokens, struct embed *e, const char *text);
void rag_tokens_release(struct rag_tokens *t);	/* zeroed is allowed */

#define RAG_EXPANSIONS 3
/* Texts that are looked for beside a question, and how much each counts against it. */
struct rag_expansion {
	char *text[RAG_EXPANSIONS];	/* (n) owned */
	size_t n;
	float vector, words;
};
/*
 * how: NULL: none.  "hyde": a passage as it might answer, made up by the generator (Gao et
 * al. 2022, arXiv 2212.10496); "queries": the question put in other words.  RAG_EINVAL:
 * something else; errors of the generator.
 */
int rag_expand(struct rag_expansion *out, struct rag *r, const char *how, const char *question);
void rag_expansion_release(struct rag_expansion *e);

#endif
