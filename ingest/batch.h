/*
 * batch - embeds the chunks of several documents together and publishes the
 * documents in groups.
 *
 * The embedder is at its best with many chunks at a time, the store with many
 * documents in one transaction (each waits for the disk once).  So chunks are
 * queued across documents, and a document whose chunks all have vectors waits
 * with others for BATCH_DOCS of them, BATCH_TEXT bytes of text or BATCH_SECONDS.  It is
 * reported when its group is durable, never before.  A document that cannot be
 * embedded is reported as failed and costs the others nothing.  Memory: one
 * batch of texts and vectors, and what the stages keep.  One thread at a time.
 */
#ifndef RAG_INGEST_BATCH_H
#define RAG_INGEST_BATCH_H

#include "base/progress.h"
#include "index/store.h"
#include "ingest/chunk.h"
#include "ingest/pipeline.h"
#include "model/embed.h"

#define BATCH_CHUNKS 128
#define BATCH_DOCS 64
#define BATCH_TEXT ((uint64_t)8 << 20)
#define BATCH_SECONDS 2.0

struct batch;

struct batch_opts {
	struct store *store;		/* borrowed */
	struct store_writer *writer;	/* borrowed */
	struct embed *embed;		/* borrowed; NULL: no vectors */
	const struct progress *progress;
	void (*report)(void *arg, const struct ingested *i);	/* once a document */
	/* i of n chunks of the document in hand are queued */
	void (*step)(void *arg, size_t i, size_t n);
	void *arg;
};

int batch_new(struct batch **out, const struct batch_opts *o);
void batch_free(struct batch *b);	/* drops what is not published; NULL is allowed */

/* Takes a document whose text, marks and chunks are staged; st becomes the batch's,
 * also on failure.  uri and warning (may be NULL) are copied; text is read during
 * the call.  Embeds and publishes when there is enough. */
int batch_add(struct batch *b, struct stage *st, const char *uri, const char *warning,
	      const char *text, size_t text_len, const struct chunk *chunks, size_t n);
/* Embeds and publishes all that waits. */
int batch_flush(struct batch *b);

#endif
