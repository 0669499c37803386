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

int ingest_chunks(struct ingest_totals *out, struct store *s, struct embed *e,
		  const char *uri, const char *title,
		  const struct ingest_chunk *chunks, size_t n,
		  const float *vectors, size_t dim, const struct ingest_opts *o)
{
	struct chunk_opts co = { e ? embed_tok(e) : NULL, e ? embed_max_tokens(e) : 0, title, NULL };
	struct ingest_totals t;
	struct chunks c = { 0 };
	struct buf text = BUF_INIT, context = BUF_INIT;
	struct stage_doc d = { .uri = uri, .title = title, .type = "text/plain" };
	struct stage *st = NULL;
	struct job j = { .file.fd = -1 };
	struct run r;
	uint64_t doc;
	bool same;
	uint8_t own[HASH_LEN];
	char hex[HASH_HEX_LEN];
	bool have;
	int rc = check_chunks(chunks, n, vectors, dim);

	if (!rc && (!uri || !*uri))
		rc = err_set(RAG_EINVAL, "a document needs a URI");
	if (rc)
		return rc;
	/* With vectors of the caller's, the embedder has no part in it. */
	rc = run_open(&r, &t, s, vectors ? NULL : e, o);
	r.embed = e;
	r.what = uri;
	if (!rc && vectors && r.writer)
		rc = foreign_generation(&r, dim);
	if (!rc)
		rc = join_chunks(&text, &c, chunks, n, &co);
	/* Another vector for the same text is another content. */
	if (!rc)
		rc = buf_adds(&context, title ? title : "");
	if (!rc && vectors) {
		hash_bytes(own, vectors, n * dim * sizeof(float));
		hash_hex(hex, own);
		rc = buf_addf(&context, "\n%s", hex);
	}
	if (rc)
		goto fail;
	hash_bytes(d.source_hash, buf_str(&text), text.len);
	memcpy(j.hash, d.source_hash, HASH_LEN);
	j.uri = mem_strdup(uri);
	rc = j.uri ? run_look_up(&same, &doc, &r, &j) : RAG_ENOMEM;
	if (rc)
		goto fail;
	if (!r.writer) {
		struct ingested i = { .outcome = j.known ? INGEST_REPLACED : INGEST_ADDED, .uri = uri,
				      .doc = doc, .chunks = n, .bytes = text.len };

		run_report(&r, &i);
		goto fail;
	}
	d.context = buf_str(&context);
	d.labels = j.labels;
	d.source_size = text.len;
	rc = stage_begin(&st, r.writer, &d);
	if (!rc)
		rc = stage_text(st, buf_str(&text), text.len);
	if (!rc)
		rc = run_stage_chunks(st, c.v, c.n);
	if (!rc && vectors) {
		rc = stage_have(&have, st);
		if (!rc && !have)
			rc = stage_vectors(st, vectors, n);
	}
	if (rc)
		goto fail;
	rc = batch_add(r.batch, st, uri, NULL, buf_str(&text), text.len, c.v, c.n);
	st = NULL;
	if (!rc)
		rc = batch_flush(r.batch);
	if (!rc && t.failed)
		rc = RAG_ELIMIT;
fail:
	stage_free(st);
	job_release(&j);
	chunks_release(&c);
	buf_release(&text);
	buf_release(&context);
	run_close(&r);
	if (out)
		*out = t;
	return rc;
}
