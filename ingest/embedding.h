/*
 * embedding - texts to what a store keeps of them: a vector, and the vectors of
 * their tokens, compressed (index/late.h), out of one pass of the embedder.
 *
 * Tokens that fit anything (embed_keeps()) are left out, or all are taken
 * where there are no others.  The first texts of a store teach it the space of
 * its token vectors, together with texts made of the embedder's vocabulary:
 * these stand in where a store begins with a page, and vanish where it begins
 * with many.  So how a store begins decides its space, and the documents'
 * later order nothing.  Memory: the texts' results and, while learning,
 * EMBEDDING_SAMPLE token vectors.  One thread at a time.
 */
#ifndef RAG_INGEST_EMBEDDING_H
#define RAG_INGEST_EMBEDDING_H

#include "base/progress.h"
#include "index/store.h"
#include "model/embed.h"

#include <stdbool.h>

#define EMBEDDING_SAMPLE 4096	/* tokens that a space is learnt from at most: 6 MiB of them */

struct embedding;

/* For up to max texts at a time.  All borrowed. */
int embedding_new(struct embedding **out, struct embed *e, struct store *s, struct store_writer *w, size_t max);
void embedding_free(struct embedding *v);	/* NULL is allowed */
/* The store has a space: it is not one of an older ragstone, whose chunks all lack tokens. */
int embedding_begun(bool *out, struct embedding *v);
/* The results of the last call are gone.  As embed_texts(). */
int embedding_make(struct embedding *v, const struct embed_text *t, size_t n, int truncate,
		 size_t *truncated, const struct progress *p);
const float *embedding_row(const struct embedding *v, size_t i);	/* (dim), those that follow behind it */
const struct store_bytes *embedding_tokens(const struct embedding *v, size_t i);	/* ditto */

#endif
