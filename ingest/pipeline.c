#include "config.h"

#include "ingest/pipeline.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "index/store.h"
#include "ingest/chunk.h"
#include "ingest/run.h"
#include "ingest/embedding.h"
#include "model/embed.h"

#define ATTEMPTS 3	/* at a file that changes while it is read */
#define FILL 64		/* chunks that get their missing vectors at a time */

static int name_stdin(struct job *j)
{
	char hex[HASH_HEX_LEN], name[32];

	/* Named by its bytes, so that a second text does not replace the first. */
	hash_hex(hex, j->hash);
	snprintf(name, sizeof(name), "stdin:%.16s", hex);
	j->uri = mem_strdup(name);
	return j->uri ? RAG_OK : RAG_ENOMEM;
}

/* From an open descriptor to a running extraction.  *busy false: unchanged, and
 * reported so.  type: declared, or "". */
static int start_bytes(bool *busy, struct run *r, struct job *j, const char *type, const char *name)
{
	struct ingested same = { .outcome = INGEST_UNCHANGED };
	uint64_t size;
	bool known;
	int rc;

	*busy = false;
	rc = file_hash(j->hash, &size, j->file.fd, name, &r->progress);
	if (!rc && !j->uri)
		rc = name_stdin(j);
	if (!rc)
		rc = run_look_up(&known, &same.doc, r, j);
	if (rc)
		return rc;
	if (known && !r->o->force) {
		same.uri = j->uri;
		run_report(r, &same);
		return RAG_OK;
	}
	rc = extract_start(&j->extract, r->o->extractor, j->file.fd, type, name);
	*busy = !rc;
	return rc;
}

/* What the extractor may know a file by: of a URL the last part of its path. */
static void source_name(char *out, size_t size, const struct source *s)
{
	const char *base = run_base_name(s->path);
	size_t n = strlen(base);

	if (s->kind == SOURCE_URL) {
		n = strcspn(s->path, "?#");
		for (base = s->path + n; base > s->path && base[-1] != '/'; base--)
			;
		n = (size_t)(s->path + n - base);
	}
	snprintf(out, size, "%.*s", n < size ? (int)n : (int)size - 1, base);
}

static uint64_t limit_of(const struct run *r)
{
	return r->o->max_bytes ? r->o->max_bytes : INGEST_MAX_BYTES;
}

static int start_source(struct run *r, const struct source *s, int attempt)
{
	struct job j = { .src = s, .file.fd = -1, .attempt = attempt };
	const char *uri = s->uri ? s->uri : "stdin:";
	char name[NAME_MAX + 1];
	bool busy = false;
	int rc;

	r->what = s->path;
	rc = progress_tick(&r->progress, "scan", s->path, 0, 0);
	if (rc)
		return rc;
	if (s->problem) {
		err_set(s->problem, "%s", s->why);
		return run_failed(r, uri, s->problem, s->skip);
	}
	if (s->uri) {
		j.uri = mem_strdup(s->uri);
		if (!j.uri)
			return RAG_ENOMEM;
	}
	rc = source_open(&j.file, s, limit_of(r), r->o->allow_private, &r->progress);
	source_name(name, sizeof(name), s);
	if (!rc)
		rc = start_bytes(&busy, r, &j, j.file.type, name);
	if (busy) {
		r->job[(r->first + r->n_jobs++) % RUN_AHEAD] = j;
		return RAG_OK;
	}
	job_release(&j);
	r->done += s->size;
	return rc ? run_failed(r, uri, rc, false) : RAG_OK;
}

static int put_in(struct run *r, struct job *j, const struct extracted *e)
{
	struct chunk_opts co = { r->embed ? embed_tok(r->embed) : NULL,
				 r->embed ? embed_max_tokens(r->embed) : 0, e->title, &r->progress };
	struct chunks chunks = { 0 };
	struct stage_doc d = { .uri = j->uri, .title = e->title, .type = extract_type(e->kind),
			       .labels = j->labels, .about = e->about, .context = e->title, .source_size = j->file.size,
			       .source_mtime = j->file.mtime };
	struct stage *st = NULL;
	char *title = NULL;
	int rc;

	memcpy(d.source_hash, j->hash, HASH_LEN);
	rc = chunk_text(&chunks, e->text, e->len, e->marks, e->n_marks, &co);
	if (!rc && !e->title[0]) {
		rc = run_title(&title, j->uri);
		d.title = title;
	}
	if (!rc && !r->writer) {
		struct ingested i = { .outcome = j->known ? INGEST_REPLACED : INGEST_ADDED, .uri = j->uri,
				      .chunks = chunks.n, .bytes = e->len, .warning = e->warning };

		run_report(r, &i);
	} else if (!rc) {
		rc = stage_begin(&st, r->writer, &d);
		if (!rc)
			rc = stage_text(st, e->text, e->len);
		if (!rc && e->n_marks)
			rc = stage_marks(st, e->marks, e->n_marks);
		if (!rc)
			rc = run_stage_chunks(st, chunks.v, chunks.n);
		if (rc)
			stage_free(st);
		else
			rc = batch_add(r->batch, st, j->uri, e->warning, e->text, e->len, chunks.v, chunks.n);
	}
	mem_free(title);
	chunks_release(&chunks);
	return rc;
}

/* Waits for the extraction and puts its text in.  *changed: the file is not what was
 * hashed.  A failure of the document alone is in *own. */
static int finish_job(bool *changed, int *own, bool *skip, struct run *r, struct job *j)
{
	struct progress_at at = { .stage = "extract", .what = j->src ? j->src->path : j->uri };
	struct extracted e;
	struct file_info info;
	int rc;

	*own = RAG_OK;
	*changed = *skip = false;
	rc = extract_finish(&e, j->extract, &r->progress, &at);
	if (file_info_fd(&info, j->file.fd) == RAG_OK && j->src && j->src->kind == SOURCE_FILE)
		*changed = info.size != j->file.size || info.mtime != j->file.mtime;
	if (rc && !run_fatal(rc)) {
		*own = rc;
		*skip = rc == RAG_EUNSUP && e.kind == KIND_NONE;
		rc = RAG_OK;
	} else if (!rc && !*changed) {
		rc = put_in(r, j, &e);
	}
	extracted_release(&e);
	return rc;
}

static int finish_oldest(struct run *r)
{
	struct job j = r->job[r->first];
	const struct source *s = j.src;
	bool changed, skip;
	int own, rc;

	r->first = (r->first + 1) % RUN_AHEAD;
	r->n_jobs--;
	r->what = s->path;
	r->size = s->size;
	r->part = 0;
	rc = finish_job(&changed, &own, &skip, r, &j);
	if (!rc && changed && j.attempt + 1 < ATTEMPTS) {
		rc = start_source(r, s, j.attempt + 1);
	} else if (!rc) {
		if (changed)
			own = err_set(RAG_EIO, "'%s' keeps changing while it is read", s->path);
		if (own)
			rc = run_failed(r, j.uri, own, skip && !s->named);
		r->done += s->size;
	}
	r->size = 0;
	r->part = 0;
	job_release(&j);
	return rc;
}

/* Documents below a folder that was walked whole, whose files are no more. */
struct gone {
	struct run *r;
	uint64_t *ids;		/* owned (n) */
	char **uris;		/* owned, and each */
	size_t n, cap;
};

static int check_gone(void *arg, const struct store_doc *d)
{
	struct gone *g = arg;
	const struct source_list *l = &g->r->list;
	char *path;
	struct stat st;
	bool below = false;

	if (strncmp(d->uri, "file:///", 8) || file_from_uri(&path, d->uri))
		return 0;
	for (size_t i = 0; i < l->n_roots && !below; i++) {
		size_t n = strlen(l->root[i].path);

		below = l->root[i].whole && !strncmp(path, l->root[i].path, n) &&
			(path[n] == '/' || (n && path[n - 1] == '/'));
	}
	below = below && stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
	mem_free(path);
	if (!below)
		return 0;
	if (g->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 32;
		uint64_t *ids = mem_realloc(g->ids, cap, sizeof(*ids));
		char **uris;

		if (!ids)
			return RAG_ENOMEM;
		g->ids = ids;
		uris = mem_realloc(g->uris, cap, sizeof(*uris));
		if (!uris)
			return RAG_ENOMEM;
		g->uris = uris;
		g->cap = cap;
	}
	g->uris[g->n] = mem_strdup(d->uri);
	if (!g->uris[g->n])
		return RAG_ENOMEM;
	g->ids[g->n++] = d->id;
	return 0;
}

static int remove_gone(struct run *r)
{
	struct gone g = { .r = r };
	struct store_snap *v;
	int rc;

	if (!r->store || r->o->keep_missing || !r->list.n_roots)
		return RAG_OK;
	rc = store_snap(&v, r->store);
	if (rc)
		return rc;
	rc = store_docs(v, check_gone, &g);
	store_snap_end(v);
	if (!rc && g.n && r->writer)
		rc = store_forget(r->writer, g.ids, g.n);
	for (size_t i = 0; i < g.n; i++) {
		struct ingested out = { .outcome = INGEST_REMOVED, .uri = g.uris[i], .doc = g.ids[i] };

		if (!rc)
			run_report(r, &out);
		mem_free(g.uris[i]);
	}
	mem_free(g.ids);
	mem_free(g.uris);
	return rc;
}

static int copy_title(void *arg, const struct store_doc *d)
{
	char *by_name, **out = arg;
	int rc = run_title(&by_name, d->uri);

	if (rc)
		return rc;
	*out = mem_strdup(strcmp(by_name, d->title) ? d->title : "");
	mem_free(by_name);
	return *out ? 1 : RAG_ENOMEM;
}

/* Appends what a chunk of the store embeds as. */
static int chunk_again(struct buf *out, struct run *r, struct store_snap *v, uint64_t id)
{
	struct chunk_opts co = { embed_tok(r->embed), embed_max_tokens(r->embed), NULL, NULL };
	struct store_chunk c;
	char *title = NULL, *prefix = NULL;
	int rc = store_chunk(&c, v, id);

	if (!rc)
		rc = store_content_docs(v, c.content, copy_title, &title);
	if (rc >= 0) {
		co.title = title ? title : "";
		rc = chunk_prefix(&prefix, NULL, c.heading, &co);
	}
	if (!rc)
		rc = buf_adds(out, prefix);
	if (!rc)
		rc = store_text(out, v, c.content, c.start, c.end);
	mem_free(prefix);
	mem_free(title);
	return rc;
}

/* Vectors for chunks that were ingested without a model.  They were cut by estimate,
 * so one may be too long for the embedder: that one is truncated. */
static int fill_lacking(struct run *r)
{
	uint64_t ids[FILL];
	size_t n, at[FILL + 1], cut;
	struct embed_text t[FILL];
	struct buf texts = BUF_INIT;
	struct embedding *vectors;
	int rc = embedding_new(&vectors, r->embed, r->store, r->writer, FILL);

	while (!rc) {
		struct store_snap *v;

		rc = store_snap(&v, r->store);
		if (rc)
			break;
		buf_clear(&texts);
		rc = store_lacking(ids, &n, v, FILL);
		for (size_t i = 0; !rc && i < n; i++) {
			at[i] = texts.len;
			rc = chunk_again(&texts, r, v, ids[i]);
			at[i + 1] = texts.len;
		}
		store_snap_end(v);
		if (rc || !n)
			break;
		for (size_t i = 0; i < n; i++)
			t[i] = (struct embed_text){ texts.data + at[i], at[i + 1] - at[i] };
		rc = embedding_make(vectors, t, n, 1, &cut, &r->progress);
		if (!rc)
			rc = store_add_vectors(r->writer, ids, embedding_row(vectors, 0),
					       embedding_tokens(vectors, 0), n);
	}
	embedding_free(vectors);
	buf_release(&texts);
	return rc;
}

static int check_extractor(const struct ingest_opts *o)
{
	if (!o->extractor || access(o->extractor, X_OK))
		return err_set(RAG_ENOENT, "cannot run '%s': it extracts the text of files",
			       o->extractor ? o->extractor : "ragstone-extract");
	return RAG_OK;
}

int ingest_sources(struct ingest_totals *out, struct store *s, struct embed *e,
		   const char *const *sources, size_t n, const struct ingest_opts *o)
{
	struct source_opts so = { o->include, o->exclude, NULL };
	struct ingest_totals t;
	struct run r;
	int rc = run_open(&r, &t, s, e, o);

	so.progress = &r.progress;
	if (!rc)
		rc = check_extractor(o);
	if (!rc)
		rc = source_scan(&r.list, sources, n, &so);
	while (!rc && (r.n_jobs || r.next < r.list.n)) {
		while (!rc && r.n_jobs < RUN_AHEAD && r.next < r.list.n)
			rc = start_source(&r, &r.list.v[r.next++], 0);
		if (!rc && r.n_jobs)
			rc = finish_oldest(&r);
	}
	if (!rc && r.batch)
		rc = batch_flush(r.batch);
	if (!rc)
		rc = remove_gone(&r);
	if (!rc && e && r.writer)
		rc = fill_lacking(&r);
	run_close(&r);
	if (out)
		*out = t;
	return rc;
}

int ingest_bytes(struct ingest_totals *out, struct store *s, struct embed *e,
		 const char *uri, const void *bytes, size_t n, const char *type,
		 const struct ingest_opts *o)
{
	struct job j = { .file.fd = -1 };
	struct ingest_totals t;
	struct run r;
	bool busy = false, changed, skip = false;
	int own = RAG_OK, rc = run_open(&r, &t, s, e, o);

	r.what = uri;
	if (!rc)
		rc = check_extractor(o);
	if (!rc && (!uri || !*uri))
		rc = err_set(RAG_EINVAL, "a document needs a URI");
	if (!rc && strlen(uri) > STORE_URI_MAX)
		rc = err_set(RAG_EINVAL, "a URI of %zu bytes: %u are possible", strlen(uri), STORE_URI_MAX);
	if (rc)
		goto fail;
	if (n > limit_of(&r)) {
		own = err_set(RAG_ELIMIT, "'%s' has %zu bytes, more than the %llu allowed", uri, n,
			      (unsigned long long)limit_of(&r));
		goto fail;
	}
	j.uri = mem_strdup(uri);
	rc = j.uri ? file_memory(&j.file.fd, "ragstone-source") : RAG_ENOMEM;
	if (!rc)
		rc = file_write(j.file.fd, bytes, n);
	if (!rc)
		rc = file_seal(j.file.fd);
	j.file.size = n;
	if (!rc)
		rc = start_bytes(&busy, &r, &j, type ? type : "", run_base_name(uri));
	if (!rc && busy)
		rc = finish_job(&changed, &own, &skip, &r, &j);
	if (!rc && r.batch)
		rc = batch_flush(r.batch);
fail:
	if (!rc && own) {
		rc = run_failed(&r, uri, own, false);
		if (!rc)
			rc = own;
	} else if (!rc && t.failed) {
		rc = RAG_EFORMAT;	/* reported by the batch, whose message still stands */
	}
	job_release(&j);
	run_close(&r);
	if (out)
		*out = t;
	return rc;
}

