/*
 * collection - a judged set's documents in a store, to be searched as users search.
 *
 * The documents are put into a store of their own through ragstone.h, or are
 * those that a store already has.  They go in by the hash of their ids: a
 * search that orders equal scores by chunk so orders them by that hash, and a
 * file that lists the relevant ones first gains nothing.  Documents of the
 * same text answer a search once; here they are ranked behind each other.
 * A store that is kept is named by set, text, cut, embedder and version, so
 * that nothing stale is taken; one that was not finished is gone on with.
 * One thread at a time.
 */
#ifndef RAG_EVAL_COLLECTION_H
#define RAG_EVAL_COLLECTION_H

#include "src/eval/cut.h"
#include "src/eval/judged.h"
#include "src/ragstone.h"

struct collection;

struct collection_opts {
	const char *set;	/* its name */
	const char *keep;	/* directory for stores, made when missing; NULL: a temporary one */
	enum cut cut;
	struct embed *embed;	/* borrowed: names its vectors and counts tokens; NULL: words alone */
	const char *model;	/* its name or path, as rag_open() takes it */
	const char *models;	/* directory, may be NULL */
	int threads;
	rag_progress_fn *progress;	/* stage "ingest", in documents; may be NULL */
	void *progress_arg;
};

/* Makes the store or goes on with it.  RAG_ECANCEL by the progress function: a
 * temporary store is removed, a kept one stays as far as it is.  j is borrowed
 * until the close.  The caller owns *out. */
int collection_open(struct collection **out, const struct judged *j, const struct collection_opts *o);
/* The documents of a store that is there: qrels names them as rag_resolve() takes
 * them.  o->keep is the store, NULL the default one; cut and embed
 * have no meaning. */
int collection_attach(struct collection **out, const struct judged *j,
		      const struct collection_opts *o);
void collection_close(struct collection *c);	/* NULL is allowed; removes what is temporary */

struct rag *collection_rag(struct collection *c);
const char *collection_store(const struct collection *c);	/* its directory; NULL: the default one */
size_t collection_n_docs(const struct collection *c);
size_t collection_n_empty(const struct collection *c);	/* without any text: they are in no store */
/* The URI under which the store has a document of the set; NULL: it has not. */
const char *collection_uri(const struct collection *c, size_t judged_doc);
long collection_judged(const struct collection *c, const char *uri);	/* the other way; -1: none */

struct ranked {
	const char *id;		/* lives as long as the collection */
	long doc;		/* number in the set; -1: of the store's own, not judged */
	float score;
};
/* Hits as a ranking of documents, at most max, best first; each once, equal scores by
 * the hash of their ids.  Returns their number. */
size_t collection_rank(struct ranked *out, size_t max, const struct collection *c,
		       const struct rag_hits *h);

#endif
