/*
 * pipeline - sources in, published documents out: the whole way of an ingest.
 *
 * scan -> fetch -> hash -> extract -> chunk -> embed -> stage -> publish.
 * Extraction runs in child processes ahead of the embedding.  Chunks of
 * several documents share a batch of the embedder; finished documents are
 * staged invisibly and published in groups, each group in one transaction.
 * A document is reported only when it is durable or has failed, so a caller
 * that is killed or cancels loses nothing that it was told of.
 *
 * Invariants: one bad source never stops the others; a document is replaced
 * whole or stays as it was; memory is bounded by the largest extracted text
 * plus one batch, not by the number of documents.  One thread at a time per
 * store and embedder.
 */
#ifndef RAG_INGEST_PIPELINE_H
#define RAG_INGEST_PIPELINE_H

#include "base/progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct embed;

#define INGEST_MAX_BYTES ((uint64_t)256 << 20)	/* of one source, unless told otherwise */

/* Values as enum rag_outcome of ragstone.h. */
enum ingest_outcome {
	INGEST_ADDED = 1,
	INGEST_REPLACED,
	INGEST_UNCHANGED,
	INGEST_SKIPPED,
	INGEST_FAILED,
	INGEST_REMOVED,
};

struct ingested {		/* members as in struct rag_ingested; borrowed for the callback */
	enum ingest_outcome outcome;
	const char *uri;
	uint64_t doc;		/* 0 if none */
	uint64_t chunks, bytes;	/* of extracted text */
	const char *error;	/* NULL unless failed or skipped */
	const char *warning;	/* NULL: none */
};

struct ingest_totals {		/* members as in struct rag_ingest_totals */
	uint64_t added, replaced, unchanged, skipped, failed, removed;
	uint64_t chunks, bytes;	/* of the documents added and replaced */
};

struct ingest_opts {
	const char *const *include, *const *exclude;	/* globs, NULL-terminated; NULL: none */
	bool force, dry_run, allow_private, keep_missing;
	uint64_t max_bytes;		/* of one source; 0: INGEST_MAX_BYTES */
	const char *labels;		/* NULL, or "key=value,key=value" */
	const char *extractor;		/* path of ragstone-extract; must be given where there is something to extract */
	void (*ingested)(void *arg, const struct ingested *i);	/* may be NULL */
	void *ingested_arg;
	const struct progress *progress;	/* stages "scan", "fetch", "extract", "embed", "commit"; may be NULL */
};
#define INGEST_OPTS_INIT { NULL, NULL, false, false, false, false, 0, NULL, NULL, NULL, NULL, NULL }

/*
 * e NULL: words only, no vectors.  RAG_EMISMATCH, before anything is read,
 * when the store's generation was made by another embedder (the message
 * names both).  RAG_ECANCEL, or a failure of the store itself (disk full),
 * ends the run; failures of documents only count in *out (may be NULL).
 */
int ingest_sources(struct ingest_totals *out, struct store *s, struct embed *e,
		   const char *const *sources, size_t n, const struct ingest_opts *o);

/* Bytes under a URI of the caller's.  type: "text/plain", "text/markdown",
 * "text/html", "application/pdf", or NULL to find out.  Returns the
 * document's own failure, besides reporting it. */
int ingest_bytes(struct ingest_totals *out, struct store *s, struct embed *e,
		 const char *uri, const void *bytes, size_t n, const char *type,
		 const struct ingest_opts *o);

struct ingest_chunk {		/* members as in struct rag_chunk_in */
	const char *text;
	size_t len;
	const char *heading;	/* NULL: none */
};

/* Ready-made chunks; the document's text is theirs joined by blank lines.
 * vectors: (n, dim), normalised here, or NULL: embedded here (a chunk beyond
 * the embedder's length is RAG_ELIMIT).  RAG_EMISMATCH when dim is not the
 * store's, RAG_EINVAL for a vector that is not finite or is zero. */
int ingest_chunks(struct ingest_totals *out, struct store *s, struct embed *e,
		  const char *uri, const char *title,
		  const struct ingest_chunk *chunks, size_t n,
		  const float *vectors, size_t dim, const struct ingest_opts *o);

struct ingest_document {	/* members as in struct rag_document_in */
	const char *uri, *title;
	const struct ingest_chunk *chunks;
	size_t n;
};

/* Many such documents, embedded here: their chunks share batches, and they are
 * published in groups.  One whose chunk is too long counts as failed. */
int ingest_documents(struct ingest_totals *out, struct store *s, struct embed *e,
		     const struct ingest_document *docs, size_t n, const struct ingest_opts *o);

#endif
