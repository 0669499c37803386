/* Chunks that the caller made, perhaps with vectors of the caller's. */
#include "config.h"

#include "ingest/pipeline.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ingest/run.h"
#include "model/embed.h"

/* A generation for vectors that are not ours: the store's own, the embedder's if the
 * dimensions agree, else one of the caller's. */
static int foreign_generation(struct run *r, size_t dim)
{
	struct store_generation g;
	struct store_snap *v;
	uint8_t print[HASH_LEN];
	char name[64];
	int rc = store_snap(&v, r->store);

	if (rc)
		return rc;
	rc = store_generation(&g, v);
	if (!rc && g.dim && g.dim != dim)
		rc = err_set(RAG_EMISMATCH, "vectors of %zu dimensions for a store of '%s' with %u", dim,
			     g.embedder, g.dim);
	store_snap_end(v);
	if (rc || g.dim)
		return rc;
	if (r->embed && embed_dim(r->embed) == dim)
		return store_set_generation(r->writer, CHUNK_NAME, embed_name(r->embed),
					    embed_fingerprint(r->embed), dim);
	/* A fingerprint of the name alone: no embedder has that one. */
	snprintf(name, sizeof(name), "caller's vectors (%zu)", dim);
	hash_bytes(print, name, strlen(name));
	return store_set_generation(r->writer, CHUNK_NAME, name, print, dim);
}

static int check_chunks(const struct ingest_chunk *c, size_t n, const float *vectors, size_t dim)
{
	if (!n)
		return err_set(RAG_EINVAL, "a document needs a chunk");
	for (size_t i = 0; i < n; i++) {
		double sum = 0;

		if (!c[i].len || utf8_valid(c[i].text, c[i].len) != c[i].len)
			return err_set(RAG_EINVAL, "chunk %zu is %s", i, c[i].len ? "no UTF-8" : "empty");
		for (size_t k = 0; vectors && k < dim; k++)
			sum += (double)vectors[i * dim + k] * (double)vectors[i * dim + k];
		if (vectors && (!isfinite(sum) || sum <= 0))
			return err_set(RAG_EINVAL, "vector %zu is %s", i, isfinite(sum) ? "all zeros" : "not finite");
	}
	return RAG_OK;
}

/* The chunks' texts, a blank line between them; positions into *out. */
static int join_chunks(struct buf *text, struct chunks *out, const struct ingest_chunk *c, size_t n,
		       const struct chunk_opts *co)
{
	uint32_t line = 1;
	int rc = RAG_OK;

	out->v = mem_calloc(n, sizeof(*out->v));
	out->strings = mem_calloc(2 * n, sizeof(*out->strings));
	if (!out->v || !out->strings)
		return RAG_ENOMEM;
	for (size_t i = 0; !rc && i < n; i++) {
		struct chunk *k = &out->v[out->n++];
		const char *heading = c[i].heading ? c[i].heading : "";

		if (i) {
			rc = buf_adds(text, "\n\n");
			line += 2;
		}
		k->start = text->len;
		k->line = line;
		if (!rc)
			rc = buf_add(text, c[i].text, c[i].len);
		k->end = text->len;
		for (size_t b = 0; b < c[i].len; b++)
			line += c[i].text[b] == '\n';
		if (!rc)
			rc = chunk_prefix(&out->strings[out->n_strings], NULL, heading, co);
		if (rc)
			break;
		k->prefix = out->strings[out->n_strings++];
		out->strings[out->n_strings] = mem_strdup(heading);
		if (!out->strings[out->n_strings])
			rc = RAG_ENOMEM;
		else
			k->heading = out->strings[out->n_strings++];
	}
	return rc;
}

/* What all documents of one call share. */
struct given {
	struct run run;
	struct embed *embed;		/* NULL: words alone, or vectors of the caller's */
	const float *vectors;		/* (chunks, dim) of the document in hand, or NULL */
	size_t dim;
};

/* Another vector for the same text is another content. */
static int context_of(struct buf *out, const struct given *g, const struct ingest_document *d)
{
	uint8_t own[HASH_LEN];
	char hex[HASH_HEX_LEN];
	int rc = buf_adds(out, d->title ? d->title : "");

	if (rc || !g->vectors)
		return rc;
	hash_bytes(own, g->vectors, d->n * g->dim * sizeof(float));
	hash_hex(hex, own);
	return buf_addf(out, "\n%s", hex);
}

/* Stages the document and hands it to the batch. */
static int stage_document(struct given *g, const struct ingest_document *in, struct job *j,
			  const struct buf *text, const struct chunks *c)
{
	struct stage_doc d = { .uri = in->uri, .title = in->title, .type = "text/plain",
			       .labels = j->labels, .source_size = text->len };
	struct buf context = BUF_INIT;
	struct stage *st = NULL;
	bool have = true;
	int rc = context_of(&context, g, in);

	memcpy(d.source_hash, j->hash, HASH_LEN);
	d.context = buf_str(&context);
	if (!rc)
		rc = stage_begin(&st, g->run.writer, &d);
	if (!rc)
		rc = stage_text(st, buf_str(text), text->len);
	if (!rc)
		rc = run_stage_chunks(st, c->v, c->n);
	if (!rc && g->vectors)
		rc = stage_have(&have, st);
	if (!rc && !have)
		rc = stage_vectors(st, g->vectors, c->n);
	if (!rc) {
		rc = batch_add(g->run.batch, st, in->uri, NULL, buf_str(text), text->len, c->v, c->n);
		st = NULL;
	}
	stage_free(st);
	buf_release(&context);
	return rc;
}

static int add_document(struct given *g, const struct ingest_document *in)
{
	struct chunk_opts co = { g->embed ? embed_tok(g->embed) : NULL,
				 g->embed ? embed_max_tokens(g->embed) : 0, in->title, NULL };
	struct job j = { .file.fd = -1 };
	struct buf text = BUF_INIT;
	struct chunks c = { 0 };
	uint64_t doc = 0;
	bool same;
	int rc = join_chunks(&text, &c, in->chunks, in->n, &co);

	g->run.what = in->uri;
	g->run.size = text.len;
	if (!rc) {
		hash_bytes(j.hash, buf_str(&text), text.len);
		j.uri = mem_strdup(in->uri);
		rc = j.uri ? run_look_up(&same, &doc, &g->run, &j) : RAG_ENOMEM;
	}
	if (!rc && g->run.writer) {
		rc = stage_document(g, in, &j, &text, &c);
	} else if (!rc) {
		struct ingested i = { .outcome = j.known ? INGEST_REPLACED : INGEST_ADDED,
				      .uri = in->uri, .doc = doc, .chunks = in->n, .bytes = text.len };

		run_report(&g->run, &i);
	}
	g->run.done += text.len;
	g->run.size = 0;
	job_release(&j);
	chunks_release(&c);
	buf_release(&text);
	return rc;
}

static int check_documents(uint64_t *bytes, const struct ingest_document *docs, size_t n,
			   const float *vectors, size_t dim)
{
	int rc = RAG_OK;

	*bytes = 0;
	for (size_t i = 0; !rc && i < n; i++) {
		rc = check_chunks(docs[i].chunks, docs[i].n, vectors, dim);
		if (!rc && (!docs[i].uri || !*docs[i].uri))
			rc = err_set(RAG_EINVAL, "a document needs a URI");
		if (rc && n > 1)
			rc = err_within(rc, "document '%.200s'", docs[i].uri ? docs[i].uri : "");
		for (size_t k = 0; !rc && k < docs[i].n; k++)
			*bytes += docs[i].chunks[k].len + (k ? 2 : 0);
	}
	return rc;
}

static int ingest_given(struct ingest_totals *out, struct store *s, struct embed *e,
			const struct ingest_document *docs, size_t n, const float *vectors,
			size_t dim, const struct ingest_opts *o)
{
	struct given g = { .embed = e, .vectors = vectors, .dim = dim };
	struct ingest_totals t;
	uint64_t bytes;
	int rc = check_documents(&bytes, docs, n, vectors, dim);

	if (rc)
		return rc;
	/* With vectors of the caller's, the embedder has no part in it. */
	rc = run_open(&g.run, &t, s, vectors ? NULL : e, o);
	g.run.embed = e;
	g.run.list.bytes = bytes;
	if (!rc && vectors && g.run.writer)
		rc = foreign_generation(&g.run, dim);
	for (size_t i = 0; !rc && i < n; i++)
		rc = add_document(&g, &docs[i]);
	if (!rc && g.run.batch)
		rc = batch_flush(g.run.batch);
	run_close(&g.run);
	if (out)
		*out = t;
	return rc;
}

int ingest_documents(struct ingest_totals *out, struct store *s, struct embed *e,
		     const struct ingest_document *docs, size_t n, const struct ingest_opts *o)
{
	return ingest_given(out, s, e, docs, n, NULL, 0, o);
}

int ingest_chunks(struct ingest_totals *out, struct store *s, struct embed *e,
		  const char *uri, const char *title,
		  const struct ingest_chunk *chunks, size_t n,
		  const float *vectors, size_t dim, const struct ingest_opts *o)
{
	struct ingest_document d = { uri, title, chunks, n };
	struct ingest_totals t = { 0 };
	int rc = ingest_given(&t, s, e, &d, 1, vectors, dim, o);

	if (out)
		*out = t;
	return !rc && t.failed ? RAG_ELIMIT : rc;
}
