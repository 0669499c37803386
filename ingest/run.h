/*
 * run - what one call of the pipeline keeps (private to ingest/).
 *
 * The store's lock and generation, the ring of extractions that run ahead, the
 * batch, the totals, and how far it is: whatever works below reports its own
 * progress through run->progress, and the caller is told that of the whole
 * run, in bytes of sources.
 */
#ifndef RAG_INGEST_RUN_H
#define RAG_INGEST_RUN_H

#include "base/hash.h"
#include "ingest/batch.h"
#include "ingest/extract.h"
#include "ingest/pipeline.h"
#include "ingest/source.h"

#define RUN_AHEAD 4	/* files that are extracted while others are embedded */

struct job {		/* a source between its hash and its chunks */
	const struct source *src;
	struct source_file file;
	struct extract *extract;
	char *uri;			/* owned */
	uint8_t hash[HASH_LEN];
	char *labels;			/* owned; NULL: none */
	bool known;			/* the store has the URI */
	int attempt;
};

struct run {
	struct store *store;
	struct embed *embed;		/* NULL: words only */
	struct store_writer *writer;	/* NULL: dry run */
	const struct ingest_opts *o;
	struct ingest_totals *t;
	struct batch *batch;
	struct source_list list;
	size_t next;			/* the source to start with next */
	struct job job[RUN_AHEAD];		/* a ring, the oldest at first */
	size_t first, n_jobs;
	uint64_t done, size;		/* bytes of sources finished; of the one in hand */
	double part;			/* of the one in hand, 0 .. 1 */
	const char *what;
	struct progress progress;	/* the caller's, told how far the whole run is */
};

/* Takes the writer's lock and settles whose vectors the store holds.  e NULL: words
 * alone.  run_close() after a failure too. */
int run_open(struct run *r, struct ingest_totals *t, struct store *s, struct embed *e,
	     const struct ingest_opts *o);
void run_close(struct run *r);
void run_report(struct run *r, const struct ingested *i);
/* Reports the last message as a document's; returns rc itself where it ends the whole
 * run (no memory, cancelled). */
int run_failed(struct run *r, const char *uri, int rc, bool skip);
bool run_fatal(int rc);

/* What the store knows of j->uri: *doc (0: nothing), *same: these very bytes and
 * labels.  Sets j->known and j->labels. */
int run_look_up(bool *same, uint64_t *doc, struct run *r, struct job *j);
void job_release(struct job *j);

/* A document without a title of its own is listed by its file's name; that is not put
 * into the vectors, so that copies of a file are one content.  The caller frees *out. */
int run_title(char **out, const char *uri);
const char *run_base_name(const char *path);
int run_stage_chunks(struct stage *st, const struct chunk *c, size_t n);

#endif
