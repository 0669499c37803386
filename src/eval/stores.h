/*
 * stores - the collections and embedders that a run needs, each opened once.
 *
 * Variants that cut and embed alike share a store.  Embedders are here
 * for their tokenizer and their fingerprint; searches use the store's own.
 * One thread at a time.
 */
#ifndef RAG_EVAL_STORES_H
#define RAG_EVAL_STORES_H

#include "src/eval/collection.h"
#include "src/eval/variant.h"

struct stores;

struct stores_opts {
	const char *keep;	/* as in collection.h */
	bool own;		/* keep is a store, whose own documents are searched */
	const char *model;	/* the embedder, where a variant names none; NULL: the default */
	const char *models, *precision;
	int threads;
	rag_progress_fn *progress;
	void *progress_arg;
};

/* Strings of o are borrowed until the free.  The caller owns *out. */
int stores_new(struct stores **out, const struct stores_opts *o);
void stores_free(struct stores *s);		/* NULL is allowed */

/* The set's collection for a variant; it lives until stores_leave(). */
int stores_get(struct collection **out, struct stores *s, const struct judged *j, const char *set,
	       const struct variant *c);
void stores_leave(struct stores *s);		/* the set: closes its collections */

#endif
