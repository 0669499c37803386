/*
 * rag_impl - what the files of the facade share.
 *
 * The facade is the only place where ingest, search and generation meet: each
 * public call opens what it needs of a handle (store, embedder, generator,
 * threads), calls the floor that does the work, and copies the result out.
 */
#ifndef RAG_SRC_IMPL_H
#define RAG_SRC_IMPL_H

#include "base/progress.h"
#include "index/store.h"
#include "src/ragstone.h"

#include <stdatomic.h>

struct par;
struct embed;
struct cross;
struct decoder;
struct answerer;

struct rag {
	char *store_dir;		/* owned */
	char *embedder, *precision, *generator, *models;	/* owned, NULL: by default */
	char *reranker;			/* owned, NULL: none */
	int n_threads;
	struct store *store;		/* NULL: models alone */
	struct par *par;		/* the rest is opened when first needed */
	struct embed *embed;
	struct cross *cross;
	struct decoder *decoder;
	struct answerer *answerer;
	bool read_only;			/* never writes */

	rag_progress_fn *progress_fn;
	void *progress_arg;
	struct progress progress;	/* calls progress_fn, notices cancel */
	double last_tick;
	const char *last_stage;
	atomic_int cancel;		/* set by rag_cancel(), cleared at the end of the call that runs, or of the next */
};

/* Each makes sure that r has the thing; RAG_OK at once when it has. */
int rag_need_store(struct rag *r);
int rag_need_writable(struct rag *r);	/* RAG_EDENIED */
int rag_need_par(struct rag *r);
/* for_store: must be the one that made the store's vectors (RAG_EMISMATCH). */
int rag_need_embed(struct rag *r, bool for_store);
int rag_need_cross(struct rag *r);	/* only where a reranker is named */
int rag_need_answerer(struct rag *r);
/* To be passed through at the end of a call that can be cancelled. */
int rag_done(struct rag *r, int rc);

/* The options struct that the caller gave, grown to today's size with zeros.
 * size is *opts's first member, RAG_EINVAL if it was not set; NULL opts: all zeros. */
int rag_opts_copy(void *out, size_t out_size, const void *opts);

#endif
