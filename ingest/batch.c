#include "config.h"

#include "ingest/batch.h"

#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "ingest/embedding.h"

struct pending {
	char *uri, *warning;	/* owned */
	struct stage *stage;	/* owned; NULL: it failed */
	uint64_t text_len;
	char *why;		/* owned; the failure's message */
};

struct queued {
	size_t at, len;		/* in texts */
	size_t doc;		/* index into pending */
};

struct batch {
	struct batch_opts o;
	struct pending pending[BATCH_DOCS];
	size_t n_pending;
	uint64_t text;		/* bytes of all pending */
	double since;		/* when the first of them came */
	struct queued queue[BATCH_CHUNKS];
	size_t n_queue;
	struct buf texts;
	struct embedding *vectors;	/* owned; NULL: none are made */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int batch_new(struct batch **out, const struct batch_opts *o)
{
	struct batch *b = mem_calloc(1, sizeof(*b));

	*out = NULL;
	if (!b)
		return RAG_ENOMEM;
	b->o = *o;
	if (o->embed && embedding_new(&b->vectors, o->embed, o->store, o->writer, BATCH_CHUNKS)) {
		batch_free(b);
		return RAG_ENOMEM;
	}
	*out = b;
	return RAG_OK;
}

static void pending_release(struct pending *p)
{
	stage_free(p->stage);
	mem_free(p->uri);
	mem_free(p->warning);
	mem_free(p->why);
	memset(p, 0, sizeof(*p));
}

void batch_free(struct batch *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n_pending; i++)
		pending_release(&b->pending[i]);
	buf_release(&b->texts);
	embedding_free(b->vectors);
	mem_free(b);
}

/* The document alone failed, with the last message. */
static int give_up(struct pending *p)
{
	stage_free(p->stage);
	p->stage = NULL;
	p->why = mem_strdup(err_msg());
	return p->why ? RAG_OK : RAG_ENOMEM;
}

static bool fatal(int rc)
{
	return rc == RAG_ENOMEM || rc == RAG_ECANCEL || rc == RAG_EFULL || rc == RAG_EIO ||
	       rc == RAG_ECORRUPT;
}

/* Hands the n results to the documents of the queue's texts from first on. */
static int hand_out(struct batch *b, size_t first, size_t n)
{
	int rc = RAG_OK;

	for (size_t i = first, end = first + n, k; !rc && i < end; i = k) {
		struct pending *p = &b->pending[b->queue[i].doc];

		for (k = i + 1; k < end && b->queue[k].doc == b->queue[i].doc; k++)
			;
		if (!p->stage)
			continue;
		rc = stage_vectors(p->stage, embedding_row(b->vectors, i - first), k - i);
		if (!rc)
			rc = stage_tokens(p->stage, embedding_tokens(b->vectors, i - first), k - i);
		if (rc && !fatal(rc))
			rc = give_up(p);
	}
	return rc;
}

static int embed_queue(struct batch *b)
{
	struct embed_text t[BATCH_CHUNKS];
	size_t n = b->n_queue;
	int rc;

	if (!n)
		return RAG_OK;
	for (size_t i = 0; i < n; i++)
		t[i] = (struct embed_text){ b->texts.data + b->queue[i].at, b->queue[i].len };
	rc = embedding_make(b->vectors, t, n, 0, NULL, b->o.progress);
	if (!rc) {
		rc = hand_out(b, 0, n);
	} else if (!fatal(rc)) {
		/* One text is to blame: find whose, and keep the others. */
		rc = RAG_OK;
		for (size_t i = 0; !rc && i < n; i++) {
			struct pending *p = &b->pending[b->queue[i].doc];

			if (!p->stage)
				continue;
			rc = embedding_make(b->vectors, &t[i], 1, 0, NULL, b->o.progress);
			if (!rc)
				rc = hand_out(b, i, 1);
			else if (!fatal(rc))
				rc = give_up(p);
		}
	}
	b->n_queue = 0;
	buf_clear(&b->texts);
	return rc;
}

static int publish(struct batch *b)
{
	struct stage *stages[BATCH_DOCS];
	struct stage_result results[BATCH_DOCS];
	size_t n = 0;
	int rc = progress_tick(b->o.progress, "commit", NULL, 0, 0);

	if (rc)
		return rc;
	for (size_t i = 0; i < b->n_pending; i++)
		if (b->pending[i].stage)
			stages[n++] = b->pending[i].stage;
	if (n)
		rc = store_publish(results, b->o.writer, stages, n);
	if (rc)
		return rc;
	n = 0;
	for (size_t i = 0; i < b->n_pending; i++) {
		struct pending *p = &b->pending[i];
		struct ingested r = { .uri = p->uri, .warning = p->warning };

		if (p->stage) {
			r.outcome = results[n].outcome == STAGE_ADDED ? INGEST_ADDED :
				    results[n].outcome == STAGE_REPLACED ? INGEST_REPLACED : INGEST_UNCHANGED;
			r.doc = results[n].doc;
			r.chunks = results[n].n_chunks;
			r.bytes = results[n].text_len;
			n++;
		} else {
			r.outcome = INGEST_FAILED;
			r.error = p->why;
		}
		b->o.report(b->o.arg, &r);
		pending_release(p);
	}
	b->n_pending = 0;
	b->text = 0;
	return RAG_OK;
}

int batch_flush(struct batch *b)
{
	int rc = embed_queue(b);

	return rc || !b->n_pending ? rc : publish(b);
}

static int queue_chunk(struct batch *b, const char *prefix, const char *s, size_t n)
{
	struct queued *q;
	size_t at;
	int rc = b->n_queue == BATCH_CHUNKS ? embed_queue(b) : RAG_OK;

	at = b->texts.len;
	if (!rc)
		rc = buf_adds(&b->texts, prefix);
	if (!rc)
		rc = buf_add(&b->texts, s, n);
	if (rc)
		return rc;
	q = &b->queue[b->n_queue++];
	q->at = at;
	q->len = b->texts.len - at;
	q->doc = b->n_pending - 1;
	return RAG_OK;
}

int batch_add(struct batch *b, struct stage *st, const char *uri, const char *warning,
	      const char *text, size_t text_len, const struct chunk *chunks, size_t n)
{
	struct pending *p = &b->pending[b->n_pending];	/* there is room: see the end */
	bool have = false;
	int rc = RAG_OK;

	memset(p, 0, sizeof(*p));
	p->stage = st;
	p->uri = mem_strdup(uri);
	p->warning = warning ? mem_strdup(warning) : NULL;
	p->text_len = text_len;
	if (!b->n_pending++)
		b->since = now();
	b->text += text_len;
	if (!p->uri || (warning && !p->warning))
		return RAG_ENOMEM;
	if (b->o.embed)
		rc = stage_have(&have, st);
	if (!rc && have)
		rc = embedding_begun(&have, b->vectors);
	for (size_t i = 0; !rc && !have && b->o.embed && i < n && p->stage; i++) {
		b->o.step(b->o.arg, i, n);
		rc = queue_chunk(b, chunks[i].prefix, text + chunks[i].start, chunks[i].end - chunks[i].start);
	}
	if (!rc && (b->n_pending == BATCH_DOCS || b->text >= BATCH_TEXT || now() - b->since > BATCH_SECONDS))
		rc = batch_flush(b);
	return rc;
}
