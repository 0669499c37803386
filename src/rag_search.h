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

#endif
