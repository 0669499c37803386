/* rag_search - the facade's searching, as its answering uses it. */
#ifndef RAG_SRC_SEARCH_H
#define RAG_SRC_SEARCH_H

#include "index/search.h"
#include "src/rag_impl.h"

/* A query's vector (dim floats, the caller frees it with mem_free) from the store's embedder. */
int rag_query_vector(float **out, struct rag *r, const char *query);
/* With filter and glob applied. */
int rag_find(struct search_hits **out, struct rag *r, const float *vector, size_t dim,
	     const struct rag_search_opts *o, size_t default_k);
/* How many of the best hits reach a least score; 0: all do. */
size_t rag_good(const struct search_hits *h, double min_score);

#endif
